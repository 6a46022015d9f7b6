"""What is played: an instance (a family of hard streams) and a cell (a compressor at a budget).

An instance names no compressor, and secrets derive from its id: every compressor, at every budget
and in every version, meets the same messages.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compressors.contract import Shape
from ..errors import BadInput, did_you_mean
from .coins import AGE_BUCKETS

if TYPE_CHECKING:
    from ..reductions.reduction import Reduction

PLANTED = ("heavy-hitters", "clusters", "recency")
REDUCTIONS = ("index", *PLANTED, "sliding-window", "tensor", "visual")
QUERIES = ("zero", "gaussian", "self", "decoy")
BASES = ("literal", "rotated")
TENSOR_KEYS = "quadratic-form"
VALUES = ("01", "pm1")
SCALES = ("tight", "closed", "paper")
MAX_BUDGET = 2


def digest(spec: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits of SHA-256 over the canonical JSON of ``spec``.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Instance:
    """A family of hard streams: n data tokens in dimension d, keys, values and the error allowed.

    Attributes:
        n, d: data tokens and dimension; d_k = d_v = d (2 d for "tensor").
        keys, keys_seed: the public key set (``reductions.keys.make``); left at the default for
            "tensor", which has keys of its own (``keys_played``).
        values: ``"01"`` or ``"pm1"``, the alphabet of the value rows.
        eta, gamma: relative or additive error allowed; exactly one is not None.
        scale: Bob's query scale C, a policy (``"tight"``, ``"closed"``, ``"paper"``) or a number.
        rows: how many rows Bob is asked for, dealt evenly to the 16 age buckets (at least one
            each, and 16 must divide the number of rows); None asks for all.
        reduction: ``"index"`` (Theorems 6 and 8), one of the planted families ``"heavy-hitters"``,
            ``"clusters"`` and ``"recency"``, ``"sliding-window"`` (Theorem 17), ``"tensor"`` or
            ``"visual"`` (the follow-ups).
        window: W of the sliding window, Bob's token included; None for the other reductions.
        layers, heads: of a token, each with a key and a value of its own; "index" only, as are
        queries: Alice's (``QUERIES``), and
        basis: of keys and values (``BASES``); see ``reductions.stream_family``.
    """

    n: int
    d: int
    keys: str = "jl"
    keys_seed: int = 0
    values: str = "01"
    eta: float | None = 0.5
    gamma: float | None = None
    scale: str | float = "tight"
    rows: int | None = None
    reduction: str = "index"
    window: int | None = None
    layers: int = 1
    heads: int = 1
    queries: str = "zero"
    basis: str = "literal"

    def __post_init__(self) -> None:
        if self.reduction not in REDUCTIONS:
            hint = did_you_mean(self.reduction, REDUCTIONS)
            raise BadInput(f"There is no reduction {self.reduction!r}.{hint}")
        if self.values not in VALUES:
            hint = did_you_mean(str(self.values), VALUES)
            raise BadInput(f"Values are '01' or 'pm1', not {self.values!r}.{hint}")
        if (self.eta is None) == (self.gamma is None):
            raise BadInput("Give exactly one of eta (relative error) and gamma (additive error).")
        if isinstance(self.scale, str) and self.scale not in SCALES:
            hint = did_you_mean(self.scale, SCALES)
            raise BadInput(f"There is no scale {self.scale!r}.{hint}")
        if (self.window is None) == (self.reduction == "sliding-window"):
            raise BadInput(
                "The sliding-window reduction, and no other, has a window: give --window with "
                "--reduction sliding-window."
            )
        if self.reduction == "tensor" and (self.keys, self.keys_seed) != ("jl", 0):
            raise BadInput(
                "The tensor reduction has keys of its own, made from quadratic forms: leave --keys "
                "and --seed out."
            )
        for name, known in (("queries", QUERIES), ("basis", BASES)):
            value = getattr(self, name)
            if value not in known:
                hint = did_you_mean(str(value), known)
                raise BadInput(f"There is no choice of {name} '{value}'.{hint}")
        # 3 and 3.0, a NumPy integer and an int, are one instance and must have one id.
        for name in ("n", "d", "keys_seed", "rows", "window", "layers", "heads"):
            self._settle(name, int)
        if self.layers < 1 or self.heads < 1:
            raise BadInput(f"{self.layers} layers of {self.heads} heads are none: give 1 or more.")
        if self.varied and self.reduction != "index":
            raise BadInput(
                f"The {self.reduction} reduction has one head, queries and a basis of its own: "
                "--layers, --heads, --queries and --basis are for --reduction index."
            )
        for name in ("eta", "gamma"):
            self._settle(name, float)
        if not isinstance(self.scale, str):
            self._settle("scale", float)
        if self.rows is not None:
            self._check_rows()

    def _check_rows(self) -> None:
        # Rows are dealt evenly to the age buckets: equal buckets make every row as likely as any
        # other, and one row in each lets the ledger speak of all of them.
        secret = self.secret_rows
        if secret % AGE_BUCKETS:
            raise BadInput(
                f"Sampled rows need age buckets of one size: the number of secret rows must be a "
                f"multiple of {AGE_BUCKETS}, not {secret}: {self._other_size(secret)}."
            )
        if not AGE_BUCKETS <= self.rows <= secret:  # type: ignore[operator]
            raise BadInput(
                f"{self.rows} rows of {secret} cannot be asked: give {AGE_BUCKETS} to {secret}."
            )

    def _other_size(self, secret: int) -> str:
        if self.reduction == "visual":
            return "leave --rows out, as no part of the pyramid has such a number of tokens"
        fewer = secret - secret % AGE_BUCKETS
        n = fewer // 2 + 1 if self.reduction == "tensor" else fewer
        return f"take {'--window' if self.window else '--n'} {n + 1 if self.window else n}"

    def _settle(self, name: str, kind: type) -> None:
        value = getattr(self, name)
        if value is not None:
            object.__setattr__(self, name, kind(value))

    @property
    def varied(self) -> bool:
        """Whether it is another stream of the Index game than the paper's own."""
        return any(getattr(self, name) != default for name, default in _VARIANTS.items())

    @property
    def coordinates(self) -> bool:
        """Whether a bit is one coordinate of an output compared with its row's threshold."""
        return self.reduction in ("index", *PLANTED) and self.basis == "literal"

    @property
    def shape(self) -> Shape:
        """The public shape of the stream, and how many tokens Bob appends to it."""
        if self.reduction == "index":
            return Shape(
                tokens=self.n,
                d_k=self.d,
                d_v=self.d,
                extra=1,
                layers=self.layers,
                heads=self.heads,
                kv_heads=self.heads,
            )
        built = self.build()
        return Shape(tokens=built.tokens, d_k=built.d_k, d_v=built.d_v, extra=built.extra)

    @property
    def secret_rows(self) -> int:
        """Rows of the secret, in order of age; each is asked for by one query."""
        return self.n if self.reduction == "index" else self.build().rows

    @property
    def row_bits(self) -> int:
        """Bits in a row of the secret."""
        if self.reduction == "index":
            return self.layers * self.heads * self.d
        return self.build().width

    @property
    def keys_played(self) -> str:
        """The name of the key set, for people."""
        return TENSOR_KEYS if self.reduction == "tensor" else self.keys

    def spec(self) -> dict[str, Any]:
        """Return everything that makes the streams, as plain JSON data with sorted names.

        What a reduction does not have is left out, so that ids outlive the fields added for others.
        """
        names = sorted(self.__dataclass_fields__)
        unsaid = {"window": None, **_VARIANTS}
        return {
            name: getattr(self, name)
            for name in names
            if name not in unsaid or getattr(self, name) != unsaid[name]
        }

    @property
    def id(self) -> str:
        """16 hexadecimal digits; secrets derive from it."""
        return digest(self.spec())

    def build(self) -> Reduction:
        """Return the reduction itself; equal instances share one object.

        Raises:
            BadInput, NoScale: no such key set, size, error or scale.
        """
        return _built(self)


