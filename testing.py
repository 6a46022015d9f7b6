"""A cache's own test: one line in pytest.

    from kvbarrier.testing import assert_cache

    def test_my_cache():
        assert_cache(MyCache, expect=["keeps=all", "bits=4"])

It runs ``kvbarrier check`` and fails for what is found, each cause with an exception of its own, so
that a report tells a cache that never compressed from one that loses tokens after an operation.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .protocols.check.findings import CheckReport, Finding

__all__ = [
    "BitsLost",
    "BrokenContract",
    "BytesOverDeclared",
    "CacheFault",
    "NeverCompressed",
    "OperationBroken",
    "assert_cache",
]


class CacheFault(AssertionError):
    """What a check found. ``findings`` are its errors; ``again`` is a command that repeats it."""

    def __init__(self, findings: Sequence[Finding], again: str) -> None:
        parts = [
            f"{one.title} [{one.code}]: {one.detail}"
            + "".join(f"\n    {line}" for line in one.reproduction)
            for one in findings
        ]
        super().__init__("\n".join([*parts, f"Repeat it: {again}"]))
        self.findings = tuple(findings)
        self.again = again


class NeverCompressed(CacheFault):
    """Compression never engaged: the message is as large as a cache of 16 bits a number."""


class BytesOverDeclared(CacheFault):
    """It takes more bytes than were declared, or than its budget."""


class OperationBroken(CacheFault):
    """After an operation it does not hold what it should: tokens are lost, or dead ones answer."""


class BrokenContract(CacheFault):
    """It raises, hangs, leaves state outside its message, or answers in a wrong shape."""


class BitsLost(CacheFault):
    """Bits are lost that should be held: a declaration is refuted, or tokens lost with no gain."""


_BYTES = {"never-engaged", "over-declared", "over-budget", "declared-length", "budget-unused"}
_NEVER = "compression never engaged"


def cause(finding: Finding) -> type[CacheFault]:
    """The exception that belongs to a finding.

    >>> from kvbarrier.protocols.check.findings import finding
    >>> cause(finding("comes-back", "")).__name__, cause(finding("raises", "")).__name__
    ('BitsLost', 'BrokenContract')
    """
    from .protocols.check.kinds_of_laws import LAWS

    if finding.code in _BYTES:
        return NeverCompressed if _NEVER in finding.detail else BytesOverDeclared
    if finding.code == "operation-broken":
        return OperationBroken
    return BitsLost if any(finding.code == law.code for law in LAWS) else BrokenContract


def assert_cache(
    cache: Any,
    *,
    expect: Any = None,
    params: Mapping[str, Any] | None = None,
    seconds: float = 60.0,
) -> CheckReport:
    """Check a cache, and fail unless nothing was found that is an error.

    Args:
        cache: a class, the path of its file, or any target of the command line.
        expect: what it declares: one word of ``--expect``, several, or a mapping such as
            ``{"keeps": "all", "bits": 4}``; it stands for the declaration of the class.
        params: its own parameters.
        seconds: the time limit of the whole check.

    Returns:
        The report, with its warnings and notes.

    Raises:
        CacheFault: one of its subclasses, of the first cause in this order: BrokenContract,
            NeverCompressed, BytesOverDeclared, BitsLost, OperationBroken; its text has all
            findings of that cause and a command that repeats the check.
        BadInput: there is no such target, parameter or declaration.

    >>> assert_cache("exact", params={"dtype": "fp16"}, expect=["keeps=all"]).errors
    ()
    """
    from .api import check
    from .compressors.plugin.by_value import target_of
    from .compressors.plugin.declaration import Declaration

    declared = Declaration.of(expect)
    words = () if declared is None else declared.words()
    target = target_of(cache)
    report = check(target, params=params, expect=words, seconds=seconds)
    if report.errors:
        causes = [cause(one) for one in report.errors]
        order = (BrokenContract, NeverCompressed, BytesOverDeclared, BitsLost, OperationBroken)
        first = next(one for one in order if one in causes)
        own = [f for f, c in zip(report.errors, causes, strict=True) if c is first]
        raise first(own, _again(target, words, params or {}))
    return report


def _again(target: str, expect: Sequence[str], params: Mapping[str, Any]) -> str:
    words = [f"--expect {shlex.quote(word)}" for word in expect]
    words += [f"--param {shlex.quote(f'{name}={value}')}" for name, value in params.items()]
    return " ".join(["kvbarrier check", shlex.quote(target), *words])
