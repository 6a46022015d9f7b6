"""The instances: a small class for each reduction, with the fields that it lets one choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...compressors.plugin.contract import Shape
from ...errors import BadInput, did_you_mean
from ...reductions import REDUCTIONS
from .instance import BASES as BASES
from .instance import QUERIES, Instance, Keyed, OfValues, choice
from .own_keys import OwnKeys
from .sliding_layers import SlidingLayers

if TYPE_CHECKING:
    from ...reductions.reduction import Reduction

BOBS = ("threshold", "linear")


@dataclass(frozen=True)
class Index(OfValues):
    """Theorems 6 and 8, an additive form, and their streams (``reductions.stream_family``).

    Attributes:
        layers, heads: of a token, each with a key and a value of its own.
        queries: Alice's (``QUERIES``).
        basis: of keys and values (``BASES``).
        schedule: what Alice does to the cache beside feeding it: a family (``life.families``) or
            a schedule as JSON text; None: nothing. Then n counts all tokens ever fed, and Bob is
            asked for those that survive (``schedules``).
    """

    layers: int = 1
    heads: int = 1
    queries: str = "zero"
    basis: str = "literal"
    schedule: str | None = None

    def _check(self) -> None:
        super()._check()
        choice("queries", self.queries, QUERIES)
        choice("basis", self.basis, BASES)
        if self.layers < 1 or self.heads < 1:
            raise BadInput(
                f"--layers and --heads must be 1 or more, got {self.layers} and {self.heads}."
            )
        if self.schedule is not None:
            from .schedules import check_schedule

            check_schedule(self.schedule, self.n)
            if self.rows is not None:
                raise BadInput("A schedule says which rows are asked: leave --rows out.")

    @property
    def shape(self) -> Shape:
        """The public shape of the stream, with a batch where the schedule begins with one."""
        if self.schedule is None:
            return super().shape
        from .schedules import sequences_of

        return replace(super().shape, sequences=sequences_of(self.schedule))

    @property
    def coordinates(self) -> bool:
        """Whether a bit is a coordinate of an output; a rotated one is a coordinate of none."""
        return self.basis == "literal"

    def _build(self) -> Reduction:
        from ...reductions.index import IndexReduction

        rows = self._key_rows()
        own = (self.layers, self.heads, self.queries, self.basis)
        if own == (1, 1, "zero", "literal"):
            return IndexReduction.build(rows, self.d, values=self.values, **self._allowed())
        from ...reductions.stream_family import StreamFamily, rotated_keys

        turned = rotated_keys(rows) if self.basis == "rotated" else rows
        index = IndexReduction.build(turned, self.d, values=self.values, **self._allowed())
        return StreamFamily(index, *own)


@dataclass(frozen=True)
class Alphabet(OfValues):
    """Several bits in every number of a value (``reductions.alphabet``).

    Attributes:
        levels: B = 2^b levels of a value, b bits a number.
    """

    levels: int = 4

    def _check(self) -> None:
        from ...reductions.alphabet import bits_per_number

        bits_per_number(self.levels)
        if self.values != "01":
            raise BadInput(
                f"An alphabet of {self.levels} levels takes the place of two values: leave "
                "--values out."
            )

    @property
    def row_bits(self) -> int:
        """B = 2^b levels carry b bits a number."""
        return self.d * (self.levels.bit_length() - 1)

    def _build(self) -> Reduction:
        from ...reductions.alphabet import AlphabetReduction

        return AlphabetReduction.build(
            self._key_rows(), self.d, levels=self.levels, **self._allowed()
        )


@dataclass(frozen=True)
class LinearIndex(OfValues):
    """The Index game read by all answers together, at a scale of its own: a linear Bob
    (``reductions.linear_bob``)."""

    bob = "linear"

    def _check(self) -> None:
        super()._check()
        if self.rows is not None:
            raise BadInput("The linear Bob reads all rows together: leave --rows out.")

    def _build(self) -> Reduction:
        from ...reductions.linear_bob import LinearBob

        return LinearBob.build(self._key_rows(), self.d, values=self.values, **self._allowed())


@dataclass(frozen=True)
class _Planted(Keyed):
    """The planted families (``reductions.planted``)."""

    @property
    def coordinates(self) -> bool:
        """A bit is a coordinate of an output."""
        return True

    def _build(self) -> Reduction:
        from ...reductions.planted import PlantedReduction

        return PlantedReduction.build(self.reduction, **self._placed())


@dataclass(frozen=True)
class HeavyHitters(_Planted):
    """An eighth of the tokens is attended to, and is what is asked for."""

    reduction: ClassVar[str] = "heavy-hitters"


@dataclass(frozen=True)
class Clusters(_Planted):
    """Sixteen tokens a cluster, close keys, one value."""

    reduction: ClassVar[str] = "clusters"


@dataclass(frozen=True)
class Recency(_Planted):
    """The last eighth of the tokens is what is asked for."""

    reduction: ClassVar[str] = "recency"


@dataclass(frozen=True)
class SlidingWindow(Keyed):
    """Theorem 17 (``reductions.sliding_window``).

    Attributes:
        window: W of the sliding window, Bob's token included.
    """

    window: int = 257
    reduction: ClassVar[str] = "sliding-window"

    def _size_with_rows(self, rows: int) -> str:
        return f"take --window {rows + 1}"

    def _build(self) -> Reduction:
        from ...reductions.sliding_window import SlidingWindowReduction

        return SlidingWindowReduction.build(window=self.window, **self._placed())


@dataclass(frozen=True)
class Tensor(Instance):
    """Tensor attention (``reductions.tensor``)."""

    reduction: ClassVar[str] = "tensor"

    @property
    def keys_played(self) -> str:
        """Keys of its own."""
        return "quadratic-form"

    def _size_with_rows(self, rows: int) -> str:
        return f"take --n {rows // 2 + 1}"

    def _build(self) -> Reduction:
        from ...reductions.tensor import TensorReduction

        assert self.eta is not None
        return TensorReduction.build(n=self.n, d=self.d, eta=self.eta, scale=self.scale)


@dataclass(frozen=True)
class Visual(Keyed):
    """Visual autoregression (``reductions.visual``)."""

    reduction: ClassVar[str] = "visual"

    def _size_with_rows(self, rows: int) -> str:
        return "leave --rows out, as no part of the pyramid has such a number of tokens"

    def _build(self) -> Reduction:
        from ...reductions.visual import VisualReduction

        return VisualReduction.build(**self._placed())


@dataclass(frozen=True)
class KeyPayload(Instance):
    """Bits in keys and values (``reductions.key_payload``).

    Attributes:
        key_bits: bits in a secret coordinate of a key.
    """

    key_bits: int = 1
    reduction: ClassVar[str] = "key-payload"

    @property
    def keys_played(self) -> str:
        """Keys of its own."""
        return "address"

    def spec(self) -> dict[str, Any]:
        """Earlier versions read several bits in a key in another way: those are other games."""
        return super().spec() | ({"bits_above": "told"} if self.key_bits > 1 else {})

    def _build(self) -> Reduction:
        from ...reductions.key_payload import KeyPayloadReduction

        assert self.eta is not None
        hard = KeyPayloadReduction.build(
            n=self.n, d=self.d, b=self.key_bits, eta=self.eta, scale=self.scale
        )
        hard.check_asked(self.rows or hard.rows)
        return hard


@dataclass(frozen=True)
class Gaussian(Instance):
    """The average case (``reductions.gaussian``): keys of its own for every message.

    Attributes:
        beta: the norm of Bob's query, about; q = beta k / sqrt(d).
    """

    beta: float = 2.0
    reduction: ClassVar[str] = "gaussian"

    def _check(self) -> None:
        if self.scale != "tight":
            raise BadInput("The scale of the gaussian reduction is beta/sqrt(d): give --beta.")
        self.build()

    @classmethod
    def choices(cls) -> dict[str, Any]:
        """All but the scale, which follows from beta."""
        return {name: value for name, value in super().choices().items() if name != "scale"}

    @property
    def keys_played(self) -> str:
        """Keys of its own."""
        return "redrawn gaussian"

    @property
    def coordinates(self) -> bool:
        """A bit is a coordinate of an output."""
        return True

    def unread(self, seed: int, rows: NDArray[np.int64] | None) -> NDArray[np.bool_]:
        """bool[rows asked]: where Bob guesses in the message with these public coins."""
        return _unread(self, seed, None if rows is None else tuple(rows.tolist()))

    @property
    def closed_theta(self) -> float:
        """The closed bound on the share of rows that he guesses."""
        from ...reductions.gaussian import closed_theta

        assert self.eta is not None
        return closed_theta(self.n, self.d, self.beta, self.eta)

    def _build(self) -> Reduction:
        from ...reductions.gaussian import GaussianReduction

        assert self.eta is not None
        return GaussianReduction.build(self.n, self.d, self.beta, self.eta)


@lru_cache(maxsize=4096)
def _unread(instance: Gaussian, seed: int, rows: tuple[int, ...] | None) -> NDArray[np.bool_]:
    # Every budget of an attack, and every look at one, asks for the same messages.
    from ...reductions.gaussian import GaussianReduction

    family = instance.build()
    assert isinstance(family, GaussianReduction)
    found = family.of_message(seed).unread(rows)
    found.setflags(write=False)
    return found


CLASSES: dict[str, type[Instance]] = {
    one.reduction: one
    for one in (
        Index, HeavyHitters, Clusters, Recency, SlidingWindow, SlidingLayers, Tensor, Visual,
        Gaussian, KeyPayload, OwnKeys,
    )
}  # fmt: skip


def instance_of(fields: Mapping[str, Any]) -> Instance:
    """The instance of a flat list of fields: a row's spec, or the options of the command line.

    None stands for a field's default. A field that the reduction does not let one choose may only
    have the value that it has there.

    Raises:
        BadInput: no such reduction or field, or a field that this reduction does not have.

    >>> instance_of({"n": 32, "d": 16, "reduction": "tensor", "window": None}).keys_played
    'quadratic-form'
    """
    given = dict(fields)
    name = given.pop("reduction", "index")
    if name not in CLASSES:
        raise BadInput(f"There is no reduction {name!r}.{did_you_mean(str(name), REDUCTIONS)}")
    cls = CLASSES[name]
    if given.get("bob", "threshold") != "threshold":
        choice("bob", given["bob"], BOBS)
        cls = LinearIndex if cls is Index else cls
    elif given.get("levels") is not None and cls is Index:
        cls = Alphabet
    choices = cls.choices()
    chosen = {}
    for field, value in given.items():
        if field in choices:
            if value is not None or choices[field] is None or field in ("eta", "rows"):
                chosen[field] = value
        elif not hasattr(Instance, field):
            raise BadInput(f"An instance has no field '{field}'.")
        elif value is not None and value != getattr(cls, field):
            raise BadInput(_refusal(cls, field, value))
    return cls(**chosen)


def of_spec(spec: Mapping[str, Any]) -> Instance:
    """The instance of a :meth:`Instance.spec`.

    Raises BadInput for none, or for an earlier version's.
    """
    fields = dict(spec)
    way = fields.pop("bits_above", None)
    made = instance_of(fields)
    if made.spec().get("bits_above") != way:
        raise BadInput(
            f"Numbers of {made.key_bits} bits in keys were read off all cuts at once by the "
            "version that wrote this, and errors of such bits are not what the guarantee "
            "speaks of: play it again into a new file."
        )
    return made


def option(field: str) -> str:
    """The option of the command line that sets a field."""
    name = {"keys_seed": "seed", "levels": "alphabet"}.get(field, field)
    return "--" + name.replace("_", "-")


def _refusal(cls: type[Instance], field: str, value: Any) -> str:
    who = {Alphabet: "An alphabet of several levels", LinearIndex: "The linear Bob"}.get(
        cls, f"The {cls.reduction} reduction"
    )
    every: tuple[type[Instance], ...] = (*CLASSES.values(), Alphabet, LinearIndex)
    others = dict.fromkeys(
        one.reduction for one in every if field in one.choices() or field in vars(one)
    )
    elsewhere = others and cls.reduction not in others
    where = f", which is for --reduction {' or '.join(others)}" if elsewhere else ""
    return f"{who} has no {option(field)} {value}{where}: leave it out."
