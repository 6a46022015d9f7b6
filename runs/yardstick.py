"""What a 2-bit quantiser of the catalog loses in the default game: a yardstick for what is broken.

A table, because playing it in every attack would import a compiler. Each row is what

    kvbarrier attack "quantized?bits=2" --n N --d D --basis BASIS --budget free --messages 64

counts; a built-in draws from the committed key, so the command repeats it, and a test does. In the
literal basis two-valued numbers lie on its grid: there it flatters every quantiser, and the rotated
one tells what it loses of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..protocols.game.instance import Instance
from ..protocols.game.instances import Index

TARGET = "quantized?bits=2"
MESSAGES = 64


@dataclass(frozen=True)
class Yardstick:
    """Wrong bits of those asked in :data:`MESSAGES` messages, at a share of the 16-bit cache."""

    wrong: int
    asked: int
    share: Fraction

    @property
    def error(self) -> float:
        """Wrong bits per bit."""
        return self.wrong / self.asked

    def sentence(self) -> str:
        """In words.

        >>> Yardstick(0, 64, Fraction(5, 32)).sentence()
        'A 2-bit quantiser of the catalog (quantized?bits=2) loses none of the bits at 5/32 of the \
cache.'
        """
        lost = f"{100 * self.error:.3g} %" if self.wrong else "none"
        return (
            f"A 2-bit quantiser of the catalog ({TARGET}) loses {lost} of the bits at "
            f"{self.share} of the cache."
        )


MEASURED = {
    (256, 64, "literal"): Yardstick(0, 1_048_576, Fraction(5, 32)),
    (512, 64, "literal"): Yardstick(0, 2_097_152, Fraction(5, 32)),
    (1024, 64, "literal"): Yardstick(0, 4_194_304, Fraction(5, 32)),
    (256, 128, "literal"): Yardstick(0, 2_097_152, Fraction(9, 64)),
    (512, 128, "literal"): Yardstick(0, 4_194_304, Fraction(9, 64)),
    (1024, 128, "literal"): Yardstick(0, 8_388_608, Fraction(9, 64)),
    (256, 64, "rotated"): Yardstick(87_567, 1_048_576, Fraction(5, 32)),
    (512, 64, "rotated"): Yardstick(173_736, 2_097_152, Fraction(5, 32)),
    (1024, 64, "rotated"): Yardstick(347_997, 4_194_304, Fraction(5, 32)),
    (256, 128, "rotated"): Yardstick(226_502, 2_097_152, Fraction(9, 64)),
    (512, 128, "rotated"): Yardstick(451_597, 4_194_304, Fraction(9, 64)),
    (1024, 128, "rotated"): Yardstick(901_875, 8_388_608, Fraction(9, 64)),
}
"""By n, d and basis; the other words of the game are the defaults."""


def yardstick(played: Sequence[tuple[Instance, dict[str, Any]]]) -> Yardstick | None:
    """What to hold broken points against: less memory, fewer errors, the same game; or None.

    ``played``: points and their instances.
    """
    for instance, point in played:
        name = (instance.n, instance.d, instance.basis)
        found = MEASURED.get(name)
        if found is None or instance.id != Index(n=name[0], d=name[1], basis=name[2]).id:
            continue
        broken = point["guarantee"]["verdict"] == "broken"
        share = 1 / (point["compression_ratio"] or float("inf"))
        if broken and share >= found.share and point["bit_error"]["estimate"] > found.error:
            return found
    return None
