"""Natural text beside the hard instance: who loses bits there, and who loses sense here.

The same compressors, at the same memory, on the keys, values and queries that a real language model
(SmolLM2-135M-Instruct) has on prose, code, tables and text in many languages. A prompt of 512
tokens becomes one message a KV head; then 64 tokens follow, answered from the restored caches in
all layers, and the model's own losses on them are compared with those of its full cache. Memory is
that of the messages; what comes later is kept as each method keeps it. The hard instance has as
many tokens, of the same dimension.

``natural-texts.csv``: the texts, by digest, and the model's loss on each. ``natural-loss.csv``: by
text and compressor the error of attention outputs, the increase of next-token loss, and memory.
``natural-hard.csv``: the bit error of the same compressors on the hard instance, literal and
rotated. ``natural-geometry.csv``: by text and layer, how far queries spread their scores and how
keys lie, beside the hard instance's own. ``natural-ranges.csv``: the logit range that certifies n
tokens in the model's dimension.

Torch and the model live in an environment of their own; a text is measured there (``engines.
natural.worker``), in batches, for the model takes a while to load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ...compressors.catalog import family
from ...compressors.engines.natural import geometry
from ...compressors.engines.natural.process import asked
from ...compressors.engines.natural.texts import KINDS
from ...protocols.game.instance import Instance
from ...protocols.game.instances import BASES, Index
from ...reductions.key_choice import smallest_range
from ..kit.direct_play import play
from ..kit.run import Run
from ..kit.tables import Row, Tables, fill

TEXTS, LOSS = "natural-texts.csv", "natural-loss.csv"
HARD, GEOMETRY, RANGES = "natural-hard.csv", "natural-geometry.csv", "natural-ranges.csv"
PROMPT, CONTINUATION, EVERY, D = 512, 64, 4, 64
#: bits of one head's prompt in 16-bit numbers, budget 1
HEAD_BITS = 16 * PROMPT * 2 * D
_HEADS = 30 * 3
TEXTS_A_KIND = {"quick": 2, "full": 8}
#: texts a process
BATCH = 4
MESSAGES = {"quick": 4, "full": 16}
CERTIFIED = (512, 4096, 65536)


@dataclass(frozen=True)
class Setting:
    """A compressor at a budget, or with parameters and whatever memory these take."""

    target: str
    budget: Fraction | None = None
    params: tuple[tuple[str, Any], ...] = ()

    @property
    def label(self) -> str:
        """As in tables and figures.

        >>> Setting("h2o", Fraction(1, 8)).label, Setting("kivi", params=(("bits", 2),)).label
        ('h2o 1/8', 'kivi bits=2')
        """
        words = [f"{name}={value}" for name, value in self.params]
        return " ".join([self.target, *([str(self.budget)] if self.budget else []), *words])

    @property
    def budget_bits(self) -> int | None:
        """Of one head."""
        return None if self.budget is None else int(self.budget * HEAD_BITS)


def _at(target: str, *budgets: Fraction) -> list[Setting]:
    return [Setting(target, budget) for budget in budgets]


def _with(target: str, *params: Mapping[str, Any]) -> list[Setting]:
    return [Setting(target, None, tuple(one.items())) for one in params]


_SIXTEENTH, _EIGHTH, _QUARTER, _HALF = (Fraction(1, 2**k) for k in (4, 3, 2, 1))
FULL_CACHE = Setting("exact", None, (("dtype", "fp32"),))
QUICK = (
    FULL_CACHE,
    *_at("snapkv", _EIGHTH, _HALF),
    *_at("h2o", _EIGHTH),
    *_at("streaming-llm", _EIGHTH),
    *_at("reservoir", _EIGHTH),
    *_with("quantized", {"bits": 2}, {"bits": 4}),
    *_with("kivi", {"bits": 2, "residual": 32}),
)
MORE = (
    *_at("snapkv", _SIXTEENTH, _QUARTER),
    *_at("h2o", _SIXTEENTH, _QUARTER, _HALF),
    *_at("streaming-llm", _SIXTEENTH, _QUARTER, _HALF),
    *_at("reservoir", _QUARTER, _HALF),
    *_at("sliding-window", _EIGHTH, _HALF),
    *_at("tova", _EIGHTH, _QUARTER),
    *_at("scissorhands", _EIGHTH, _QUARTER),
    *_with("quantized", {"bits": 1}, {"bits": 8}, {"bits": 2, "axis": "channel"}),
    *_with("kivi", {"bits": 1, "residual": 32}, {"bits": 4, "residual": 32}),
    *_with("skvq", {"k_bits": 2, "v_bits": 2, "window": 32}),
    *_with("turboquant", {"bits": 2}, {"bits": 4}),
    *_with("polarquant", {"first": 4, "others": 2}),
    *_at("leankv", _EIGHTH, _QUARTER),
    *_at("cachegen", _EIGHTH, _QUARTER),
    *_at("low-rank", _EIGHTH, _QUARTER),
)
SETTINGS = {"quick": QUICK, "full": (*QUICK, *MORE)}


def run(job: Run) -> None:
    """Measure what is missing.

    Raises:
        BadInput: the model's environment is not installed, or lacks something.
    """
    settings = SETTINGS[job.scale]
    # Kinds take turns, so that every batch has some of each.
    names = [(kind, KINDS[kind][0][i]) for i in range(TEXTS_A_KIND[job.scale]) for kind in KINDS]
    batches = [tuple(names[at : at + BATCH]) for at in range(0, len(names), BATCH)]
    tables: Tables = {
        (TEXTS, LOSS, GEOMETRY): [
            *((on_texts, (batch, settings)) for batch in batches),
            (on_hard_instance, ()),
        ],
        HARD: [(hard, (one, basis, MESSAGES[job.scale])) for one in settings for basis in BASES],
        RANGES: [(certified, (n,)) for n in CERTIFIED],
    }
    fill(job, "natural", tables)


# -- natural -----------------------------------------------------------------------------------


def on_texts(
    texts: tuple[tuple[str, str], ...], settings: tuple[Setting, ...]
) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows of the three tables for some texts, given by kind and name.

    Raises:
        BadInput: the sentence of whoever measures, or that it ended without one.
    """
    answer = _measured(texts, settings)
    facts, losses, lie = [], [], []
    for text in answer["texts"]:
        where = {"kind": text["kind"], "text": text["name"]}
        facts.append(where | {
            "digest": text["digest"], "tokens": PROMPT + CONTINUATION, "loss": text["loss"],
            **answer["versions"],
        })  # fmt: skip
        for setting, found in zip(settings, text["settings"], strict=True):
            losses.append(where | {
                "setting": setting.label, "compressor": setting.target,
                "family": family(setting.target),
                "share": found["charged_bits"] / (_HEADS * HEAD_BITS),
                "charged_bits": found["charged_bits"], "wire_bytes": found["wire_bytes"],
                "attention_error": found["attention_error"], "loss": found["loss"],
                "increase": found["loss"] - text["loss"],
            })  # fmt: skip
        lie += [where | {"layer": l} | layer for l, layer in enumerate(text["geometry"])]
    return facts, losses, lie


