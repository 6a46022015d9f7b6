"""EDEN: a rotation, the best quantiser of a Gaussian, and the scale that makes it unbiased."""

from __future__ import annotations

from ...catalog_entry import CatalogEntry
from .coded_tokens import Codec, WholeBits
from .turboquant import LADDER, MSECodec


class Eden(WholeBits):
    """EDEN (Vargaftik et al. 2022, Communication-Efficient and Robust Distributed Mean Estimation).

    A row is turned at random, its direction is coded coordinate by coordinate by Lloyd-Max levels,
    and what is kept for its length is S = |x| / <y, c>, with y the turned direction and c its
    code: then what is decoded, S c turned back, has mean x over the rotations (their Theorem 2.1).
    With one bit this is DRIVE, and the code and the estimate of RaBitQ.

    State: an fp16 scale a row, and b bits a number.

    Args:
        bits: b, 1 to 6 or 8; by default the most that fit the budget, or 4.
        k_bits, v_bits: b of a key's number and of a value's (as ``bits``).

    Raises:
        BudgetTooSmall: the tokens do not fit, at these bits or at 1.
        BadInput: there are no such bits, or a number is NaN or does not fit fp16.

    Mechanisms:
        random rotation: implemented, a uniform one; the authors' code has a Hadamard one.
        Lloyd-Max levels of a Gaussian: adapted, of a uniform unit vector's coordinate, its exact
            law.
        unbiased scale: implemented.
        fractional bits by sampling coordinates: left out, a cache has whole bits.
        entropy coding of the levels: left out, every token has the same length here.
    """

    name = "eden"
    known = rungs = LADDER

    def codec(self, d: int, bits: int, which: int) -> Codec:
        """A rotation from public coins."""
        return MSECodec(self.turn(which, d), bits, "unbiased")


ENTRY = CatalogEntry(
    Eden,
    summary="every token turned at random, a few bits a coordinate, and an unbiased scale",
    source="Vargaftik, Ben Basat, Portnoy, Mendelson, Ben-Itzhak, Mitzenmacher 2022, EDEN: "
    "Communication-Efficient and Robust Distributed Mean Estimation for Federated Learning",
    budgets="at d = 64 from 5/64 (1 bit a number) to 33/64 (8 bits)",
    assumes="nothing about the data: the rotation makes every row the same",
    broken_by="fewer bits than a bit of the secret needs",
)
