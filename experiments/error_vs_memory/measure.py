"""Error against memory for the baselines and the controls, each at several settings of its knob.

The Index game at n = 512, d = 64 on jl keys, with committed secrets that all compressors share.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from ...protocols.game.cell import Cell
from ...protocols.game.instances import Index
from ...reductions.bounds import CODES
from ...runs.points import points_of, series_label
from ...runs.results import read_results
from ...runs.rows import newest
from ..kit.experiment import Claim, Experiment, Judgement, Run, judge
from ..kit.planted import none_below_fano, none_impossible
from ..kit.played import play_table

TABLE = "error-vs-memory.csv"
MESSAGES = {"quick": 64, "full": 256}
SIZE = {"quick": (512, 64), "full": (2048, 128)}
CACHES = ("sliding-window", "streaming-llm", "reservoir")
BUDGETS = tuple(Fraction(1, 2**k) for k in range(6, -1, -1))
LEVEL = 0.95
# 64 messages of 2^15 bits: an estimate's own spread is .0004, far below its distribution-free bar.
CLOSE = 0.005

Point = dict[str, Any]


def cells(scale: str) -> list[Cell]:
    """Every point of the figure."""
    n, d = SIZE[scale]
    cell = partial(Cell, Index(n=n, d=d))
    shares = [Fraction(k, 8 * 32) for k in range(1, 8)]
    return [
        cell("zero"),
        *(cell("time-sharing", budget=share) for share in shares),
        *(cell("covering-code", (("code", code),)) for code in ("hamming", "golay")),
        *(cell("trellis-code", (("states", states),)) for states in (4, 16, 64, 256)),
        cell("lossless"),
        *(cell(name, budget=budget) for name in CACHES for budget in BUDGETS),
        *(
            cell("quantized", (("axis", axis), ("bits", bits)))
            for axis in ("token", "channel")
            for bits in (1, 2, 4, 8)
        ),
        *(cell("exact", (("dtype", dtype),)) for dtype in ("fp8", "bf16", "fp16", "fp32")),
    ]


def run(job: Run) -> None:
    """Play every cell; batches that the table has already are not played again."""
    job.folder.mkdir(parents=True, exist_ok=True)
    play_table(job, TABLE, cells(job.scale), MESSAGES[job.scale])


def points(folder: Path) -> list[Point]:
    """The table as points, each with the name of its curve in the figure."""
    found = points_of(newest(read_results(folder / TABLE)), LEVEL)
    return [point | {"series": _series(point)} for point in found]


def _series(point: Point) -> str:
    # The knob of a curve is not part of its name; what stays is what a reader distinguishes.
    name = str(point["compressor"])
    return f"quantized per {point['params']['axis']}" if name == "quantized" else name


def _named(folder: Path, *names: str) -> list[Point]:
    return [point for point in points(folder) if point["compressor"] in names]


def _messages(chosen: list[Point]) -> str:
    return f"{len(chosen)} points, {sum(p['messages'] for p in chosen)} messages"


def _possible(folder: Path) -> Judgement:
    return none_impossible(read_results(folder / TABLE))


def _above_the_floor(folder: Path) -> Judgement:
    return none_below_fano(read_results(folder / TABLE))


def _lossless(folder: Path) -> Judgement:
    chosen = _named(folder, "lossless")
    exact = all(p["charged_bits"] == p["secret_bits"] and p["wrong_bits"] == 0 for p in chosen)
    return judge(
        exact and bool(chosen),
        f"{_messages(chosen)}; charged/secret bits = {chosen[0]['bits_per_secret_bit']:g}, "
        f"wrong bits = {chosen[0]['wrong_bits']}",
    )


def _on_the_line(
    names: tuple[str, ...], expected: Callable[[Point], float], folder: Path
) -> Judgement:
    """Does every interval hold the expected error?"""
    chosen = _named(folder, *names)
    off = [p for p in chosen if not p["bit_error"]["low"] <= expected(p) <= p["bit_error"]["high"]]
    gap = max(abs(p["bit_error"]["estimate"] - expected(p)) for p in chosen)
    close = gap <= CLOSE
    outside = [f"{series_label(p)} at {p['bits_per_secret_bit']:.3g}" for p in off]
    return judge(
        close and not off,
        f"{_messages(chosen)}; largest distance from the value {gap:.4f} (allowed {CLOSE:g}); "
        f"intervals ({LEVEL:.0%}) that miss it: {', '.join(outside) or 'none'}",
    )


def _eviction(point: Point) -> float:
    # fp16 rows of a key and a value: 32 d bits a kept token, after the fixed state (a counter).
    n = int(point["n"])
    kept: float = int(point["charged_bits"]) // int(point["messages"]) // (32 * int(point["d"]))
    # Bob's own token takes a place: always in a window, with probability kept/(n+1) in a sample.
    kept -= kept / (n + 1) if point["compressor"] == "reservoir" else 1
    return (1 - kept / n) / 2


def _time_sharing(point: Point) -> float:
    return (1 - float(point["bits_per_secret_bit"])) / 2


def _codes(folder: Path) -> Judgement:
    chosen = _named(folder, "covering-code")
    published = {
        name: float(code.distortion)
        for code in CODES
        for name, prefix in (("hamming", "Hamming(7,"), ("golay", "Golay(23,"))
        if code.name.startswith(prefix)
    }
    return _on_the_line(
        ("covering-code",), lambda p: published[str(p["params"]["code"])], folder
    ) if chosen else judge(False, "no points")  # fmt: skip


def _trellis(folder: Path) -> Judgement:
    """At most .121 with 256 states, and above Shannon's floor with any."""
    chosen = _named(folder, "trellis-code")
    errors = {int(p["params"]["states"]): p["bit_error"]["estimate"] for p in chosen}
    floor = max((p["error_floor"] for p in chosen), default=1.0)
    best = errors.get(256, 1.0)
    said = ", ".join(f"{states} states {error:.4f}" for states, error in sorted(errors.items()))
    return judge(
        floor < best <= 0.121,
        f"{_messages(chosen)} of half of the secret's bits: {said}; the floor is {floor:.4f}",
    )


