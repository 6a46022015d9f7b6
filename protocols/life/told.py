"""Findings of many trials, told once each."""

from __future__ import annotations

from typing import Any


def merged(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One finding for each code, operation and severity, the shortest; ``ways`` says in which."""
    by_key: dict[tuple[str, ...], dict[str, Any]] = {}
    for one in found:
        names = {step.split()[0] for step in one["reproduction"]}
        key = one["code"], *sorted(names - {"append", "append-each", "switch", "ask", "extend"})
        known = by_key.get(key)
        ways = [*(known["ways"] if known else []), one["way"] or "as it is"]
        times = one["times"] + (known["times"] if known else 0)
        best = min((known, one), key=_length) if known else one
        by_key[key] = {**best, "ways": list(dict.fromkeys(ways)), "times": times}
    return sorted(
        by_key.values(), key=lambda one: (SEVERITIES.index(one["severity"]), _length(one))
    )


SEVERITIES = ("error", "warning", "note")


def _length(one: dict[str, Any]) -> tuple[int, int]:
    return len(one["reproduction"]), len(one["detail"])