#: what an instance of before there were variants is
_VARIANTS: dict[str, Any] = {"layers": 1, "heads": 1, "queries": "zero", "basis": "literal"}


@lru_cache(maxsize=32)
def _built(instance: Instance) -> Reduction:
    return _BUILDERS[instance.reduction](instance)


def _index(instance: Instance) -> Reduction:
    from ..reductions import keys
    from ..reductions.index import IndexReduction
    from ..reductions.stream_family import StreamFamily, rotated_keys

    rows = keys.make(instance.keys, instance.n, instance.d, instance.keys_seed)
    index = IndexReduction.build(
        rotated_keys(rows) if instance.basis == "rotated" else rows,
        instance.d,
        values=instance.values,
        eta=instance.eta,
        gamma=instance.gamma,
        scale=instance.scale,
    )
    if not instance.varied:
        return index
    return StreamFamily(index, instance.layers, instance.heads, instance.queries, instance.basis)


def _planted(instance: Instance) -> Reduction:
    from ..reductions.planted import PlantedReduction

    return PlantedReduction.build(
        instance.reduction,
        n=instance.n,
        d=instance.d,
        keys_name=instance.keys,
        keys_seed=instance.keys_seed,
        eta=_relative(instance),
        scale=instance.scale,
    )


def _relative(instance: Instance) -> float:
    """Eta, for the reductions whose margins are proved for values {0,1} and a relative error."""
    if instance.eta is None or instance.values != "01":
        raise BadInput(
            f"The {instance.reduction} reduction's hypothesis is a (1 +- eta)-approximation of "
            "values in {0,1}: give eta and values 01."
        )
    return instance.eta


