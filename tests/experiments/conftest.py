"""Tests are no package; the breaks of the claims are one module an experiment."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
