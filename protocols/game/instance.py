"""What an instance is: a family of hard streams that every compressor meets alike.

An instance names no compressor, and secrets derive from its id: every compressor, at every budget
and in every version, meets the same messages. ``instances`` has one class for each reduction.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...compressors.plugin.contract import Shape
from ...errors import BadInput, did_you_mean
from .coins import AGE_BUCKETS, sampled_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...reductions.reduction import Reduction
    from ..life.schedule import Schedule

SCALES = ("tight", "closed", "paper")
#: in the keys of a message, 4 GiB of them
MOST_NUMBERS = 1 << 30

VALUES = ("01", "pm1")
QUERIES = ("zero", "gaussian", "self", "decoy")
BASES = ("literal", "rotated")


_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def compact(value: Any) -> str:
    """Canonical compact JSON: sorted names, no spaces, ASCII, no NaN.

    >>> compact({"b": (1, 2), "a": None})
    '{"a":null,"b":[1,2]}'
    """
    return _JSON.encode(value)


def digest(spec: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits of SHA-256 over the canonical JSON of ``spec``.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    return text_digest(compact(spec))


def text_digest(text: str) -> str:
    """Return 16 hexadecimal digits of SHA-256 over a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Constants:
    """What an instance has where its class has no such field: it can be asked for everything."""

    reduction: ClassVar[str]
    keys: str = "jl"
    keys_seed: int = 0
    values: str = "01"
    gamma: float | None = None
    window: int | None = None
    every: int | None = None
    layers: int = 1
    heads: int = 1
    queries: str = "zero"
    basis: str = "literal"
    levels: int | None = None
    bob: str = "threshold"
    key_bits: int | None = None
    schedule: str | None = None
    norm: str | float | None = None
    at: str | None = None
    secret_tokens: int | None = None
    digest: str | None = None
    beta: float | None = None


@dataclass(frozen=True)
class Instance(_Constants, ABC):
    """A family of hard streams: n data tokens in dimension d, and the error allowed.

    What a reduction lets one choose is a field of its class (``instances``).

    Attributes:
        n, d: data tokens and dimension of a value (d_k = d_v = 2 d for "tensor").
        eta: the relative error allowed; gamma the additive one; exactly one is not None.
        scale: Bob's query scale C, a policy (``SCALES``) or a number.
        rows: how many rows Bob is asked for, dealt evenly to the 16 age buckets (at least one
            each, and 16 must divide the number of rows); None asks for all.
        reduction: its name (``reductions.REDUCTIONS``).
        keys_played: the name of the key set, for people.
    """

    n: int
    d: int
    eta: float | None = 0.5
    scale: str | float = "tight"
    rows: int | None = None

    @property
    def coordinates(self) -> bool:
        """Whether a bit is one coordinate of an output compared with its row's threshold."""
        return False

    def __post_init__(self) -> None:
        if (self.eta is None) == (self.gamma is None):
            raise BadInput("Give exactly one of eta (relative error) and gamma (additive error).")
        if isinstance(self.scale, str) and self.scale not in SCALES:
            hint = did_you_mean(self.scale, SCALES)
            raise BadInput(f"There is no scale {self.scale!r}.{hint}")
        # 3 and 3.0, a NumPy integer and an int, are one instance and must have one id.
        for field in fields(self):
            value = getattr(self, field.name)
            kind = {"int": int, "float": float}.get(str(field.type).partition(" |")[0])
            if field.name == "scale" and not isinstance(value, str):
                kind = float
            if kind is not None and value is not None:
                object.__setattr__(self, field.name, kind(value))
        size = abs(self.n * self.d * self.layers * self.heads)
        if size > MOST_NUMBERS:
            raise BadInput(
                f"n = {self.n}, d = {self.d} in {self.layers} layers of {self.heads} heads are "
                f"{size} numbers a message: give at most {MOST_NUMBERS}."
            )
        self._check()
        if self.rows is not None:
            self._check_rows(self.rows)

    def _check(self) -> None:
        """Raise BadInput for fields that do not go together."""

    def _check_rows(self, rows: int) -> None:
        # Rows are dealt evenly to the age buckets: equal buckets make every row as likely as any
        # other, and one row in each lets the ledger speak of all of them.
        secret = self.secret_rows
        if secret % AGE_BUCKETS:
            raise BadInput(
                f"Sampled rows need age buckets of one size: the number of secret rows must be a "
                f"multiple of {AGE_BUCKETS}, not {secret}: "
                f"{self._size_with_rows(secret - secret % AGE_BUCKETS)}."
            )
        if not AGE_BUCKETS <= rows <= secret:
            raise BadInput(
                f"{rows} rows of {secret} cannot be asked: give {AGE_BUCKETS} to {secret}."
            )

    def _size_with_rows(self, rows: int) -> str:
        """How to have so many secret rows, as an option."""
        return f"take --n {rows}"

    @property
    def keys_played(self) -> str:
        """The name of the key set, for people."""
        return self.keys

    @property
    def shape(self) -> Shape:
        """The public shape of the stream, and how many tokens Bob appends to it."""
        built = self.build()
        return Shape(tokens=built.tokens, d_k=built.d_k, d_v=built.d_v, extra=built.extra)

    @property
    def secret_rows(self) -> int:
        """Rows of the secret, in order of age; each is asked for by one query."""
        return self.build().rows

    @property
    def row_bits(self) -> int:
        """Bits in a row of the secret."""
        return self.build().width

    def tokens_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The token of the stream that each row of the secret is asked for by."""
        # In the window's game the rows are the values of the newest tokens.
        older = self.shape.tokens - self.secret_rows if self.window is not None else 0
        return rows + older

    def placed(
        self, rows: NDArray[np.int64], bits: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Tokens, and the bits [m, row_bits] of rows by token, [.., layers, heads, channels]."""
        return self.tokens_of(rows), bits.reshape(len(rows), self.layers, self.heads, -1)

    def spec(self) -> dict[str, Any]:
        """Return everything that makes the streams, as plain JSON data with sorted names.

        What came after the first reduction is left out where it says nothing, so that ids outlive
        the fields added for others.
        """
        said = {name: getattr(self, name) for name in _ALWAYS}
        for name in _ELSE:
            value = getattr(self, name)
            if value != getattr(Instance, name):
                said[name] = value
        return dict(sorted(said.items()))

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

    @abstractmethod
    def _build(self) -> Reduction:
        """Make the reduction, importing its family."""

    @classmethod
    def choices(cls) -> dict[str, Any]:
        """The fields that the class lets one choose, with their defaults (``...``: required)."""
        return {f.name: ... if f.default is MISSING else f.default for f in fields(cls)}