def _floats_decode(folder: Path) -> Judgement:
    chosen = _named(folder, "exact")
    wrong = sum(p["wrong_bits"] for p in chosen)
    asked = sum(p["asked_bits"] for p in chosen)
    return judge(
        wrong == 0,
        f"{_messages(chosen)} in fp32, fp16, bf16 and fp8; {wrong} wrong of {asked:,} bits",
    )


EXPERIMENT = Experiment(
    name="error-vs-memory",
    title="Bit error against charged memory: baselines and controls",
    run=run,
    claims=(
        Claim(
            "memory.possible",
            "Theorem 23",
            "No compressor's charged memory is impossible, where that of a cheat without an error "
            "is",
            "ours",
            (TABLE,),
            _possible,
        ),
        Claim(
            "memory.fano",
            "Theorem 5",
            "No point's interval lies below Fano's curve M/N = 1 - h(e), where that of a cheat "
            "without an error does",
            "ours",
            (TABLE,),
            _above_the_floor,
        ),
        Claim(
            "memory.lossless",
            "observation",
            "N bits suffice on this instance: charged = N exactly, no error",
            "ours",
            (TABLE,),
            _lossless,
        ),
        Claim(
            "memory.eviction",
            "observation",
            "Keeping a fraction f of the tokens leaves error (1 - f)/2",
            "ours",
            (TABLE,),
            partial(_on_the_line, CACHES, _eviction),
        ),
        Claim(
            "memory.time-sharing",
            "observation",
            "Storing a share of the bits lies on e = (1 - M/N)/2",
            "ours",
            (TABLE,),
            partial(_on_the_line, ("time-sharing",), _time_sharing),
        ),
        Claim(
            "memory.codes",
            "observation",
            "Hamming(7,4) and Golay(23,12) reach 1/8 and 5842/(2048*23)",
            "ours",
            (TABLE,),
            _codes,
        ),
        Claim(
            "memory.trellis",
            "observation",
            "The limit is a limit and not a habit: a trellis source coder of rate 1/2 with 256 "
            "states errs at most .121, where .110 is the floor",
            "ours",
            (TABLE,),
            _trellis,
        ),
        Claim(
            "memory.guess",
            "observation",
            "An empty message leaves error 1/2",
            "ours",
            (TABLE,),
            partial(_on_the_line, ("zero",), lambda p: 0.5),
        ),
        Claim(
            "memory.floats",
            "Theorem 8",
            "Here the full cache decodes without error in fp32, fp16, bf16, fp8",
            "ours",
            (TABLE,),
            _floats_decode,
        ),
    ),
    minutes={"quick": 0.6, "full": 60},
)
