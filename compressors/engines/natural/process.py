"""A question to the model's own interpreter: torch is not where kvbarrier runs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from ....errors import BadInput
from ..environments import interpreter
from ..schemes import SCHEMES


def asked(module: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a module of this folder in the model's interpreter, JSON to JSON.

    Raises:
        BadInput: the environment is not installed, or the module answers with an error or not at
            all.
    """
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    done = subprocess.run(
        [interpreter(SCHEMES["hf"]), "-m", f"kvbarrier.compressors.engines.natural.{module}"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env=os.environ | dict.fromkeys(threads, "1"),
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.strip().splitlines()
        reason = said[-1] if said else f"exit status {done.returncode}"
        raise BadInput(f"The model's process ended without an answer: {reason}") from None
    if "error" in answer:
        raise BadInput(answer["error"])
    return answer
