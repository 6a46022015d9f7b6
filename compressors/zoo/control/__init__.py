"""Controls: their results are known beforehand, so they test the game and not themselves."""

from __future__ import annotations

from ...catalog_entry import CatalogEntry

ENTRIES = (
    CatalogEntry(
        name="lossless",
        module="zoo.control.lossless",
        cls="Lossless",
        summary="every secret bit, and nothing else: no error at charged bits = secret bits",
        source="control: the least memory of any errorless compressor (theory: H(x) = n d)",
        budgets="1/32 at d_k = d_v: one bit of memory a secret bit",
        knows_keys=True,
        attention="any",
        control=True,
    ),
    CatalogEntry(
        name="zero",
        module="zoo.control.zero",
        cls="Zero",
        summary="the empty message, every answer 0",
        source="control: no memory, half of the bits wrong",
        budgets="any",
        attention="any",
        control=True,
    ),
    CatalogEntry(
        name="time-sharing",
        module="zoo.control.time_sharing",
        cls="TimeSharing",
        summary="as many secret bits as the budget has, the first ones, and coins for the rest",
        source="control: the line error = (1 - memory / secret bits) / 2",
        budgets="up to 1/32 at d_k = d_v, where it becomes lossless",
        knows_keys=True,
        attention="any",
        control=True,
    ),
    CatalogEntry(
        name="covering-code",
        module="zoo.control.covering_code",
        cls="CoveringCode",
        summary="the nearest codeword of a perfect code: less error than time sharing",
        source="Shannon 1959 (rate distortion); Hamming 1950, Golay 1949",
        budgets="12/23 (golay) or 4/7 (hamming) of what lossless needs",
        params={"code": "golay, [23,12] with error .1240, or hamming, [7,4] with 1/8 (golay)"},
        knows_keys=True,
        attention="any",
        control=True,
    ),
    CatalogEntry(
        name="trellis-code",
        module="zoo.control.trellis_code",
        cls="TrellisCode",
        summary="the nearest codeword of a trellis: error .120 at half of the secret's bits",
        source="Viterbi, Omura 1974 (trellis source coding); Shannon 1959 (rate distortion)",
        budgets="half of what lossless needs",
        params={
            "states": "4, 16, 64 or 256 of the trellis (256)",
            "plain": "share of the secret that is kept as it is, in [0, 1] (0)",
        },
        knows_keys=True,
        attention="any",
        control=True,
    ),
)
