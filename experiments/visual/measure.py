"""Visual autoregression: Index in the earlier maps of a pyramid, read by blocks of queries.

Two tables. ``visual-game.csv``: the game at the pyramid 1, 2, 3, 4, 5, 6, 8, 10, 13, 16 (424
tokens before the last map, Kerdock keys, d = 64) with the catalog, and half-size messages where it
is cut earlier. ``visual-sides.csv``: tokens and bits decoded against the side of the last map, for
pyramids of one shape and for the published ones.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ...protocols.game.cell import Cell
from ...protocols.game.instance import Instance
from ...protocols.game.instances import Visual
from ..kit.direct_play import play
from ..kit.played import play_table
from ..kit.run import Run
from ..kit.tables import Tables, fill

PLAYED, SIDES = "visual-game.csv", "visual-sides.csv"
D = 64
WHOLE = 424
MESSAGES = {"quick": 32, "full": 256}
FORMATS = ("fp32", "fp16", "bf16", "fp8")
CACHES = ("sliding-window", "streaming-llm", "reservoir")
BUDGETS = tuple(Fraction(k, 4) for k in (1, 2, 4, 5, 6, 7, 8))
CUTS = (30, 55, 91, 155, 255, WHOLE)

# Tian et al. 2024, the published models for pictures of 256, 512 and 1024 pixels.
PUBLISHED = (
    (1, 2, 3, 4, 5, 6, 8, 10, 13, 16),
    (1, 2, 3, 4, 6, 9, 13, 18, 24, 32),
    (1, 2, 3, 4, 5, 7, 9, 12, 16, 21, 27, 36, 48, 64),
)
ENLARGED, DOUBLING, MODELS, CUT = (
    "the pyramid up to 16, enlarged",
    "sides doubling from 1",
    "the published models",
    "the pyramid up to 16, cut",
)
SHAPES = (ENLARGED, DOUBLING)
STEPS = {"quick": {ENLARGED: 3, DOUBLING: 6}, "full": {ENLARGED: 4, DOUBLING: 7}}
SIDE_MESSAGES = {"quick": 2, "full": 8}

Point = dict[str, Any]


def pyramids(scale: str) -> list[tuple[str, tuple[int, ...]]]:
    """Family and sides of every pyramid of the second table."""
    steps = STEPS[scale]
    base = PUBLISHED[0]
    found = [(ENLARGED, tuple(t * s for s in base)) for t in range(1, steps[ENLARGED] + 1)]
    found += [(DOUBLING, tuple(2**k for k in range(m + 1))) for m in range(3, steps[DOUBLING] + 1)]
    found += [(MODELS, sides) for sides in PUBLISHED]
    found += [(CUT, base[:k]) for k in range(5, len(base) + 1)]
    return found


def cells(scale: str) -> list[Cell]:
    """What is played in the game."""
    whole = _instance(WHOLE)
    found = [
        *(Cell(_instance(n), "time-sharing", budget=Fraction(1, 64)) for n in CUTS),
        *(Cell(whole, "time-sharing", budget=Fraction(k, 256)) for k in (1, 2, 3, 5, 6, 7)),
        *(Cell(_instance(n), "exact", (("dtype", "fp16"),)) for n in CUTS[:-1]),
        *(Cell(whole, "exact", (("dtype", dtype),)) for dtype in FORMATS),
        *(Cell(whole, "covering-code", (("code", code),)) for code in ("hamming", "golay")),
        Cell(whole, "lossless"),
        Cell(whole, "zero"),
        *(Cell(whole, "quantized", (("bits", bits),)) for bits in (1, 2, 4, 8)),
        *(Cell(whole, name, budget=budget) for name in CACHES for budget in BUDGETS),
    ]
    return found


def _instance(n: int) -> Instance:
    return Visual(n=n, d=D, keys="kerdock")


def run(job: Run) -> None:
    """Fill both tables; what they have already is not done again."""
    job.folder.mkdir(parents=True, exist_ok=True)
    _sides(job)
    play_table(job, PLAYED, cells(job.scale), MESSAGES[job.scale])


def _sides(job: Run) -> None:
    # The largest first, so that none is left over for one worker alone.
    tasks = sorted(pyramids(job.scale), key=lambda task: -task[1][-1])
    messages = SIDE_MESSAGES[job.scale]
    plan: Tables = {SIDES: [(measure, (*task, messages)) for task in tasks]}
    fill(job, "visual", plan, {SIDES: _in_order})


def _in_order(rows: list[Point]) -> list[Point]:
    return sorted(rows, key=lambda row: (row["family"], row["side"]))


def measure(family: str, sides: tuple[int, ...], messages: int) -> Point:
    """Certify one pyramid and decode it from exact attention, hypercube keys (any n)."""
    from ...reductions.visual import VisualReduction, earlier_tokens

    hard = VisualReduction.build(n=earlier_tokens(sides), d=D, keys_name="hypercube", pyramid=sides)
    name = "visual " + " ".join(map(str, sides))
    played = play(hard, name, "exact", messages, params={"dtype": "fp16"})
    secret = hard.rows * hard.width
    wrong = round(sum(played.errors) * secret)
    return {
        "family": family, "sides": " ".join(map(str, sides)), "side": sides[-1],
        "tokens": hard.tokens, "block": hard.block, "d": D, "scale": hard.scale,
        "messages": messages, "asked_bits": messages * secret, "wrong_bits": wrong,
        "certified_bits": secret if wrong == 0 else 0,
    }  # fmt: skip
