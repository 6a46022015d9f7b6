"""Facts of a host that change floats, and the versions that do: what ``regress`` compares first.

Two hosts match when all of :func:`host_facts` and :data:`NUMERIC` versions are equal, and PyTorch's
where an engine computes with it: then the same code must give the same counts, message by message.
Elsewhere a margin is allowed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

NUMERIC = ("numpy", "numba", "llvmlite")
SETTINGS = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_DISABLE_JIT", "NPY_DISABLE_CPU_FEATURES")


@lru_cache(maxsize=1)
def host_facts() -> dict[str, Any]:
    """BLAS cores in use, the CPU, the system, and settings that pin either; plain data.

    ``blas`` lists "library version core" of every BLAS loaded, e.g. ``openblas 0.3.31 Haswell``.
    """
    import numpy  # noqa: F401  (its BLAS must be loaded before it can be listed)
    from threadpoolctl import threadpool_info

    blas = sorted(
        " ".join(str(info.get(part)) for part in ("internal_api", "version", "architecture"))
        for info in threadpool_info()
        if info.get("user_api") == "blas" and "numpy" in str(info.get("filepath"))
    )
    facts: dict[str, Any] = {
        "blas": blas,
        "cpu": cpu_name(),
        "machine": platform.machine(),
        "system": platform.system(),
    }
    settings = {name: os.environ[name] for name in SETTINGS if name in os.environ}
    return facts | ({"settings": settings} if settings else {})


@lru_cache(maxsize=1)
def cpu_name() -> str:
    """The model of the CPU as the system tells it, or the machine's architecture."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            facts = dict(line.split(":", 1) for line in file if ":" in line)
    except OSError:
        return platform.processor() or platform.machine()
    stripped = {name.strip(): value.strip() for name, value in facts.items()}
    parts = [stripped.get(name, "") for name in ("model name", "cpu family", "model", "stepping")]
    return "/".join(part for part in parts if part) or platform.machine()


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions of kvbarrier, Python, and what computes for us."""
    found = {"python": platform.python_version()}
    for name in ("kvbarrier", *NUMERIC):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def hosts_match(
    host: Mapping[str, Any],
    versions_: Mapping[str, str],
    other: Mapping[str, Any],
    other_versions: Mapping[str, str],
) -> bool:
    """Whether floats must be bit-equal: all host facts and the versions of what computes.

    >>> hosts_match({"cpu": "a"}, {"numpy": "2"}, {"cpu": "a"}, {"numpy": "2", "python": "3"})
    True
    >>> hosts_match({"cpu": "a"}, {"numpy": "2"}, {"cpu": "b"}, {"numpy": "2"})
    False
    >>> hosts_match({"cpu": "a"}, {"torch": "2.4"}, {"cpu": "a"}, {"torch": "2.5"})
    False
    """
    numeric = all(versions_.get(name) == other_versions.get(name) for name in (*NUMERIC, "torch"))
    return numeric and dict(host) == dict(other)
