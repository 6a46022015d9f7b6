"""The hard stream inside a genuine language model of transformers: by weights and configuration.

The hidden state of the carrier is [q | k | v | out], one such block a layer, each part holding all
heads. q_proj, k_proj and v_proj select their part of the layer's own block, o_proj writes the
attention output into ``out``, and the last hidden state shows ``out`` of every layer. Nothing of
transformers is replaced, so that a cache or a press sees what it sees in any model.

| obstacle | how it is neutralised | exact |
|---|---|---|
| RMSNorm | epsilon 2^40, weight 2^20: rsqrt(mean + 2^40) is 2^-20 | yes, for mean squares to 2^15 |
| RMSNorm in fp16 | epsilon 2^20, weight 2^10 | numbers below 2^-4 lose digits beyond 2^-14 |
| RoPE | linear scaling by 1e300: frequencies underflow to 0, cos = 1, sin = 0 | yes (-0 gets +0) |
| 1/sqrt(d) | questions are multiplied by sqrt(d) | yes where sqrt(d) is a power of 2 (d = 64) |
| residual | ``out`` starts at 0, and the other parts are never written | yes |
| MLP | down_proj is 0 | yes |
| selection | rows of the identity: each sum has one term | yes |

So K and V in the cache are the stream's, rounded to ``dtype`` and nothing else. Where d_k and d_v
differ, both are padded with zeros to the larger: these models have one width a head.

With ``live=True`` the rotary embedding stays: ``rotary`` says which, and that the player turns back
what it will turn.

A batch of sequences is the batch of the model: arrays then are [m, sequences, layers, heads, d].

In the token form a stream is ``input_ids``, and the rows of the embedding table are the triples.
That table is no part of a message: Bob's knows no V.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
import transformers

from ....errors import BadInput, did_you_mean
from ...plugin.contract import Float32, Shape
from ..rotary import SPEED, THETA

# Players are forked, and a pool of threads does not survive that.
torch.set_num_threads(1)

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
FAMILIES = ("Llama", "Mistral", "Qwen2")


def dtype_named(name: str) -> Any:
    """Return the torch dtype of ``bf16``, ``fp16`` or ``fp32``.

    Raises:
        BadInput: the name is not one of these.
    """
    if name not in DTYPES:
        raise BadInput(f"The dtype of a cache must be bf16, fp16 or fp32, not '{name}'.")
    return DTYPES[name]


class Carrier:
    """A model that attends to what it is given; query heads are the KV heads.

    Attributes:
        model: the ``...ForCausalLM``, in eval mode; logit j is coordinate j of ``outputs`` laid
            flat.
        config: its configuration.
        dtype: of the weights, the hidden state and the cache.
        width: numbers a head, the larger of d_k and d_v.
        attention: ``sdpa`` or ``eager``, as given.

    Args:
        shape: layers, KV heads, d_k and d_v of the stream.
        dtype: see ``DTYPES``.
        attn_implementation: what transformers calls it.
        vocabulary: rows of the embedding table, for the token form.
        family: see ``FAMILIES``.
        live: whether the rotary embedding turns keys and queries.

    Raises:
        BadInput: the dtype or family does not exist.
    """

    def __init__(
        self,
        shape: Shape,
        dtype: str = "bf16",
        attn_implementation: str = "sdpa",
        vocabulary: int = 0,
        family: str = "Llama",
        live: bool = False,
    ) -> None:
        if family not in FAMILIES:
            hint = did_you_mean(family, FAMILIES)
            raise BadInput(f"There is no model family '{family}'.{hint}")
        self.shape, self.dtype = shape, dtype_named(dtype)
        self.attention = attn_implementation
        self.width = max(shape.d_k, shape.d_v)
        self._part = shape.kv_heads * self.width
        flat = shape.layers * shape.kv_heads * shape.d_v
        small = self.dtype is torch.float16
        self._gain = 2.0 ** (10 if small else 20)
        self.config = getattr(transformers, f"{family}Config")(
            hidden_size=4 * self._part * shape.layers,
            intermediate_size=1,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.kv_heads,
            num_key_value_heads=shape.kv_heads,
            head_dim=self.width,
            vocab_size=max(vocabulary, flat, 1),
            max_position_embeddings=2 * (shape.tokens + shape.extra) + 1024,
            rms_norm_eps=self._gain**2,
            rope_parameters={"rope_type": "default", "rope_theta": THETA}
            if live
            else {"rope_type": "linear", "factor": 1e300, "rope_theta": 1e4},
            attn_implementation=attn_implementation,
            tie_word_embeddings=False,
            use_cache=True,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
            sliding_window=None,
        )
        self.model = getattr(transformers, f"{family}ForCausalLM")(self.config)
        self.model.to(self.dtype).eval().requires_grad_(False)
        if live:
            # No configuration has a factor below 1; and the angles stay float32, as transformers'
            # own do that were not cast.
            embedding = self.model.model.rotary_emb
            embedding.inv_freq = SPEED * THETA ** (-torch.arange(0, self.width, 2) / self.width)
        # transformers 5.24 renamed it.
        known = inspect.signature(self.model.model.forward).parameters
        self._cache_name = "cache" if "cache" in known else "past_key_values"
        self._write_weights()

    def _write_weights(self) -> None:
        for parameter in self.model.parameters():
            parameter.zero_()
        one = torch.eye(self._part, dtype=self.dtype)
        for l, layer in enumerate(self.model.model.layers):
            attention, parts = layer.self_attn, [self._slice(l, part) for part in range(4)]
            attention.q_proj.weight[:, parts[0]] = one
            attention.k_proj.weight[:, parts[1]] = one
            attention.v_proj.weight[:, parts[2]] = one
            attention.o_proj.weight[parts[3]] = one
            layer.input_layernorm.weight.fill_(self._gain)
            layer.post_attention_layernorm.weight.fill_(self._gain)
        self.model.model.norm.weight.fill_(self._gain)
        for j, place in enumerate(self._places()):
            self.model.lm_head.weight[j, place] = 1.0

    def _slice(self, layer: int, part: int) -> slice:
        start = (4 * layer + part) * self._part
        return slice(start, start + self._part)

    def _places(self) -> list[int]:
        """Where the hidden state has coordinate j of [layers, heads, d_v] laid flat."""
        return [
            self._slice(layer, 3).start + head * self.width + j
            for layer in range(self.shape.layers)
            for head in range(self.shape.kv_heads)
            for j in range(self.shape.d_v)
        ]

    # -- tokens --------------------------------------------------------------------------------

    def embed(self, Q: Float32, K: Float32, V: Float32) -> Any:
        """Tokens as ``inputs_embeds``: float32[m, layers, heads, d] -> dtype[1, m, hidden].

        Q is multiplied by sqrt(d), so that scores are <q, k>.
        """
        # A batch of none is a batch of one.
        rows = [np.asarray(one).reshape(len(K), -1, *one.shape[-3:]) for one in (Q, K, V)]
        m, batch, layers, heads, _ = rows[1].shape
        hidden = np.zeros((batch, m, layers, 4, heads, self.width), np.float32)
        # The model divides by the root of the width that it has.
        rows[0] = rows[0] * np.float32(self.width**0.5)
        for part, one in enumerate(rows):
            hidden[:, :, :, part, :, : one.shape[-1]] = one.swapaxes(0, 1)
        return torch.from_numpy(hidden.reshape(batch, m, -1)).to(self.dtype)

    def write_table(self, first: int, Q: Float32, K: Float32, V: Float32) -> Any:
        """Make the triples rows ``first``.. of the embedding table; return their ids, int64[1, m].

        Raises:
            BadInput: the table has too few rows.
        """
        table = self.model.model.embed_tokens.weight
        if first + len(K) > len(table):
            raise BadInput(
                f"Tokens {first} to {first + len(K) - 1} do not fit into a vocabulary of "
                f"{len(table)}."
            )
        table[first : first + len(K)] = self.embed(Q, K, V)[0]
        return torch.arange(first, first + len(K))[None]

    def forget_values(self) -> None:
        """Zero V in the embedding table: what Bob knows of Alice's tokens."""
        for layer in range(self.shape.layers):
            self.model.model.embed_tokens.weight[:, self._slice(layer, 2)] = 0

    # -- passes --------------------------------------------------------------------------------

    def forward(self, cache: Any, tokens: Any, mask: Any = None) -> Float32:
        """One pass: tokens are appended to ``cache``, each attends to what it may see.

        Args:
            cache: a cache of transformers, or None.
            tokens: from :meth:`embed` (floating) or :meth:`write_table` (ids).
            mask: None for causal attention, or bool[1, 1, m, keys], True where a token sees a key.

        Returns:
            Attention outputs, float32[m, layers, heads, d_v], [m, sequences, ..] of a batch.
        """
        named = "inputs_embeds" if tokens.is_floating_point() else "input_ids"
        if mask is not None and self.attention == "eager":
            # Eager attention adds its mask to the scores.
            least = torch.finfo(self.dtype).min
            mask = torch.zeros(mask.shape, dtype=self.dtype).masked_fill(~mask, least)
        with torch.no_grad():
            done = self.model.model(
                **{named: tokens, self._cache_name: cache}, attention_mask=mask, use_cache=True
            )
        return self.outputs(done.last_hidden_state)

    def outputs(self, hidden: Any) -> Float32:
        """Read the last hidden state, [batch, m, hidden], exactly.

        Float32[m, layers, heads, d_v], or [m, sequences, ..] of a batch.
        """
        read = hidden[:, :, self._places()].to(torch.float32).numpy().swapaxes(0, 1)
        shape = self.shape
        batch = () if shape.sequences is None else (read.shape[1],)
        out: Float32 = read.reshape(len(read), *batch, shape.layers, shape.kv_heads, shape.d_v)
        return out
