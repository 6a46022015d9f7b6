"""The committed baseline: the whole catalog on small instances, under the two regress keys."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from fractions import Fraction
from importlib import resources
from pathlib import Path

from ..compressors.catalog import entry
from ..compressors.zoo import FAMILIES, ZOO
from ..protocols.game.cell import Cell
from ..protocols.game.instances import (
    Alphabet,
    HeavyHitters,
    Index,
    KeyPayload,
    LinearIndex,
    SlidingWindow,
    Tensor,
    Visual,
)
from .results import Results, write_results
from .rows import union
from .runner import Step, run_cells
from .stopping import FixedMessages

KEYS = ("regress", "regress-2")
MESSAGES = 32
"""The exact sign test at 1e-6 over this family needs at least 28 messages of a cell."""

INSTANCES = (
    Index(n=64, d=32),
    Index(n=64, d=16, keys="kerdock", values="pm1"),
    Index(n=64, d=32, keys="hypercube", eta=None, gamma=0.1),
)
TURNED = Index(n=64, d=32, queries="decoy", basis="rotated")
PLANTED = HeavyHitters(n=256, d=16)
WINDOW = SlidingWindow(n=96, d=16, window=33)
TENSOR = Tensor(n=17, d=64)
VISUAL = Visual(n=30, d=16)
PAYLOAD = KeyPayload(n=64, d=16)
LEVELS = Alphabet(n=64, d=32, levels=16, eta=0.1)
LINEAR = LinearIndex(n=64, d=32, eta=None, gamma=0.01)


def path(key: str) -> Path:
    """The path of a key's committed baseline: inside the package, so that the wheel has it."""
    return Path(str(resources.files(__package__) / "baselines" / f"{key}.csv"))


def paths() -> list[Path]:
    """The committed baselines, one file a key."""
    return [path(key) for key in KEYS]


def cells() -> list[Cell]:
    """Every compressor of the catalog at a setting where it makes errors, if it has one."""
    first, second, third = INSTANCES
    cells = [Cell(first, "exact", (("dtype", dtype),)) for dtype in ("fp32", "fp16", "bf16", "fp8")]
    cells += [
        Cell(instance, name, budget=budget)
        for instance in INSTANCES
        for name in ("sliding-window", "streaming-llm", "reservoir")
        for budget in (Fraction(1, 4), Fraction(3, 4))
    ]
    cells += [
        Cell(first, "quantized", (("axis", axis), ("bits", bits)))
        for axis in ("token", "channel")
        for bits in (1, 2, 4, 8)
    ]
    cells += [Cell(second, "covering-code", (("code", code),)) for code in ("hamming", "golay")]
    cells += [Cell(third, "time-sharing", budget=Fraction(1, 64))]
    cells += [Cell(instance, name) for instance in INSTANCES for name in ("zero", "lossless")]
    cells += [
        Cell(first, "top-k", (("k", 2),), Fraction(1, 2)),
        Cell(first, "subgen", (("delta", 0.5), ("s", 128), ("t", 2))),
    ]
    return cells + _zoo() + _other_reductions() + _other_secrets()


def _zoo() -> list[Cell]:
    """Every algorithm of the zoo once on turned values, where most of them err, and once planted.

    At half the 16-bit cache, or at the second setting of a knob that is not the budget.
    """
    cells = []
    for kind in ZOO:
        for one in map(entry, FAMILIES[kind]):
            turned = replace(TURNED, **one.own_size)
            params = tuple(one.settings[1].items()) if one.settings else ()
            budget = None if one.settings else Fraction(1, 2)
            cells += [Cell(turned, one.name, params, budget)]
            if not one.own_size:
                cells += [Cell(PLANTED, one.name, params, budget)]
    return cells


def _other_reductions() -> list[Cell]:
    window = [("running-sum", (("window", 17),)), ("algorithm-1", (("copies", 4),)), ("exact", ())]
    return [
        *(Cell(WINDOW, name, params) for name, params in window),
        *(Cell(TENSOR, "four-cache", (("dtype", dtype),)) for dtype in ("fp8", "fp32")),
        Cell(TENSOR, "two-cache"),
        *(Cell(VISUAL, name, budget=Fraction(3, 4)) for name in ("sliding-window", "reservoir")),
        Cell(VISUAL, "exact"),
        *(
            Cell(instance, "time-sharing", budget=Fraction(1, 128))
            for instance in (WINDOW, TENSOR, VISUAL)
        ),
    ]


def _other_secrets() -> list[Cell]:
    """Bits in keys, many levels a number, all answers read together: at two memories each."""
    settings = [("exact", (("dtype", "fp8"),), None), ("reservoir", (), Fraction(1, 2))]
    return [
        Cell(instance, name, params, budget)
        for instance in (PAYLOAD, LEVELS, LINEAR)
        for name, params, budget in settings
    ]


def measure(
    *, executor: Executor | None = None, progress: Callable[[Step], None] | None = None
) -> list[Path]:
    """Play the baselines again and replace the committed files."""
    for key in KEYS:
        store = Results()
        run_cells(
            cells(),
            store,
            stopping=FixedMessages(MESSAGES),
            keys=key,
            executor=executor,
            progress=progress,
        )
        write_results(path(key), union(store.rows))
    return paths()
