"""Certificates of own keys (kind ``own-keys-bound``): what ``bound --keys FILE`` writes, checked.

The claim and its proof are in ``reductions.own_keys_claim``; here are the fields. NumPy is not
used.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

from ...errors import BadInput
from ...reductions.certificate_claim import exact_margin
from ...reductions.own_keys_claim import MOST_LEVELS, check_own_sizes, own_bits, own_margins
from ...reductions.row_interference import unpack_rows
from .document import Fields
from .index import COMMON, MOST_DIMENSIONS, answer_words, interference, same, tolerance

KIND = "own-keys-bound"
NAMES = (
    *COMMON, "keys", "norm", "tokens", "queries", "levels", "values", "tolerance", "interference",
    "logit_range", "success", "d_v", "secret_bits", "bound_bits",
)  # fmt: skip


def check_own_keys(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The sentence that the certificate proves, and the facts in it as plain data.

    Raises BadInput for what cannot be checked, FalseClaim for a false claim.
    """
    fields = Fields(document, "the certificate", NAMES)
    parts = Fields(document["keys"], "'keys'", ("n", "d", "rows"))
    n, d = parts.integer("n", 2, 1 << 20), parts.integer("d", 1, MOST_DIMENSIONS)
    tokens = fields.integers("tokens", 0, n - 1, n)
    check_own_sizes(n, d, len(tokens))
    if any(i >= j for i, j in pairwise(tokens)):
        raise BadInput("'tokens' of the certificate are not in increasing order, each once.")
    levels = fields.integers("levels", 2, MOST_LEVELS, n)
    if len(levels) != len(tokens):
        raise BadInput("'levels' and 'tokens' of the certificate are not of one length.")
    values = fields.choice("values", ("01", "pm1"))
    eta, gamma = tolerance(document["tolerance"])
    margin = exact_margin(values, eta, gamma)
    norm, success = fields.fraction("norm"), fields.fraction("success")
    d_v = fields.integer("d_v", 1, MOST_DIMENSIONS)
    claimed, logit_range = interference(document["interference"], n), fields.fraction("logit_range")
    secret, bound = (fields.integer(x, 0, 10**30) for x in ("secret_bits", "bound_bits"))
    same(
        "secret_bits and bound_bits", (secret, bound), own_bits(levels, d_v, success), "Fano gives"
    )

    rows = unpack_rows(parts.rows("rows"), n, d)
    queries = unpack_rows(fields.rows("queries"), len(tokens), d, "queries")
    found = own_margins(rows, queries, tokens, levels, norm, margin)
    same("interference", claimed, (found.key, found.at_least, found.at_most), "the keys give")
    same("logit_range", logit_range, found.logit_range, "the keys and queries give")
    facts = {
        "condition": margin.name,
        "n": n, "d": d, "d_v": d_v, "certified_tokens": len(tokens), "norm": str(norm),
        "values": values, "eta": None if eta is None else str(eta),
        "gamma": None if gamma is None else str(gamma), "success": str(success),
        "logit_range": str(logit_range), "secret_bits": secret, "bound_bits": bound,
        "rederived": "the norm and the interference of every query", "taken": "nothing",
    }  # fmt: skip
    return _sentence(facts), facts


def _sentence(facts: dict[str, Any]) -> str:
    alphabet = "{0,1}" if facts["values"] == "01" else "{-1,1}"
    more = facts["secret_bits"] > facts["certified_tokens"] * facts["d_v"]
    values = "levels in [0,1], as many as the file says" if more else f"uniform in {alphabet}"
    answer = answer_words(facts["eta"], facts["gamma"])
    return (
        f"Any algorithm that has read the {facts['n']} keys in the file, in dimension "
        f"{facts['d']}, with values of {facts['d_v']} numbers, {values} for "
        f"{facts['certified_tokens']} tokens and public for the others, and whose answer to every "
        f"query of norm at most {float(Fraction(facts['norm'])):.8g} is {answer} in each "
        f"coordinate with probability at least {facts['success']}, has a state of at least "
        f"{facts['bound_bits']} bits of entropy; the norm and the interference of every query "
        "were bounded again from the float32 numbers in the file; whose keys these are was not "
        "checked and is not needed."
    )
