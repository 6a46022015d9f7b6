"""From a bound to its certificate: the writer's side, which may use NumPy.

``verify`` derives everything again without it, and every document is verified before it is written.
"""

from __future__ import annotations

import base64
from fractions import Fraction
from typing import Any

import numpy as np

from ... import __version__
from ...errors import BadInput
from ...reductions import keys as key_sets
from ...reductions.certificate_claim import (
    certified_bits,
    dominated,
    exact_margin,
    row_margins,
    sent_scale,
    spectrum_margins,
)
from ...reductions.exact_spectra import DERIVED, FlatSpectrum, flat_spectrum
from ...reductions.keys.base import KeySet
from ...reductions.limit import Limit
from ...reductions.row_interference import (
    Dominated,
    check_sizes,
    row_interference,
    sent_queries,
    unpack_rows,
)
from .document import LONGEST, sealed
from .index import KIND

DIGITS = 10**LONGEST


def limit_certificate(limit: Limit) -> dict[str, Any]:
    """The certificate of an Index bound, ready for ``certificate.write_certificate``.

    A key set with a spectrum that ``verify`` derives again is named; otherwise its rows are
    carried. BadInput where neither can be done, and for a bound of another kind.
    """
    if limit.reduction != "index" or limit.bits_per_number != 1:
        raise BadInput(
            "A certificate is for a bound of the Index reduction at one bit a number: leave the "
            "other options out."
        )
    eta, gamma = exact(limit.eta, "eta"), exact(limit.gamma, "gamma")
    success = exact(limit.success, "success")
    assert success is not None
    margin = exact_margin(limit.values, eta, gamma)
    key_set = key_sets.make(limit.keys, limit.n, limit.d, limit.keys_seed)
    keys: dict[str, Any] = {"family": limit.keys, "n": limit.n, "d": limit.d}
    spectrum = _derivable(key_set)
    if spectrum is not None:
        largest = float(np.abs(key_set.rows_at([0])).max())
        scale = sent_scale(limit.scale, largest)
        found = spectrum_margins(spectrum, scale, margin)
        keys["norm"], keys["entry"] = spectrum.norm, str(spectrum.entry)
        keys["spectrum"] = [list(pair) for pair in spectrum.counts]
    else:
        check_sizes(limit.n, limit.d)
        data = key_set.rows.astype("<f4").tobytes()
        rows, scale = unpack_rows(data, limit.n, limit.d), Fraction(limit.scale)
        try:
            found = row_margins(row_interference(rows, sent_queries(rows, scale)), margin)
        except Dominated as pair:
            raise dominated(pair) from None
        keys = {"family": limit.keys, "seed": limit.keys_seed, "n": limit.n, "d": limit.d}
        keys["rows"] = base64.b64encode(data).decode()
    return sealed(
        KIND,
        f"kvbarrier {__version__}",
        {
            "keys": keys,
            "values": limit.values,
            "tolerance": {"eta": str(eta)} if eta is not None else {"gamma": str(gamma)},
            "scale": str(scale),
            "interference": {
                "key": found.key,
                "at_least": str(found.at_least),
                "at_most": str(found.at_most),
            },
            "logit_range": str(found.logit_range),
            "success": str(success),
            "d_v": limit.d,
            "bits_per_number": 1,
            "secret_bits": limit.secret_bits,
            "bound_bits": certified_bits(limit.secret_bits, success),
        },
    )


def _derivable(key_set: KeySet) -> FlatSpectrum | None:
    """The spectrum as ``verify`` derives it, if it does, compared with the key set's own."""
    if key_set.spectrum is None or key_set.name not in DERIVED:
        return None
    found = flat_spectrum(key_set.name, key_set.n, key_set.d)
    square = found.entry**2
    counts = tuple((p * square, count) for p, count in found.counts)
    if (found.norm * square, counts) != (key_set.spectrum.norm2, key_set.spectrum.counts):
        raise AssertionError(f"the spectrum of {key_set!r} was derived otherwise")
    return found


def exact(value: float | None, name: str) -> Fraction | None:
    """The fraction that a person meant: 0.1 is 1/10."""
    if value is None:
        return None
    exact = Fraction(repr(float(value)))
    if max(exact.numerator, exact.denominator) >= DIGITS:
        raise BadInput(f"A certificate writes {name} with at most {LONGEST} digits, not {value!r}.")
    return exact
