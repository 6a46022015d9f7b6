"""From the bound of own keys to its certificate: the writer's side, which may use NumPy."""

from __future__ import annotations

import base64
from fractions import Fraction
from typing import Any

import numpy as np

from ... import __version__
from ...errors import BadInput
from ...reductions.certificate_claim import exact_margin
from ...reductions.own_keys import OwnTokens
from ...reductions.own_keys_claim import check_own_sizes, own_bits, own_margins
from ...reductions.row_interference import unpack_rows
from .document import sealed
from .of_limit import exact
from .own_keys import KIND


def own_keys_certificate(tokens: OwnTokens, success: float, d_v: int) -> dict[str, Any]:
    """The certificate of one head's bound, ready for ``certificate.write_certificate``.

    BadInput where no token is certified, and for more tokens than ``verify`` computes again.
    """
    n, d = tokens.keys.shape
    at = np.flatnonzero(tokens.certified)
    if not len(at):
        raise BadInput("No token is certified at this norm, so there is nothing to certify.")
    check_own_sizes(n, d, len(at))
    rule = tokens.rule
    additive, signs = rule.name.startswith("A"), rule.name.endswith("+-")
    error, values = exact(rule.tolerance, "the error"), "pm1" if signs else "01"
    eta, gamma = (None, error) if additive else (error, None)
    wins = exact(success, "success")
    assert wins is not None
    keys, queries = _bytes(tokens.keys), _bytes(tokens.queries[at])
    names, levels = at.tolist(), tokens.levels[at].tolist()
    norm = Fraction(tokens.norm)
    found = own_margins(
        unpack_rows(keys, n, d), unpack_rows(queries, len(at), d, "queries"), names, levels, norm,
        exact_margin(values, eta, gamma),
    )  # fmt: skip
    secret, bound = own_bits(levels, d_v, wins)
    return sealed(
        KIND,
        f"kvbarrier {__version__}",
        {
            "keys": {"n": n, "d": d, "rows": base64.b64encode(keys).decode()},
            "norm": str(norm),
            "tokens": names,
            "queries": base64.b64encode(queries).decode(),
            "levels": levels,
            "values": values,
            "tolerance": {"gamma": str(gamma)} if additive else {"eta": str(eta)},
            "interference": {
                "key": found.key,
                "at_least": str(found.at_least),
                "at_most": str(found.at_most),
            },
            "logit_range": str(found.logit_range),
            "success": str(wins),
            "d_v": d_v,
            "secret_bits": secret,
            "bound_bits": bound,
        },
    )


def _bytes(rows: np.ndarray[Any, Any]) -> bytes:
    return np.ascontiguousarray(rows, dtype="<f4").tobytes()
