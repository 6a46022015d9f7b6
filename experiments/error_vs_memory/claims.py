"""Where the baselines and the controls stand: at the limit, on a line, or never below the curve."""

from __future__ import annotations

from collections.abc import Callable

from ...protocols.evidence.verdicts import LEVEL
from ...reductions.bounds import CODES
from ...runs.points import series_label
from ...runs.rows import BatchRow
from ..kit.experiment import Judgement, claim, judge
from ..kit.planted import none_below_fano, none_impossible
from .measure import CACHES, POINTS, ROWS, Point

Points = list[Point]
# 64 messages of 2^15 bits: an estimate's own spread is .0004, far below its distribution-free bar.
CLOSE = 0.005


@claim("memory.possible", "Theorem 23", "ours", ROWS)
def possible(rows: list[BatchRow]) -> Judgement:
    """No compressor's charged memory is impossible, where that of a cheat without an error is."""
    return none_impossible(rows)


@claim("memory.fano", "Theorem 5", "ours", ROWS)
def fano(rows: list[BatchRow]) -> Judgement:
    """No point's interval lies below Fano's curve M/N = 1 - h(e), where that of a cheat without an
    error does.
    """
    return none_below_fano(rows)


@claim("memory.lossless", "observation", "ours", POINTS)
def lossless(points: Points) -> Judgement:
    """N bits suffice on this instance: charged = N exactly, no error."""
    chosen = _named(points, "lossless")
    exact = all(p["charged_bits"] == p["secret_bits"] and p["wrong_bits"] == 0 for p in chosen)
    return judge(
        exact and bool(chosen),
        f"{_messages(chosen)}; charged/secret bits = {chosen[0]['bits_per_secret_bit']:g}, "
        f"wrong bits = {chosen[0]['wrong_bits']}",
    )


def _named(points: Points, *names: str) -> Points:
    return [point for point in points if point["compressor"] in names]


def _messages(chosen: Points) -> str:
    return f"{len(chosen)} points, {sum(p['messages'] for p in chosen)} messages"


@claim("memory.eviction", "observation", "ours", POINTS)
def eviction(points: Points) -> Judgement:
    """Keeping a fraction f of the tokens leaves error (1 - f)/2."""
    return _on_the_line(_named(points, *CACHES), _eviction)


def _eviction(point: Point) -> float:
    # fp16 rows of a key and a value: 32 d bits a kept token, after the fixed state (a counter).
    n = int(point["n"])
    kept: float = int(point["charged_bits"]) // int(point["messages"]) // (32 * int(point["d"]))
    # Bob's own token takes a place: always in a window, with probability kept/(n+1) in a sample.
    kept -= kept / (n + 1) if point["compressor"] == "reservoir" else 1
    return (1 - kept / n) / 2


def _on_the_line(chosen: Points, expected: Callable[[Point], float]) -> Judgement:
    """Does every interval hold the expected error?"""
    off = [p for p in chosen if not p["bit_error"]["low"] <= expected(p) <= p["bit_error"]["high"]]
    gap = max(abs(p["bit_error"]["estimate"] - expected(p)) for p in chosen)
    close = gap <= CLOSE
    outside = [f"{series_label(p)} at {p['bits_per_secret_bit']:.3g}" for p in off]
    return judge(
        close and not off,
        f"{_messages(chosen)}; largest distance from the value {gap:.4f} (allowed {CLOSE:g}); "
        f"intervals ({LEVEL:.0%}) that miss it: {', '.join(outside) or 'none'}",
    )


@claim("memory.time-sharing", "observation", "ours", POINTS)
def time_sharing(points: Points) -> Judgement:
    """Storing a share of the bits lies on e = (1 - M/N)/2."""
    return _on_the_line(_named(points, "time-sharing"), _time_sharing)


def _time_sharing(point: Point) -> float:
    return (1 - float(point["bits_per_secret_bit"])) / 2


@claim("memory.codes", "observation", "ours", POINTS)
def codes(points: Points) -> Judgement:
    """Hamming(7,4) and Golay(23,12) reach 1/8 and 5842/(2048*23)."""
    chosen = _named(points, "covering-code")
    published = {
        name: float(code.distortion)
        for code in CODES
        for name, prefix in (("hamming", "Hamming(7,"), ("golay", "Golay(23,"))
        if code.name.startswith(prefix)
    }
    if not chosen:
        return judge(False, "no points")
    return _on_the_line(chosen, lambda p: published[str(p["params"]["code"])])


@claim("memory.trellis", "observation", "ours", POINTS)
def trellis(points: Points) -> Judgement:
    """The limit is a limit and not a habit: a trellis source coder of rate 1/2 with 256 states errs
    at most .121, where .110 is the floor.

    At most .121 with 256 states, and above Shannon's floor with any.
    """
    chosen = _named(points, "trellis-code")
    errors = {int(p["params"]["states"]): p["bit_error"]["estimate"] for p in chosen}
    floor = max((p["error_floor"] for p in chosen), default=1.0)
    best = errors.get(256, 1.0)
    said = ", ".join(f"{states} states {error:.4f}" for states, error in sorted(errors.items()))
    return judge(
        floor < best <= 0.121,
        f"{_messages(chosen)} of half of the secret's bits: {said}; the floor is {floor:.4f}",
    )


@claim("memory.guess", "observation", "ours", POINTS)
def guess(points: Points) -> Judgement:
    """An empty message leaves error 1/2."""
    return _on_the_line(_named(points, "zero"), lambda p: 0.5)


@claim("memory.floats", "Theorem 8", "ours", POINTS)
def floats(points: Points) -> Judgement:
    """Here the full cache decodes without error in fp32, fp16, bf16, fp8."""
    chosen = _named(points, "exact")
    wrong = sum(p["wrong_bits"] for p in chosen)
    asked = sum(p["asked_bits"] for p in chosen)
    return judge(
        wrong == 0,
        f"{_messages(chosen)} in fp32, fp16, bf16 and fp8; {wrong} wrong of {asked:,} bits",
    )
