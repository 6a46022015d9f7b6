"""Memory against a declaration: what one number costs, in bits.

It is the slope of charged bits: of two streams of n > n' tokens,

    (charged(n) - charged(n')) / (numbers(n) - numbers(n')),

which leaves out whatever is held once (headers, codebooks, a window in full precision) and takes
n - n' a power of two, so that partly filled blocks of any such size drop out as well. The constant
part is shown apart. Only what exceeds the declaration both as a slope and as a whole is above it,
by more than :data:`TOLERANCE` and the framing of the default ``save``, which may differ between the
two messages by 64 bytes a head (.016 bits a number at n = 512, d = 64). Where the length changes
nothing (a window shorter than n'), the whole less that framing is compared.

Who chooses its bits by the budget declares others of the shorter stream, and may hold another
constant part of it: then there is no slope, and a whole above the declaration is not judged.

A message that is no smaller than the 16-bit cache holds nothing compressed. With fewer than 16 bits
declared it is above the declaration, however little it grows: a buffer of one length for every
stream would else be a constant part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ...compressors.plugin.contract import FRAMING_BYTES, Shape
from ...compressors.plugin.declaration import EXACT_BITS, Declaration, numbers_of_a_token

TOLERANCE = 0.02
"""How much more than declared is still as declared: a part of the declared bits."""

Shorter = tuple[int, float]
"""Tokens that may be held of a shorter stream, and its charge in bits."""


@dataclass(frozen=True)
class Memory:
    """What a number costs, in bits, against what was declared.

    Attributes:
        declared: bits for each number.
        measured: the slope or the whole, whichever is less; the whole of a message that hardly
            grows and is not compressed; without a slope the whole less what the framing of the
            default ``save`` may take.
        whole: all charged bits for each number of the tokens that may be held.
        slope: the same of one more token; None where the length changes nothing.
        constant: charged bits that do not grow with the length; 0 without a slope.
        slack: bits for each number that two messages' framing may differ by.
        uncompressed: the message is no smaller than the 16-bit cache.
        unjudged: it is above as a whole, and no shorter stream is known to tell why.
    """

    declared: float
    measured: float
    whole: float
    slope: float | None
    constant: float
    slack: float
    uncompressed: bool
    unjudged: bool = False

    @classmethod
    def of(
        cls,
        declaration: Declaration,
        shape: Shape,
        charged: float,
        shorter: Shorter | tuple[()] | None = (),
    ) -> Memory | None:
        """The memory of ``charged`` bits a message; None if none is declared.

        ``shorter``: the tokens that may be held of a shorter stream, and its charge; (): there is
        none; None: it is not known. Raises BadInput for words that contradict the shape.

        >>> shape = Shape(tokens=100, d_k=8, d_v=8)
        >>> memory = Memory.of(Declaration(bits=3), shape, 3 * 1600 + 512, (50, 3 * 800 + 512))
        >>> memory.slope, memory.constant, memory.over
        (3.0, 512.0, False)
        """
        declared = declaration.bits_per_number(shape)
        if declared is None:
            return None
        a_token = numbers_of_a_token(shape)
        tokens = declaration.tokens_at_most(shape.tokens)
        whole = charged / (a_token * tokens)
        uncompressed = charged >= shape.cache_bits_16
        framing = 8 * FRAMING_BYTES * shape.layers * shape.kv_heads
        if not shorter or shorter[0] == tokens:
            measured = max(0.0, charged - framing) / (a_token * tokens)
            one = cls(declared, measured, whole, None, 0.0, 0.0, uncompressed)
            return replace(one, unjudged=shorter is None and one.over)
        slope = (charged - shorter[1]) / (a_token * (tokens - shorter[0]))
        constant = charged - slope * a_token * tokens
        slack = framing / (a_token * (tokens - shorter[0]))
        one = cls(declared, min(whole, slope), whole, slope, constant, slack, uncompressed)
        if uncompressed and declared < EXACT_BITS and not one.over:
            return replace(one, measured=whole)
        return one

    @property
    def over(self) -> bool:
        """Whether it takes more than was declared, as far as that is known."""
        if self.unjudged:
            return False
        return self.measured > self.declared * (1 + TOLERANCE) + self.slack

    @property
    def sentence(self) -> str:
        """For people.

        >>> Memory(3.0, 40.0, 41.0, 40.0, 128.0, 0.02, True).sentence
        '40.0 bits a number measured, 3 declared (128 bits more in all); compression never \
engaged: the message is no smaller than the 16-bit cache'
        """
        said = f"{self.measured:.1f} bits a number measured, {self.declared:g} declared"
        if self.measured < 0.95:
            said = f"{self.measured:.2g} bits a number measured, {self.declared:g} declared"
        if self.constant >= 0.5:
            said += f" ({self.constant:,.0f} bits more in all)"
        if self.over and self.uncompressed and self.declared < EXACT_BITS:
            said += "; compression never engaged: the message is no smaller than the 16-bit cache"
        return said

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "declared_bits": self.declared,
            "measured_bits": self.measured,
            "whole_bits": self.whole,
            "slope_bits": self.slope,
            "constant_bits": self.constant,
            "over": self.over,
            "uncompressed": self.uncompressed,
        }
