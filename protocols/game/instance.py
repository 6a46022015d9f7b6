"""What is played: an instance (a family of hard streams) and a cell (a compressor at a budget).

An instance names no compressor, and secrets derive from its id: every compressor, at every budget
and in every version, meets the same messages.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compressors.plugin.contract import Shape
from ...errors import BadInput, did_you_mean
from .coins import AGE_BUCKETS

if TYPE_CHECKING:
    from ...reductions.reduction import Reduction

PLANTED = ("heavy-hitters", "clusters", "recency")
REDUCTIONS = ("index", *PLANTED, "sliding-window", "tensor", "visual", "key-payload")
BOBS = ("threshold", "linear")
QUERIES = ("zero", "gaussian", "self", "decoy")
BASES = ("literal", "rotated")
#: what reductions with keys of their own call them
OWN_KEYS = {"tensor": "quadratic-form", "key-payload": "address"}
VALUES = ("01", "pm1")
SCALES = ("tight", "closed", "paper")
MAX_BUDGET = 2
#: in the keys of a message, 4 GiB of them
MOST_NUMBERS = 1 << 30


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
            reductions with keys of their own (``keys_played``).
        values: ``"01"`` or ``"pm1"``, the alphabet of the value rows.
        eta, gamma: relative or additive error allowed; exactly one is not None.
        scale: Bob's query scale C, a policy (``"tight"``, ``"closed"``, ``"paper"``) or a number.
        rows: how many rows Bob is asked for, dealt evenly to the 16 age buckets (at least one
            each, and 16 must divide the number of rows); None asks for all.
        reduction: ``"index"`` (Theorems 6 and 8), one of the planted families ``"heavy-hitters"``,
            ``"clusters"`` and ``"recency"``, ``"sliding-window"`` (Theorem 17), ``"tensor"`` or
            ``"visual"`` (the follow-ups), or ``"key-payload"`` (secrets in the keys as well).
        window: W of the sliding window, Bob's token included; None for the other reductions.
        layers, heads: of a token, each with a key and a value of its own; "index" only, as are
        queries: Alice's (``QUERIES``), and
        basis: of keys and values (``BASES``); see ``reductions.stream_family``.
        levels: B = 2^b levels of a value instead of two, b bits a number (``reductions.alphabet``);
            "index" only, with values "01" and the stream's own queries and basis. None: two.
        bob: how "index" is read: ``"threshold"``, each answer by itself, or ``"linear"``, all
            answers together (``reductions.linear_bob``), at a scale of its own.
        key_bits: bits in a secret coordinate of a key; "key-payload" only, where None is 1.
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
    levels: int | None = None
    bob: str = "threshold"
    key_bits: int | None = None

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
        if self.reduction in OWN_KEYS and (self.keys, self.keys_seed) != ("jl", 0):
            raise BadInput(
                f"The {self.reduction} reduction has keys of its own, {OWN_KEYS[self.reduction]} "
                "keys: leave --keys and --seed out."
            )
        if self.reduction == "key-payload":
            b = 1 if self.key_bits is None else self.key_bits
            object.__setattr__(self, "key_bits", b)
        elif self.key_bits is not None:
            raise BadInput("Bits in keys are for --reduction key-payload: leave --key-bits out.")
        for name, known in (("queries", QUERIES), ("basis", BASES), ("bob", BOBS)):
            value = getattr(self, name)
            if value not in known:
                hint = did_you_mean(str(value), known)
                raise BadInput(f"There is no choice of {name} '{value}'.{hint}")
        # 3 and 3.0, a NumPy integer and an int, are one instance and must have one id.
        for name in ("n", "d", "keys_seed", "rows", "window", "layers", "heads", "levels",
                     "key_bits"):  # fmt: skip
            self._settle(name, int)
        size = abs(self.n * self.d * self.layers * self.heads)
        if size > MOST_NUMBERS:
            raise BadInput(
                f"n = {self.n}, d = {self.d} in {self.layers} layers of {self.heads} heads are "
                f"{size} numbers a message: give at most {MOST_NUMBERS}."
            )
        if self.layers < 1 or self.heads < 1:
            raise BadInput(f"{self.layers} layers of {self.heads} heads are none: give 1 or more.")
        if self.varied and self.reduction != "index":
            raise BadInput(
                f"The {self.reduction} reduction has one head, queries and a basis of its own: "
                "--layers, --heads, --queries, --basis and --alphabet are for --reduction index."
            )
        if self.levels is not None:
            self._check_levels()
        if self.bob != "threshold" and (
            self.reduction != "index" or self.varied or self.rows is not None
        ):
            raise BadInput(
                f"The {self.bob} Bob reads all rows of the plain Index game together: leave --rows "
                "and the options for other streams and reductions out."
            )
        for name in ("eta", "gamma"):
            self._settle(name, float)
        if not isinstance(self.scale, str):
            self._settle("scale", float)
        if self.rows is not None:
            self._check_rows()

    def _check_levels(self) -> None:
        from ...reductions.alphabet import bits_per_number

        bits_per_number(self.levels or 0)
        others = [name for name in ("values", *_VARIANTS) if name != "levels"]
        if any(getattr(self, name) != type(self).__dict__[name] for name in others):
            raise BadInput(
                f"An alphabet of {self.levels} levels is played on the plain stream: leave "
                "--values, --layers, --heads, --queries and --basis out."
            )

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
        plain = self.basis == "literal" and self.levels is None and self.bob == "threshold"
        return plain and self.reduction in ("index", *PLANTED)

    @property
    def shape(self) -> Shape:
        """The public shape of the stream, and how many tokens Bob appends to it."""
        if self.reduction == "index":
            heads = {"layers": self.layers, "heads": self.heads, "kv_heads": self.heads}
            return Shape(tokens=self.n, d_k=self.d, d_v=self.d, extra=1, **heads)
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
            # B = 2^b levels carry b bits.
            b = 1 if self.levels is None else self.levels.bit_length() - 1
            return self.layers * self.heads * self.d * b
        return self.build().width

    @property
    def keys_played(self) -> str:
        """The name of the key set, for people."""
        return OWN_KEYS.get(self.reduction, self.keys)

    def spec(self) -> dict[str, Any]:
        """Return everything that makes the streams, as plain JSON data with sorted names.

        What a reduction does not have is left out, so that ids outlive the fields added for others.
        """
        # Earlier versions read several bits in a key in a way of their own: those are other games.
        way = {"bits_above": "told"} if (self.key_bits or 1) > 1 else {}
        names = sorted(self.__dataclass_fields__)
        unsaid = {"window": None, "bob": "threshold", "key_bits": None, **_VARIANTS}
        return way | {
            name: getattr(self, name)
            for name in names
            if name not in unsaid or getattr(self, name) != unsaid[name]
        }

    @classmethod
    def of_spec(cls, spec: Mapping[str, Any]) -> Instance:
        """The instance of a :meth:`spec`. Raises BadInput for none, or for an earlier version's."""
        fields = dict(spec)
        way = fields.pop("bits_above", None)
        made = cls(**fields)
        if made.spec().get("bits_above") != way:
            raise BadInput(
                f"Numbers of {made.key_bits} bits in keys were read off all cuts at once by the "
                "version that wrote this, and errors of such bits are not what the guarantee "
                "speaks of: play it again into a new file."
            )
        return made

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
_VARIANTS: dict[str, Any] = {
    "layers": 1, "heads": 1, "queries": "zero", "basis": "literal", "levels": None,
}  # fmt: skip


@lru_cache(maxsize=32)
def _built(instance: Instance) -> Reduction:
    from .builders import BUILDERS

    return BUILDERS[instance.reduction](instance)


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
