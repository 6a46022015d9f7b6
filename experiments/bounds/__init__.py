"""Bounds that can be used: what is certified at which logit range and precision, for which model.

Arithmetic on exact spectra, and for every construction a measurement on the float32 keys that would
be sent: 64 sampled rows of the whole set, each in its two worst contexts. The exact answers are
moved to both ends of what the guarantee allows, and slightly beyond, and Bob reads them at the
threshold that he has from the spectrum.

``bounds-range.csv``: the least logit range for n tokens in d dimensions (eta = 1/2) over all known
key sets, and a range below which no unit keys do (``low_dimension``, (2)).
``bounds-constructions.csv``: the largest size of every construction, with its coherence, its exact
scale and the sampled check. ``bounds-models.csv``: the largest possible compression of
the cache of models of published shapes, by guarantee.

With more than one bit a number: ``bounds-precision.csv``, the most levels that a tolerance can tell
apart, and what codes with so many words lose. ``bounds-distortion.csv``, the least share of wrong
numbers and the least squared error, in steps, at 0 to log2 B message bits a number, and what
sharing time and keeping the high bits have. ``bounds-caches.csv``, quantised caches on an even
grid, charged for K and V. ``bounds-alphabets.csv``, exact attention's answers read at the exact
scale, and worst cases at it and at .999 of it. ``bounds-payload.csv``, secrets in keys as well.
"""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="bounds",
    title="Bounds that can be used: logit range, constructions, models, bits a number",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.8, "full": 5},
)
