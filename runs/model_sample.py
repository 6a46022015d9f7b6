"""A sample of a whole model's cache: some layers, some KV heads, some rows of a context.

Layers and heads are instances of one game: each has the same keys in a public order of its own, and
bits of its own (``reductions.stream_family``). What is played is the game of those in the sample,
whole: its ledger counts their secret bits and their message, and where rows are sampled it is the
two-term bound (``evidence.ledger``), whose rows are drawn after the message is fixed and asked of
copies of it. So a verdict on the sample rests on no extrapolation. What extrapolates is the size of
the whole cache, and only for an algorithm that treats heads one at a time: its message is one part
a head, so all heads are charged in proportion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import BadInput, did_you_mean
from ..protocols.game.coins import AGE_BUCKETS
from ..protocols.game.instance import MOST_NUMBERS
from ..reductions.key_choice import smallest_range
from ..reductions.model_shape import Layer, ModelShape, held_tokens

DEFAULT_ROWS = 64


@dataclass(frozen=True)
class ModelSample:
    """What is played of a model.

    Attributes:
        model: its name; ``context`` tokens.
        kind: of the layers played, "full" or "sliding"; ``tokens`` that each keeps.
        model_layers, model_heads: how many layers of this kind, and KV heads in each, there are.
        d: the dimension of a head.
        layers, heads, rows: in the sample.
        left_out: the model's other layers, in words; "" where there are none.
    """

    model: str
    context: int
    kind: str
    tokens: int
    model_layers: int
    model_heads: int
    d: int
    layers: int
    heads: int
    rows: int
    left_out: str

    @property
    def times(self) -> float:
        """How many samples the heads of these layers are."""
        return self.model_layers * self.model_heads / (self.layers * self.heads)

    @property
    def cache_bytes(self) -> int:
        """Bytes of these layers' 16-bit cache."""
        return 4 * self.tokens * self.d * self.model_layers * self.model_heads

    def fields(self) -> dict[str, Any]:
        """The fields of the instance that is played, but for its keys."""
        return {
            "n": self.tokens,
            "d": self.d,
            "layers": self.layers,
            "heads": self.heads,
            "rows": None if self.rows == self.tokens else self.rows,
        }

    def keys(self, eta: float) -> str:
        """The key family that asks least of the logits for so many tokens.

        Raises BadInput where none is known whose interference is known exactly.
        """
        n, d = self.tokens, self.d
        if n & (n - 1):
            below = 1 << (n.bit_length() - 1)
            raise BadInput(
                f"The interference of {n} keys is not known exactly, as that of a power of two is: "
                f"take --context {below} or {2 * below}, or name --keys."
            )
        choice = smallest_range(n, d, eta)
        return choice.keys if (choice.n, choice.d) == (n, d) else "hypercube"

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "cache_bytes": self.cache_bytes, "times": self.times}


def sample_of(shape: ModelShape, context: int, wanted: Mapping[str, int]) -> ModelSample:
    """The sample of a model's cache after ``context`` tokens.

    ``wanted``: "layers" (default 1), "heads" (default all KV heads of a layer), "rows" (default
    64). Layers that keep the whole context are played, and sliding ones where there are no others.

    Raises BadInput for a latent cache, a context that cannot be sampled, or a sample that is larger
    than the model.

    >>> from ..reductions.model_shape import read_config
    >>> shape = read_config({"num_hidden_layers": 4, "num_attention_heads": 8, "head_dim": 64})
    >>> sample_of(shape, 4096, {"heads": 2}).fields()
    {'n': 4096, 'd': 64, 'layers': 1, 'heads': 2, 'rows': 64}
    """
    layer, count = _played(shape)
    tokens = held_tokens(layer, context)
    if tokens < AGE_BUCKETS or tokens % AGE_BUCKETS:
        raise BadInput(
            f"Rows are sampled from {AGE_BUCKETS} age buckets of one size, and a {layer.kind} "
            f"layer keeps {tokens} tokens: take --context "
            f"{max(AGE_BUCKETS, tokens - tokens % AGE_BUCKETS)}."
        )
    most = {"layers": count, "heads": layer.heads, "rows": tokens}
    least = {"layers": 1, "heads": 1, "rows": AGE_BUCKETS}
    for name, value in wanted.items():
        if not least[name] <= value <= most[name]:
            raise BadInput(
                f"--sample {name}={value} cannot be taken of this model: give {least[name]} to "
                f"{most[name]}."
            )
    layers, heads = wanted.get("layers", 1), wanted.get("heads", layer.heads)
    fit = MOST_NUMBERS // (tokens * layer.d_v)
    if layers * heads > fit:
        raise BadInput(
            f"{layers} layers of {heads} heads of {tokens} x {layer.d_v} numbers are more than a "
            f"message takes: sample at most {fit} heads, as in --sample layers=1,heads="
            f"{min(fit, layer.heads)}."
        )
    others = [
        f"{number} {one.kind} layer{'s' if number > 1 else ''} of {held_tokens(one, context):,} "
        "tokens"
        for one, number in shape.layers
        if one != layer
    ]
    return ModelSample(
        model=shape.name,
        context=context,
        kind=layer.kind,
        tokens=tokens,
        model_layers=count,
        model_heads=layer.heads,
        d=layer.d_k,
        layers=layers,
        heads=heads,
        rows=wanted.get("rows", min(DEFAULT_ROWS, tokens)),
        left_out=" and ".join(others),
    )


def _played(shape: ModelShape) -> tuple[Layer, int]:
    """The kind of layers that is played, and how many there are."""
    of_kind: dict[str, tuple[Layer, int]] = {}
    for layer, count in shape.layers:
        of_kind.setdefault(layer.kind, (layer, count))
    for kind in ("full", "sliding"):
        if kind in of_kind:
            return of_kind[kind]
    raise BadInput(
        "A latent cache keeps one vector for all heads, and no keys and values that a cache of "
        "attention could be attacked with: ask 'bound --model' for its limit."
    )


def parse_sample(text: str) -> dict[str, int]:
    """Read "layers=1,heads=8,rows=64", in any order, each at most once.

    Raises BadInput.

    >>> parse_sample("heads=2, rows=128")
    {'heads': 2, 'rows': 128}
    """
    known, found = ("layers", "heads", "rows"), dict[str, int]()
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        if name not in known:
            raise BadInput(f"--sample has no '{name}'.{did_you_mean(name, known)}")
        if name in found or not value.isdecimal():
            raise BadInput(f"--sample {name} needs one whole number, as in {name}=16.")
        found[name] = int(value)
    return found
