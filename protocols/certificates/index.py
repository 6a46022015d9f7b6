"""Certificates of a bound (kind ``index-bound``): what ``bound --certificate`` writes, checked.

The claim and its proof are in ``reductions.certificate_claim``; here are the fields. Every field
either enters the proof, or is compared with what the proof gives, or is named in the sentence as
not needed and not checked. NumPy is not used.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ...errors import BadInput
from ...reductions.certificate_claim import (
    FalseClaim,
    certified_bits,
    dominated,
    exact_margin,
    row_margins,
    spectrum_margins,
)
from ...reductions.exact_spectra import DERIVED, TAKEN, flat_spectrum
from ...reductions.row_interference import (
    Dominated,
    check_sizes,
    row_interference,
    sent_queries,
    unpack_rows,
)
from .document import Fields

KIND = "index-bound"
COMMON = ("format", "version", "kind", "made_by", "sha256")
NAMES = (
    *COMMON, "keys", "values", "tolerance", "scale", "interference", "logit_range", "success",
    "d_v", "bits_per_number", "secret_bits", "bound_bits",
)  # fmt: skip
FLAT = ("family", "n", "d", "norm", "entry", "spectrum")
ROWS = ("family", "seed", "n", "d", "rows")
MOST_TOKENS = 1 << 64
MOST_DIMENSIONS = 1 << 16
#: an inner product or a multiplicity
_MOST_COUNT = 10**40


def check_index(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The sentence that the certificate proves, and the facts in it as plain data.

    Raises BadInput for what cannot be checked, FalseClaim for a false claim.
    """
    fields = Fields(document, "the certificate", NAMES)
    keys = document["keys"]
    flat = isinstance(keys, dict) and "rows" not in keys
    parts = Fields(keys, "'keys'", FLAT if flat else ROWS)
    n, d = parts.integer("n", 2, MOST_TOKENS), parts.integer("d", 1, MOST_DIMENSIONS)
    values = fields.choice("values", ("01", "pm1"))
    eta, gamma = tolerance(document["tolerance"])
    margin = exact_margin(values, eta, gamma)
    scale, success = fields.fraction("scale"), fields.fraction("success")
    d_v = fields.integer("d_v", 1, MOST_DIMENSIONS)
    fields.integer("bits_per_number", 1, 1)
    claimed = interference(document["interference"], n)
    logit_range = fields.fraction("logit_range")
    secret, bound = (fields.integer(x, 0, 10**30) for x in ("secret_bits", "bound_bits"))
    same("secret_bits", secret, n * d_v, "n d_v gives")
    same("bound_bits", bound, certified_bits(secret, success), "N (1 - h(1 - success)) gives")

    if flat:
        family = parts.choice("family", tuple(DERIVED))
        _check_spectrum(parts, family, n, d)
        found = spectrum_margins(flat_spectrum(family, n, d), scale, margin)
        query = "C k_i"
        kept = f"{DERIVED[family]}, and taken on trust is {TAKEN[family]}"
    else:
        family = parts.text("family", "[a-z0-9-]{1,40}", "the name of a key family")
        seed = parts.integer("seed", 0, 2**128)
        check_sizes(n, d)
        rows = unpack_rows(parts.rows("rows"), n, d)
        try:
            found = row_margins(row_interference(rows, sent_queries(rows, scale)), margin)
        except Dominated as pair:
            raise dominated(pair) from None
        query = "C k_i (rounded to float32)"
        kept = (
            "the interference of every key was bounded again from the float32 rows in the file; "
            f"that these are {family} keys of seed {seed} was not checked and is not needed"
        )
    same("interference", claimed, (found.key, found.at_least, found.at_most), "the keys give")
    same("logit_range", logit_range, found.logit_range, "the keys and the scale give")
    facts = {
        "condition": margin.name,
        "keys": family, "n": n, "d": d, "d_v": d_v, "values": values,
        "eta": _text(eta), "gamma": _text(gamma), "success": str(success), "scale": str(scale),
        "logit_range": str(logit_range), "secret_bits": secret, "bound_bits": bound,
        "rederived": DERIVED[family] if flat else "the interference of every key, from its row",
        "taken": TAKEN[family] if flat else "nothing",
    }  # fmt: skip
    return _sentence(facts, query, kept), facts


