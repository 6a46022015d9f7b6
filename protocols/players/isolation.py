"""Which isolation there is, and what a player may take: seconds, memory, environment.

docs/isolation.md states the threat model: accidents and short cuts, not malware.
"""

from __future__ import annotations

import math
import os
import site
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...errors import BadInput, did_you_mean
from . import landlock

ISOLATIONS = ("inline", "process", "namespaces")

_PROBE_SECONDS = 20
# What a plug-in may need to run as it runs at home. None of it knows x.
_ALLOWED = (
    "PATH", "LANG", "LC_ALL", "LC_CTYPE", "PYTHONUTF8", "PYTHONCOERCECLOCALE", "TZ", "PYTHONPATH",
    "LD_LIBRARY_PATH", "VIRTUAL_ENV",
    "HF_HOME", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "CUDA_VISIBLE_DEVICES",
)  # fmt: skip
_ALLOWED_PREFIXES = ("OPENBLAS_", "NUMBA_", "MKL_")
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Limits:
    """What one player may take for one message.

    Attributes:
        seconds: wall clock, from its construction to its answer.
        memory_bytes: address space beyond what the import of the plug-in took, and the size of
            any file; under ``namespaces`` also of all files together.
    """

    seconds: float = 60.0
    memory_bytes: int = 4 << 30

    def __post_init__(self) -> None:
        if not 0 < self.seconds < math.inf:
            raise BadInput(
                "A player's time limit must be a positive and finite number of seconds, not "
                f"{self.seconds}."
            )
        if self.memory_bytes < 1 << 20:
            raise BadInput(f"A player needs memory: {self.memory_bytes} bytes are under 1 MiB.")


class NoNamespaces(BadInput):
    """Namespaces are not available here; ``reason`` is the kernel's."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"Namespaces are not available here ({reason}): use isolation 'process'.")


_known: dict[str, str | None] = {}


def learn_namespaces(problem: str | None) -> None:
    """Remember what a player met who tried: None if it has its namespaces, else why not."""
    _known["namespaces"] = problem


def namespaces_problem() -> str | None:
    """Return None if namespaces can be had here, else why not; who asks first has it probed."""
    if "namespaces" not in _known:
        learn_namespaces(_probe())
    return _known["namespaces"]


def _probe() -> str | None:
    """Try it in a child of a process of its own, which has one thread."""
    command = [sys.executable, "-P", "-m", __package__ + ".namespaces"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            env=allowed_environment(os.environ),
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return str(exc)
    if done.returncode == 0:
        return None
    return done.stderr.decode(errors="replace").strip() or "the probe died"


def namespaces_available() -> bool:
    """Return whether players can have their own namespaces here."""
    return namespaces_problem() is None


@cache
def landlock_available() -> bool:
    """Return whether ``process`` isolation can be hardened by Landlock here."""
    return landlock.version() > 0


def default_isolation(builtin: bool) -> str:
    """Return the isolation a target gets unless told otherwise: inline for our own code only."""
    if builtin:
        return "inline"
    return "namespaces" if namespaces_available() else "process"


def check_isolation(isolation: str) -> None:
    """Raise BadInput unless this isolation exists and can be had here."""
    check_name(isolation)
    problem = namespaces_problem() if isolation == "namespaces" else None
    if problem is not None:
        raise NoNamespaces(problem)


def check_name(isolation: str) -> None:
    """Raise BadInput unless this isolation exists; whether it can be had shows who begins."""
    if isolation not in ISOLATIONS:
        hint = did_you_mean(isolation, ISOLATIONS)
        raise BadInput(f"There is no isolation {isolation!r}.{hint}")


def allowed_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return the part of our environment that players may see, and one thread for everybody."""
    allowed = {
        name: value
        for name, value in ours.items()
        if name in _ALLOWED or name.startswith(_ALLOWED_PREFIXES)
    }
    allowed.update(dict.fromkeys(_ONE_THREAD, "1"))
    allowed["PYTHONHASHSEED"] = "0"
    allowed["PYTHONDONTWRITEBYTECODE"] = "1"
    if site.ENABLE_USER_SITE:
        # HOME is another one there, but packages and models lie under ours.
        allowed["PYTHONUSERBASE"] = site.getuserbase()
    # A hub would be asked in vain, and for minutes: what is not in its cache is not there.
    allowed.setdefault("HF_HUB_OFFLINE", "1")
    home = _home()
    if home is None:
        return allowed
    allowed.setdefault("HF_HOME", str(home / ".cache" / "huggingface"))
    if "NUMBA_CACHE_DIR" not in allowed and not _kernels_cached_in_tree():
        cache_home = ours.get("XDG_CACHE_HOME") or str(home / ".cache")
        allowed["NUMBA_CACHE_DIR"] = str(Path(cache_home) / "numba")
    return allowed


def _home() -> Path | None:
    """Our home, if any: a container's user may have neither HOME nor an entry in passwd."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def _kernels_cached_in_tree() -> bool:
    """Whether numba keeps our kernels beside the code: it does where it may write there."""
    return os.access(Path(__file__).resolve().parent, os.W_OK)


def environment(private: str) -> dict[str, str]:
    """Return the whole environment of a process that plays; HOME and TMPDIR are in ``private``."""
    given = allowed_environment(os.environ)
    return {**given, "HOME": f"{private}/home", "TMPDIR": f"{private}/tmp"}
