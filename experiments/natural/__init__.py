"""Natural text beside the hard instance: who loses bits there, and who loses sense here.

The same compressors, at the same memory, on the keys, values and queries that a real language model
(SmolLM2-135M-Instruct) has on prose, code, tables and text in many languages. A prompt of 512
tokens becomes one message a KV head; then 64 tokens follow, answered from the restored caches in
all layers, and the model's own losses on them are compared with those of its full cache. Memory is
that of the messages; what comes later is kept as each method keeps it. The hard instance has as
many tokens, of the same dimension.

``natural-texts.csv``: the texts, by digest, and the model's loss on each. ``natural-loss.csv``: by
text and compressor the error of attention outputs, the increase of next-token loss, and memory.
``natural-hard.csv``: the bit error of the same compressors on the hard instance, literal and
rotated. ``natural-geometry.csv``: by text and layer, how far queries spread their scores and how
keys lie, beside the hard instance's own. ``natural-ranges.csv``: the logit range that certifies n
tokens in the model's dimension.

Torch and the model live in an environment of their own; a text is measured there (``engines.
natural.worker``), in batches, for the model takes a while to load.
"""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="natural",
    title="Natural text beside the hard instance",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 3, "full": 45},
)
