"""The hard stream inside a genuine language model of transformers: by weights and configuration.

The hidden state of the carrier is [q | k | v | out], one such block a layer, each part holding all
KV heads; ``out`` is there once for each query head of a group. k_proj and v_proj select their part
of the layer's own block, q_proj gives the same query to all query heads of a group, o_proj writes
the attention output of query head g of every group into the g-th ``out``, and the last hidden state
shows ``out`` of every layer. Nothing of transformers is replaced, so that a cache or a press sees
what it sees in any model. ``families`` says which models there are and what each has in the way.

| obstacle | how it is neutralised | exact |
|---|---|---|
| RMSNorm | epsilon g^2, weight g = 2^20: rsqrt(mean + g^2) is 1/g | yes, for mean squares to 2^15 |
| RMSNorm in fp16 | g = 2^10 | numbers below 2^-4 lose digits beyond 2^-14 |
| RMSNorm with 1 + w | w = g - 1; where that rounds to g, x (1 + 1/g) rounds to x | yes |
| the same in fp16 | g = 2^15: it multiplies in float32 | yes |
| norm of each query and key | the same weights do | the same; a second time nothing is lost |
| RoPE | linear scaling by 1e300: frequencies underflow to 0, cos = 1, sin = 0 | yes (-0 gets +0) |
| 1/sqrt(s) | questions are multiplied by sqrt(s) | yes where it is a power of 2 (s = 64, 256) |
| scores c tanh(s/c) | they stay; what they cost is in ``reductions.rounding`` | no |
| residual | ``out`` starts at 0, and the other parts are never written | yes |
| MLP | down_proj is 0, and so is the norm of 0 | yes |
| selection | rows of the identity: each sum has one term | yes |

*1 + w.* x has p bits, so its neighbours are 2^-p |x| away or further; 1/g is 2^-15 in fp16 (p = 11)
and 2^-20 in bf16 (p = 8): below half of that. In fp32 (p = 24) g - 1 is exact.

So K and V in the cache are the stream's, rounded to ``dtype`` and nothing else. Where d_k and d_v
differ, both are padded with zeros to the larger: these models have one width a head.

*Grouped queries.* The secret is in keys and values, so there are n d bits for each KV head however
many query heads share it. All query heads of a group ask the same; the answer to row r of a pass is
that of query head r mod G, so that over all questions every query head is heard.

With ``live=True`` the rotary embedding stays: ``rotary`` says which, and that the player turns back
what it will turn.

A batch of sequences is the batch of the model: arrays then are [m, sequences, layers, heads, d].

In the token form a stream is ``input_ids``, and the rows of the embedding table are the triples.
That table is no part of a message: Bob's knows no V.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import transformers
from transformers.initialization import no_init_weights

from ....errors import BadInput
from ...plugin.contract import Float32, Shape
from ..rotary import SPEED, THETA
from .families import FULL, SLIDING, family_for

# Players are forked, and a pool of threads does not survive that.
torch.set_num_threads(1)

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def dtype_named(name: str) -> Any:
    """Return the torch dtype of ``bf16``, ``fp16`` or ``fp32``.

    Raises:
        BadInput: the name is not one of these.
    """
    if name not in DTYPES:
        raise BadInput(f"The dtype of a cache must be bf16, fp16 or fp32, not '{name}'.")
    return DTYPES[name]


class Carrier:
    """A model that attends to what it is given.

    Attributes:
        model: the ``...ForCausalLM``, in eval mode; logit j is coordinate j of ``outputs`` laid
            flat, as the first query head of each group has it.
        config: its configuration.
        dtype: of the weights, the hidden state and the cache.
        width: numbers a head, the larger of d_k and d_v.
        attention: ``sdpa`` or ``eager``.
        windows: of each layer, None where it attends to all tokens.

    Args:
        shape: layers, KV heads, d_k and d_v of the stream, and which layers slide.
        dtype: see ``DTYPES``.
        attn_implementation: what transformers calls it; None: sdpa where the family can.
        vocabulary: rows of the embedding table, for the token form.
        family: see ``families``.
        live: whether the rotary embedding turns keys and queries.

    Raises:
        BadInput: the dtype or family does not exist, or is not one for this stream.
    """

    def __init__(
        self,
        shape: Shape,
        dtype: str = "bf16",
        attn_implementation: str | None = None,
        vocabulary: int = 0,
        family: str = "plain",
        live: bool = False,
    ) -> None:
        self.family = family_for(family, shape)
        self.shape, self.dtype = shape, dtype_named(dtype)
        self.attention = attn_implementation or ("eager" if self.family.eager else "sdpa")
        if self.family.eager and self.attention != "eager":
            raise BadInput(
                f"{family} caps its scores, which {self.attention} cannot: use attention=eager."
            )
        self.width = max(shape.d_k, shape.d_v)
        self.windows = self.family.windows(shape)
        self._scale = self.family.scales.get(self.width, self.width)
        self._part, self._groups = shape.kv_heads * self.width, self.family.groups
        self._block = (3 + self._groups) * self._part
        small = self.dtype is torch.float16
        self._gain = 2.0 ** (20 if not small else 15 if self.family.shift else 10)
        made = getattr(transformers, f"{self.family.base}ForCausalLM")
        self.config = made.config_class(**self._configuration(vocabulary, live))
        with no_init_weights():
            self.model = made(self.config)
        self.model.to(self.dtype).eval().requires_grad_(False)
        if live:
            # No configuration has a factor below 1; and the angles stay float32, as transformers'
            # own do that were not cast.
            slow = SPEED * THETA ** (-torch.arange(0, self.width, 2) / self.width)
            for name in [n for n, _ in self.model.model.rotary_emb.named_buffers()]:
                if name.endswith("inv_freq") and "original" not in name:
                    setattr(self.model.model.rotary_emb, name, slow)
        # transformers 5.24 renamed it.
        known = inspect.signature(self.model.model.forward).parameters
        self._cache_name = "cache" if "cache" in known else "past_key_values"
        self._write_weights()

    def _configuration(self, vocabulary: int, live: bool) -> dict[str, Any]:
        shape, family = self.shape, self.family
        heads = self._groups * shape.kv_heads
        flat = shape.layers * shape.kv_heads * shape.d_v
        rope = {"rope_type": "linear", "factor": 1e300, "rope_theta": 1e4}
        if live:
            rope = {"rope_type": "default", "rope_theta": THETA}
        sizes = [window for window in self.windows if window is not None]
        own: dict[str, Any] = {"rope_parameters": rope}
        if family.by_kind:
            own["rope_parameters"] = {kind: dict(rope) for kind in (FULL, SLIDING)}
        if family.mixes:
            own["layer_types"] = [FULL if w is None else SLIDING for w in self.windows]
            own["use_sliding_window"] = bool(sizes)
        if family.shift:
            own |= {"query_pre_attn_scalar": self._scale, "final_logit_softcapping": None}
        return own | {
            # The query heads have to divide it.
            "hidden_size": -(-shape.layers * self._block // heads) * heads,
            "intermediate_size": 1,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": heads,
            "num_key_value_heads": shape.kv_heads,
            "head_dim": self.width,
            "vocab_size": max(vocabulary, flat, 1),
            "max_position_embeddings": 2 * (shape.tokens + shape.extra) + 1024,
            "rms_norm_eps": self._gain**2,
            "attn_implementation": self.attention,
            "tie_word_embeddings": False,
            "use_cache": True,
            "bos_token_id": None,
            "eos_token_id": None,
            "pad_token_id": None,
            "sliding_window": sizes[0] if sizes else None,
        }

    @property
    def kinds(self) -> Mapping[str, int]:
        """The kinds of layers, as a mask is named for each, and the first layer of each."""
        found: dict[str, int] = {}
        for layer, window in enumerate(self.windows):
            found.setdefault(FULL if window is None else SLIDING, layer)
        return found

    def _write_weights(self) -> None:
        for parameter in self.model.parameters():
            parameter.zero_()
        one = torch.eye(self._part, dtype=self.dtype)
        # Query head h G + g is the g-th of KV head h.
        by_group = one.reshape(self.shape.kv_heads, 1, self.width, self._part)
        same = by_group.expand(-1, self._groups, -1, -1).reshape(-1, self._part)
        rows = torch.arange(len(same)).reshape(self.shape.kv_heads, self._groups, self.width)
        for l, layer in enumerate(self.model.model.layers):
            attention = layer.self_attn
            attention.q_proj.weight[:, self._slice(l, 0)] = same
            attention.k_proj.weight[:, self._slice(l, 1)] = one
            attention.v_proj.weight[:, self._slice(l, 2)] = one
            for g in range(self._groups):
                attention.o_proj.weight[self._slice(l, 3 + g), rows[:, g].flatten()] = one
        for module in self.model.modules():
            if type(module).__name__.endswith("RMSNorm"):
                module.weight.fill_(self._gain - self.family.shift)
        places = self._places()[0]
        self.model.lm_head.weight[torch.arange(len(places)), places] = 1.0

    def _slice(self, layer: int, part: int) -> slice:
        start = layer * self._block + part * self._part
        return slice(start, start + self._part)

    def _places(self) -> Any:
        """Where the hidden state has coordinate j of [layers, heads, d_v] laid flat.

        int64[groups, layers x heads x d_v], a row for each query head of a group.
        """
        shape = self.shape
        inner = torch.arange(shape.kv_heads)[:, None] * self.width + torch.arange(shape.d_v)
        first = torch.arange(shape.layers) * self._block + 3 * self._part
        groups = torch.arange(self._groups) * self._part
        return (groups[:, None, None, None] + first[:, None, None] + inner).flatten(1)

    # -- tokens --------------------------------------------------------------------------------

    def embed(self, Q: Float32, K: Float32, V: Float32) -> Any:
        """Tokens as ``inputs_embeds``: float32[m, layers, heads, d] -> dtype[1, m, hidden].

        Q is multiplied by what the model divides scores by, so that scores are <q, k>.
        """
        # A batch of none is a batch of one.
        rows = [np.asarray(one).reshape(len(K), -1, *one.shape[-3:]) for one in (Q, K, V)]
        m, batch, layers, heads, _ = rows[1].shape
        parts = 3 + self._groups
        hidden = np.zeros((batch, m, layers, parts, heads, self.width), np.float32)
        rows[0] = rows[0] * np.float32(self._scale**0.5)
        for part, one in enumerate(rows):
            hidden[:, :, :, part, :, : one.shape[-1]] = one.swapaxes(0, 1)
        flat = torch.from_numpy(hidden.reshape(batch, m, -1)).to(self.dtype)
        return torch.nn.functional.pad(flat, (0, self.config.hidden_size - flat.shape[-1]))

    def write_table(self, first: int, Q: Float32, K: Float32, V: Float32) -> Any:
        """Make the triples rows ``first``.. of the embedding table; return their ids, int64[1, m].

        Raises:
            BadInput: the table has too few rows, or the family multiplies them.
        """
        if self.family.shift:
            raise BadInput(
                f"{self.family.base} multiplies its embeddings by a root that is not exact, and "
                "this method reads tokens: use another model."
            )
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
            mask: None for causal attention, or bool[1, 1, m, keys], True where a token sees a key;
                one for each of ``kinds`` if there are several.

        Returns:
            Attention outputs, float32[m, layers, heads, d_v], [m, sequences, ..] of a batch.
        """
        named = "inputs_embeds" if tokens.is_floating_point() else "input_ids"
        if isinstance(mask, Mapping):
            mask = {kind: self._as_added(one) for kind, one in mask.items()}
        elif mask is not None:
            mask = self._as_added(mask)
        with torch.no_grad():
            done = self.model.model(
                **{named: tokens, self._cache_name: cache}, attention_mask=mask, use_cache=True
            )
        return self.outputs(done.last_hidden_state)

    def _as_added(self, mask: Any) -> Any:
        """The mask as the attention wants it: eager adds it to the scores."""
        if self.attention != "eager":
            return mask
        least = torch.finfo(self.dtype).min
        return torch.zeros(mask.shape, dtype=self.dtype).masked_fill(~mask, least)

    def outputs(self, hidden: Any) -> Float32:
        """Read the last hidden state, [batch, m, hidden], exactly.

        Float32[m, layers, heads, d_v], or [m, sequences, ..] of a batch; row r as query head r mod
        G of each group has it.
        """
        rows = torch.arange(hidden.shape[1])
        places = self._places()[rows % self._groups]
        read = hidden[:, rows[:, None], places].to(torch.float32).numpy().swapaxes(0, 1)
        shape = self.shape
        batch = () if shape.sequences is None else (read.shape[1],)
        out: Float32 = read.reshape(len(read), *batch, shape.layers, shape.kv_heads, shape.d_v)
        return out
