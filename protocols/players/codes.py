"""What the harness and the processes of a life both know: exit codes, sizes, how words begin."""

from __future__ import annotations

import re

CLEAN, SURVIVORS, LITTER, NO_NAMESPACES = 0, 3, 4, 5
"""Exit codes of a keeper."""

OURS = "The harness failed in a player: "
"""How the last words of a host begin that ended by a failure of ours."""

ORDER_LENGTH = 4
"""Bytes of the length before an order for the template."""

DESCRIPTORS = 3
"""How many come with an order."""

KEEPER = 8
"""Bytes of a keeper's number."""

IMPORT_SECONDS = 120.0
"""How long the import of a plug-in may take."""

FRAME = re.compile(r'File "([^"]+)", line (\d+) in (\S+)')
"""A frame of a traceback that faulthandler wrote down."""
