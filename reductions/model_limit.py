"""The smallest cache that can work in the worst case, for a whole model (ours).

Every KV head of every layer is a game of its own, on disjoint secrets: one message carries them
all, so the bounds add up (Theorem A of docs/theory.md with N the sum of the secret bits). A head
with n tokens hides

* *values only*: n d_v bits, by the Index reduction (Theorem 8), or
* *keys and values*: n (d_v + d_k - ceil(log2 n)) bits, by the reduction of ``key_payload``,
  where a key has numbers apart from the value's.

In a latent layer keys and values of all heads are linear in one vector c of d_c numbers, so a
payload in the key is a payload in c: only c is counted, n d_c bits. (That such keys carry nothing
beyond that is not claimed.)

*Hypothesis.* The stacked W_UV, the matrix of H d_h rows that makes the values of all H heads from
c, has rank d_c; the address lives in the rotary key, which is not part of c. *Proof.* Choose d_c
independent rows R of it, W_R c the numbers that they make. For bits x_l Alice sends c_l = W_R^{-1}
x_l. Bob's query is 0 against the keys made from c, and C times the address against the rotary key,
the same in all heads: all of them weigh the tokens as the Index reduction does, and the d_c
coordinates R of their outputs are its outputs for the values x_l. A guarantee coordinate by
coordinate is one of these coordinates, so Theorem 8 gives n d_c (1 - h(1 - success)) bits. [] With
a smaller rank r the same proof has r for d_c. Where a configuration's heads make fewer values than
d_c, r can be no more than their number, and that is counted; otherwise full rank is assumed, which
random matrices have with probability 1 and which a configuration does not tell. That c is what the
cache is given: a model that normalises it first gives Alice fewer streams.

A guarantee says: every coordinate of every answer within (1 +- eta), each bit's answer with
probability at least ``success``. What is proved is that *some* stream of keys and values defeats a
smaller cache, at the logit range stated; real keys and values are functions of the tokens.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..errors import BadInput
from .bounds import index_bound_bits
from .key_choice import smallest_range
from .keys.hypercube import address_bits
from .model_shape import Layer, ModelShape, held_tokens
from .payload_margins import KeyQuestion, address_keys

#: of a latent layer; the module docstring has the proof
LATENT_RANK = "the stacked W_UV, which makes all heads' values of the latent vector, has rank {}"

DTYPES = {"fp32": 32, "float32": 32, "bf16": 16, "bfloat16": 16, "fp16": 16, "float16": 16,
          "fp8": 8, "float8": 8}  # fmt: skip


@dataclass(frozen=True)
class LayerLimit:
    """One kind of layer: ``layers`` of it, each with ``heads`` KV heads and ``tokens`` tokens.

    Attributes:
        kind: "full", "sliding" or "latent".
        cache_bits: of all these layers, in the stated format.
        secret_bits: hidden in values only; ``secret_bits_kv`` in keys and values.
        bound_bits, bound_bits_kv: secret bits times 1 - h(1 - success).
        compression, compression_kv: cache bits over bound bits: no algorithm with this guarantee
            compresses further.
        keys: the key set of the values' bound, ``logit_range`` what it needs (nats);
            ``logit_range_kv`` the largest score of the other (None where there is none).
        hypothesis: what the bounds need of the layer beside the guarantee; None for nothing.
    """

    kind: str
    layers: int
    heads: int
    tokens: int
    d_k: int
    d_v: int
    cache_bits: float
    secret_bits: int
    bound_bits: float
    compression: float
    keys: str
    logit_range: float
    secret_bits_kv: int
    bound_bits_kv: float
    compression_kv: float
    logit_range_kv: float | None
    hypothesis: str | None


@dataclass(frozen=True)
class ModelLimit:
    """A whole model: the sums over its layers, and what they rest on."""

    model: str
    context: int
    dtype: str
    success: float
    eta: float
    bits_per_number: float
    layers: tuple[LayerLimit, ...]
    cache_bits: float
    bound_bits: float
    bound_bits_kv: float
    compression: float
    compression_kv: float
    logit_range: float
    logit_range_kv: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def model_limit(
    shape: ModelShape,
    context: int,
    *,
    dtype: str = "bf16",
    success: float = 0.9,
    eta: float = 0.5,
) -> ModelLimit:
    """The limits of a model's cache after ``context`` tokens, in the stated number format.

    Raises:
        BadInput: the context or the success probability is out of range, the format is unknown,
            or no known key set has as many keys as a layer keeps tokens.

    >>> from .model_shape import read_config
    >>> shape = read_config({"num_hidden_layers": 1, "num_attention_heads": 1, "head_dim": 128})
    >>> limit = model_limit(shape, 1 << 17)
    >>> round(limit.compression, 1), round(limit.compression_kv, 1)
    (60.3, 32.3)
    >>> round(model_limit(shape, 1 << 17, success=1).compression_kv, 1)
    17.1
    """
    if not 0.5 < success <= 1.0:
        raise BadInput(
            f"success must lie in (1/2, 1], not {success:g}: 1/2 is the success of a random guess."
        )
    if context < 2:
        raise BadInput(f"A context must have two tokens or more, not {context}.")
    if dtype not in DTYPES:
        known = ", ".join(sorted(set(DTYPES)))
        raise BadInput(f"There is no number format '{dtype}': use one of {known}.")
    found = tuple(
        _layer(layer, count, context, DTYPES[dtype], success, eta) for layer, count in shape.layers
    )
    cache = sum(one.cache_bits for one in found)
    bound, bound_kv = (
        sum(getattr(one, n) for one in found) for n in ("bound_bits", "bound_bits_kv")
    )
    ranges = [
        one.logit_range if one.logit_range_kv is None else one.logit_range_kv for one in found
    ]
    return ModelLimit(
        model=shape.name,
        context=context,
        dtype=dtype,
        success=success,
        eta=eta,
        bits_per_number=1.0,
        layers=found,
        cache_bits=cache,
        bound_bits=bound,
        bound_bits_kv=bound_kv,
        compression=cache / bound,
        compression_kv=cache / bound_kv,
        logit_range=max(one.logit_range for one in found),
        logit_range_kv=max(ranges),
    )


def _layer(
    layer: Layer, count: int, context: int, bits: int, success: float, eta: float
) -> LayerLimit:
    n = held_tokens(layer, context)
    choice = smallest_range(n, layer.d_k, eta)
    cache = float(count * bits * layer.numbers * n)
    secret = count * layer.heads * n * layer.d_v
    both, range_kv = _with_keys(layer, count, n, eta)
    bound, bound_kv = (index_bound_bits(s, success) for s in (secret, both))
    return LayerLimit(
        kind=layer.kind,
        layers=count,
        heads=layer.heads,
        tokens=n,
        d_k=layer.d_k,
        d_v=layer.d_v,
        cache_bits=cache,
        secret_bits=secret,
        bound_bits=bound,
        compression=cache / bound,
        keys=choice.keys,
        logit_range=choice.logit_range,
        secret_bits_kv=both,
        bound_bits_kv=bound_kv,
        compression_kv=cache / bound_kv,
        logit_range_kv=range_kv,
        hypothesis=None if layer.keys_apart else LATENT_RANK.format(layer.d_v),
    )


def _with_keys(layer: Layer, count: int, n: int, eta: float) -> tuple[int, float | None]:
    """Secret bits in keys and values, and the largest score; values alone if keys have no room."""
    values = count * layer.heads * n * layer.d_v
    room = layer.d_k - address_bits(n)
    if not layer.keys_apart or room < 1:
        return values, None
    # All addresses of that many bits: more interference than n of them have.
    question = KeyQuestion.build(address_keys(1 << address_bits(n)), 1, eta, layer.d_k)
    largest = question.scale * address_bits(n) + question.beta
    return values + count * layer.heads * n * room, largest


def excluded(limit: ModelLimit, compression: float) -> str | None:
    """Whether a claimed compression of the cache is excluded under the limit's guarantee.

    Returns "values" if the values' bound excludes it already, "keys and values" if that takes both,
    and None if neither does. Raises BadInput for a compression of 0 or less.
    """
    if not compression > 0:
        raise BadInput(f"A compression must be a positive factor, not {compression:g}.")
    if compression > limit.compression:
        return "values"
    return "keys and values" if compression > limit.compression_kv else None