_ALWAYS = (
    "n", "d", "keys", "keys_seed", "values", "eta", "gamma", "scale", "rows", "reduction",
)  # fmt: skip
_ELSE = (
    "window", "layers", "heads", "queries", "basis", "levels", "bob", "key_bits", "beta",
    "norm", "at", "secret_tokens", "digest", "schedule", "every",
)  # fmt: skip


@lru_cache(maxsize=32)
def _built(instance: Instance) -> Reduction:
    return instance._build()


def schedule_of(instance: Instance, key: bytes, message: int) -> Schedule | None:
    """The schedule of a message; None where there is none."""
    if instance.schedule is None:
        return None
    from .schedules import drawn

    return drawn(instance.schedule, key, instance.id, message, instance.n)


def rows_of(instance: Instance, key: bytes, message: int) -> NDArray[np.int64]:
    """The rows that Bob is asked for: the survivors, or those that public coins draw."""
    schedule = schedule_of(instance, key, message)
    if schedule is None:
        return sampled_rows(key, instance.id, message, instance.secret_rows, instance.rows)
    from .schedules import survivors_of

    return survivors_of(schedule)[0]


def needs_of(instance: Instance) -> tuple[str, ...]:
    """The optional methods that a compressor must have to play an instance."""
    if instance.schedule is None:
        return ()
    from . import schedules

    return schedules.needs_of(instance.schedule)


@dataclass(frozen=True)
class Keyed(Instance):
    """Instances on a public key set that one names.

    Attributes:
        keys, keys_seed: the public key set (``reductions.keys.make``).
    """

    keys: str = "jl"
    keys_seed: int = 0

    def _placed(self) -> dict[str, Any]:
        """What a reduction that makes its keys itself is built from."""
        return {
            "n": self.n,
            "d": self.d,
            "keys_name": self.keys,
            "keys_seed": self.keys_seed,
            "eta": self.eta,
            "scale": self.scale,
        }


@dataclass(frozen=True)
class OfValues(Keyed):
    """The Index game in all its forms: bits in the values, all else public.

    Attributes:
        values: ``"01"`` or ``"pm1"``, the alphabet of the value rows.
        gamma: the additive error allowed, instead of eta.
    """

    values: str = "01"
    gamma: float | None = None
    reduction: ClassVar[str] = "index"

    def _check(self) -> None:
        choice("values", self.values, VALUES)

    @property
    def shape(self) -> Shape:
        """The public shape of the stream; Bob appends one token."""
        return Shape(
            tokens=self.n, d_k=self.d, d_v=self.d, extra=1, layers=self.layers, heads=self.heads,
            kv_heads=self.heads,
        )  # fmt: skip

    @property
    def secret_rows(self) -> int:
        """A row a token."""
        return self.n

    @property
    def row_bits(self) -> int:
        """Bits in a row of the secret: a bit a number of the token's values."""
        return self.layers * self.heads * self.d

    def _key_rows(self) -> Any:
        from ...reductions import keys

        return keys.make(self.keys, self.n, self.d, self.keys_seed)

    def _allowed(self) -> dict[str, Any]:
        return {"eta": self.eta, "gamma": self.gamma, "scale": self.scale}


def choice(name: str, value: Any, known: tuple[str, ...]) -> None:
    """Raise BadInput for a value that is not known."""
    if value not in known:
        raise BadInput(f"There is no choice of {name} '{value}'.{did_you_mean(str(value), known)}")