def _sliding_window(instance: Instance) -> Reduction:
    from ..reductions.sliding_window import SlidingWindowReduction

    return SlidingWindowReduction.build(
        n=instance.n,
        d=instance.d,
        window=instance.window,
        keys_name=instance.keys,
        keys_seed=instance.keys_seed,
        eta=_relative(instance),
        scale=instance.scale,
    )


def _tensor(instance: Instance) -> Reduction:
    from ..reductions.tensor import TensorReduction

    eta = _relative(instance)
    return TensorReduction.build(n=instance.n, d=instance.d, eta=eta, scale=instance.scale)


def _visual(instance: Instance) -> Reduction:
    from ..reductions.visual import VisualReduction

    return VisualReduction.build(
        n=instance.n,
        d=instance.d,
        keys_name=instance.keys,
        keys_seed=instance.keys_seed,
        eta=_relative(instance),
        scale=instance.scale,
    )


_BUILDERS: dict[str, Callable[[Instance], Reduction]] = {
    "index": _index,
    **dict.fromkeys(PLANTED, _planted),
    "sliding-window": _sliding_window,
    "tensor": _tensor,
    "visual": _visual,
}


def target_name(target: str) -> str:
    """Return a target without its folder, so that a cell has one id wherever its file lies.

    >>> target_name("plugins/mine.py:Mine?keep=4"), target_name("a/b.py"), target_name("exact")
    ('mine.py:Mine?keep=4', 'b.py', 'exact')
    """
    path, mark, query = target.partition("?")
    file, dot_py, rest = path.partition(".py")
    if not dot_py or rest[:1] not in ("", ":"):
        return target
    return PurePath(file).name + dot_py + rest + mark + query


@dataclass(frozen=True)
class Cell:
    """An instance, a compressor with its parameters, a budget: what one point of a curve plays.

    Attributes:
        target: as on the command line: a catalog name, ``module:Class``, ``path/file.py:Class``.
        params: keyword parameters of the compressor, as sorted pairs of plain data.
        budget: a fraction of the 16-bit cache, in (0, 2]; None for as much as it likes.
        batch_size: messages in a batch.
    """

    instance: Instance
    target: str
    params: tuple[tuple[str, Any], ...] = ()
    budget: Fraction | None = None
    batch_size: int = 16

    def __post_init__(self) -> None:
        if self.budget is not None:
            object.__setattr__(self, "budget", Fraction(self.budget))
            assert self.budget is not None
            if not 0 < self.budget <= MAX_BUDGET:
                raise BadInput(
                    f"A budget of {self.budget} is no fraction of the 16-bit cache: give one over "
                    f"0 and up to {MAX_BUDGET}."
                )
        if self.batch_size < 1:
            raise BadInput(f"A batch of {self.batch_size} messages is none: give 1 or more.")
        object.__setattr__(self, "batch_size", int(self.batch_size))
        pairs = self.params.items() if isinstance(self.params, Mapping) else self.params
        object.__setattr__(
            self, "params", tuple(sorted((str(name), _plain(v)) for name, v in pairs))
        )

    @property
    def budget_bits(self) -> int | None:
        """Bits: floor(budget * 16 n (d_k + d_v)), or None."""
        if self.budget is None:
            return None
        return math.floor(self.budget * self.instance.shape.cache_bits_16)

    def spec(self) -> dict[str, Any]:
        """Return everything that makes the cell, as plain JSON data."""
        return {
            "batch_size": self.batch_size,
            "budget": None if self.budget is None else str(self.budget),
            "instance": self.instance.spec(),
            "params": dict(self.params),
            "target": target_name(self.target),
        }

    @property
    def id(self) -> str:
        """16 hexadecimal digits of the spec."""
        return digest(self.spec())


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise BadInput(f"A parameter is a number or a word, not a {type(value).__name__}.")