def _measured(texts: Sequence[tuple[str, str]], settings: Sequence[Setting]) -> dict[str, Any]:
    return asked("worker", {
        "texts": texts, "prompt": PROMPT, "continuation": CONTINUATION, "every": EVERY,
        "settings": [
            {"target": s.target, "params": dict(s.params), "budget_bits": s.budget_bits}
            for s in settings
        ],
    })  # fmt: skip


def increases(settings: Sequence[Setting]) -> list[float]:
    """By how much each setting raises the model's loss, in nats a token: the mean over a text of
    each kind.

    Raises:
        BadInput: as :func:`on_texts`.
    """
    answer = _measured([(kind, names[0]) for kind, (names, _) in KINDS.items()], settings)
    found = [[one["loss"] - text["loss"] for one in text["settings"]] for text in answer["texts"]]
    return [float(increase) for increase in np.mean(found, axis=0)]


# -- hard --------------------------------------------------------------------------------------


def _instance(basis: str) -> Instance:
    return Index(n=PROMPT, d=D, keys="kerdock", basis=basis)


def hard(setting: Setting, basis: str, messages: int) -> Row:
    """The bit error of a setting on the hard instance."""
    instance = _instance(basis)
    played = play(
        instance.build(),
        instance.id,
        setting.target,
        messages,
        params=dict(setting.params),
        budget=setting.budget_bits,
    )
    return {
        "setting": setting.label, "compressor": setting.target, "basis": basis, "n": PROMPT, "d": D,
        "messages": messages, "share": float(np.mean(played.charged)) / HEAD_BITS,
        "bit_error": float(np.mean(played.errors)),
        "least": min(played.errors), "most": max(played.errors),
    }  # fmt: skip


def on_hard_instance() -> tuple[list[Row], list[Row], list[Row]]:
    """The geometry of the hard instance, as a text of one layer among the others."""
    reduction = _instance("literal").build()
    _, keys, _ = reduction.stream(np.zeros((reduction.rows, reduction.width), dtype=np.uint8))
    queries, _, _ = reduction.queries(np.arange(1, reduction.rows))
    found = geometry.mean([geometry.of_head(queries, keys)])
    return [], [], [{"kind": "hard", "text": "kerdock", "layer": 0} | found]


def certified(n: int) -> Row:
    """The least logit range that certifies n tokens, as ``bounds`` has it."""
    choice = smallest_range(n, D)
    return {"n": n, "d": D, "keys": choice.keys, "logit_range": choice.logit_range}
