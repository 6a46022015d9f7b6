"""What instances on a public key set that one names have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ...compressors.plugin.contract import Shape
from ...errors import BadInput, did_you_mean
from .instance import Instance

VALUES = ("01", "pm1")
QUERIES = ("zero", "gaussian", "self", "decoy")
BASES = ("literal", "rotated")


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