def _sentence(facts: dict[str, Any], query: str, kept: str) -> str:
    answer = answer_words(facts["eta"], facts["gamma"])
    alphabet = "{0,1}" if facts["values"] == "01" else "{-1,1}"
    scale, logits = (float(Fraction(facts[name])) for name in ("scale", "logit_range"))
    secret, bound = facts["secret_bits"], facts["bound_bits"]
    return (
        f"Any algorithm that has read the {facts['n']} tokens (0, k_i, x_i), k_i the "
        f"{facts['keys']} keys in dimension {facts['d']} and x_i uniform in "
        f"{alphabet}^{facts['d_v']}, and whose answer to every query {query}, C about {scale:.8g}, "
        f"is {answer} in each coordinate with probability at least {facts['success']} (one bit a "
        f"number, scores within +- {logits:.6g} nats), has a state of at least {bound} bits of "
        f"entropy, {bound / secret:.3f} of the {secret} secret bits; {kept}."
    )


def answer_words(eta: str | None, gamma: str | None) -> str:
    """What answers are, by one of the two tolerances.

    >>> answer_words("1/2", None)
    "within a factor 1 +- 1/2 of attention's output"
    """
    if "0" in (eta, gamma):
        return "exactly attention's output"
    within = f"a factor 1 +- {eta}" if eta else f"+- {gamma}"
    return f"within {within} of attention's output"


def tolerance(value: Any) -> tuple[Fraction | None, Fraction | None]:
    """(eta, None) or (None, gamma), from the field of that name."""
    if isinstance(value, dict) and set(value) == {"gamma"}:
        return None, Fields(value, "'tolerance'", ("gamma",)).fraction("gamma")
    return Fields(value, "'tolerance'", ("eta",)).fraction("eta"), None


def interference(value: Any, n: int) -> tuple[int, Fraction, Fraction]:
    """The key with the smallest margin, and bounds of its S'."""
    fields = Fields(value, "'interference'", ("key", "at_least", "at_most"))
    key = fields.integer("key", 0, n - 1)
    return key, fields.fraction("at_least"), fields.fraction("at_most")


def _check_spectrum(parts: Fields, family: str, n: int, d: int) -> None:
    norm, entry = parts.integer("norm", 1, 1 << 20), parts.fraction("entry")
    counts = []
    for item in parts.items("spectrum", 4096):
        if not (isinstance(item, list) and len(item) == 2 and all(type(x) is int for x in item)):
            raise BadInput(
                "'spectrum' of 'keys' is a list of pairs of integers [inner product, how many]."
            )
        if max(map(abs, item)) > _MOST_COUNT:
            raise BadInput("'spectrum' of 'keys' has an integer of more than 40 digits.")
        counts.append(tuple(item))
    found = flat_spectrum(family, n, d)
    same("norm", norm, found.norm, "the construction gives")
    same("entry", entry, found.entry, "the construction gives")
    same("spectrum", tuple(counts), found.counts, "the construction gives")


def same(name: str, claimed: Any, found: Any, source: str) -> None:
    """FalseClaim unless a field is what the proof gives."""
    if claimed != found:
        raise FalseClaim(
            f"the claim is false: '{name}' is {_brief(claimed)}, where {source} {_brief(found)}."
        )


def _brief(value: Any) -> str:
    if isinstance(value, tuple):
        text = "[" + ", ".join(map(_brief, value)) + "]"
        return text if len(text) <= 100 else text[:97] + "..."
    return str(value)


def _text(value: Fraction | None) -> str | None:
    return None if value is None else str(value)
