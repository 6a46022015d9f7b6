"""What a model caches, read from a Hugging Face style configuration: layers, heads, dimensions.

Only what bears on the memory of the cache is read; everything else in a configuration is left
alone. Three kinds of layers:

* *full*: every KV head keeps a key and a value of every token.
* *sliding*: the same, of the last ``window`` tokens.
* *latent* (multi-head latent attention): a token keeps one latent vector c of ``kv_lora_rank``
  numbers, of which keys and values of all heads are linear functions, and one key of
  ``qk_rope_head_dim`` numbers that all heads share. Values carry no more numbers than the heads
  make of c, ``num_attention_heads`` times ``v_head_dim``, where these are given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BadInput

_KINDS = {
    "full_attention": "full",
    "global_attention": "full",
    "attention": "full",
    "sliding_attention": "sliding",
    "local_attention": "sliding",
}


@dataclass(frozen=True)
class Layer:
    """One kind of layer.

    Attributes:
        kind: "full", "sliding" or "latent".
        heads: KV heads (1 for "latent").
        d_k: numbers of a key that an address can live in; of a latent layer the shared rotary key.
        d_v: numbers of a value; of a latent layer those of the latent vector that values can tell,
            all of them if the matrix that makes the values of all heads has that rank.
        window: tokens kept, or None for all.
        numbers: cached numbers a token, of all heads.
    """

    kind: str
    heads: int
    d_k: int
    d_v: int
    window: int | None
    numbers: int

    @property
    def keys_apart(self) -> bool:
        """Whether keys have numbers of their own to hide a payload in, beside the values."""
        return self.kind != "latent"


@dataclass(frozen=True)
class ModelShape:
    """Kinds of layers and how many there are of each, in the order in which they first come."""

    name: str
    layers: tuple[tuple[Layer, int], ...]

    def cache_bits(self, context: int, bits: float) -> float:
        """Bits of the whole cache at ``bits`` a number after ``context`` tokens."""
        return sum(
            count * bits * layer.numbers * held_tokens(layer, context)
            for layer, count in self.layers
        )


def held_tokens(layer: Layer, context: int) -> int:
    """Tokens that the layer keeps of a context."""
    return context if layer.window is None else min(context, layer.window)


def read_config(config: Mapping[str, Any]) -> ModelShape:
    """The shape of a model.

    Of a configuration with parts (``text_config``) the text model's part is read.

    Raises:
        BadInput: a field is missing, of the wrong kind, or contradicts another; the sentence names
            it and what was expected.

    >>> shape = read_config({"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64})
    >>> shape.layers[0][0].d_k, shape.layers[0][0].heads, shape.cache_bits(10, 16)
    (16, 4, 40960)
    """
    if not isinstance(config, Mapping):
        raise BadInput("A model's configuration must be a JSON object of named fields.")
    inner = config.get("text_config")
    if isinstance(inner, Mapping) and "num_hidden_layers" in inner:
        config = {"model_type": config.get("model_type"), **inner}
    name = str(config.get("_name_or_path") or config.get("model_type") or "model")
    count = _whole(config, "num_hidden_layers")
    if config.get("kv_lora_rank") is not None:
        return ModelShape(name, ((_latent(config), count),))
    kinds = _layer_kinds(config, count)
    made = [_attention(config, kind) for kind in kinds]
    return ModelShape(name, tuple(Counter(made).items()))


def _latent(config: Mapping[str, Any]) -> Layer:
    rank = _whole(config, "kv_lora_rank")
    rotary = _whole(config, "qk_rope_head_dim")
    told = rank
    if config.get("v_head_dim") is not None:
        told = min(rank, _whole(config, "num_attention_heads") * _whole(config, "v_head_dim"))
    return Layer("latent", 1, rotary, told, None, rank + rotary)


def _attention(config: Mapping[str, Any], kind: str) -> Layer:
    heads = _whole(config, "num_attention_heads")
    kv_heads = heads
    if config.get("num_key_value_heads") is not None:
        kv_heads = _whole(config, "num_key_value_heads")
    if heads % kv_heads:
        raise BadInput(
            f"num_key_value_heads = {kv_heads} does not divide num_attention_heads = {heads}: "
            "every KV head serves equally many query heads."
        )
    d = _head_dim(config, heads)
    window = _whole(config, "sliding_window") if kind == "sliding" else None
    return Layer(kind, kv_heads, d, d, window, 2 * kv_heads * d)


def _head_dim(config: Mapping[str, Any], heads: int) -> int:
    if config.get("head_dim") is not None:
        return _whole(config, "head_dim")
    hidden = _whole(config, "hidden_size")
    if hidden % heads:
        raise BadInput(
            f"hidden_size = {hidden} is not a multiple of num_attention_heads = {heads}, and "
            "head_dim is missing: add it."
        )
    return hidden // heads


def _layer_kinds(config: Mapping[str, Any], count: int) -> list[str]:
    """The kind of every layer."""
    named = config.get("layer_types")
    if named is not None:
        if not isinstance(named, list) or len(named) != count:
            raise BadInput(
                "layer_types must be a list with a name for each of num_hidden_layers = "
                f"{count} layers."
            )
        for one in named:
            if one not in _KINDS:
                raise BadInput(
                    f"layer_types names '{one}', whose cache kvbarrier does not know: use one "
                    f"of {', '.join(sorted(_KINDS))}."
                )
        return [_KINDS[one] for one in named]
    if config.get("sliding_window") is None or config.get("use_sliding_window") is False:
        return ["full"] * count
    pattern = config.get("sliding_window_pattern")
    if pattern is None and config.get("model_type") == "gemma2":
        pattern = 2
    if pattern is not None:
        # Every pattern-th layer is full, as in Gemma 2 and 3.
        every = _whole({"sliding_window_pattern": pattern}, "sliding_window_pattern")
        return ["full" if (i + 1) % every == 0 else "sliding" for i in range(count)]
    if config.get("max_window_layers") is not None:
        # The first layers are full, as in Qwen2.
        first = _whole(config, "max_window_layers", least=0)
        return ["full" if i < first else "sliding" for i in range(count)]
    return ["sliding"] * count


def _whole(config: Mapping[str, Any], field: str, least: int = 1) -> int:
    if field not in config:
        raise BadInput(f"The configuration has no field '{field}': add it, as a whole number.")
    value = config[field]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 1 << 31:
        raise BadInput(f"The field '{field}' must be a whole number from {least}, not {value!r}.")
    return value
