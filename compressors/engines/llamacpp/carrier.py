"""A model file whose forward pass is attention over the triples it is fed, for llama.cpp as it is.

The architecture is GPT-2's: learned positions, so there is no rotary embedding to undo. The hidden
state of a token holds its query, key and value for every layer and KV head, and room for the
answer: blocks [q | k | v | out], each [layers, heads, d]. The weights only select, so one model
serves every stream, secret, basis and key set of a shape. What stands in the way, and how exactly
it is neutralised:

* LayerNorm subtracts the mean: every coordinate x has a mirror -x beside it, so that all partial
  sums of pairs vanish and the mean is 0 exactly.
* LayerNorm divides by the deviation: epsilon is 2^40 and the weight 2^20. A variance below 2^16 is
  lost in float32, so the factor is 2^-20 2^20 = 1 exactly; a larger one makes it less than 1 by
  variance / 2^41.
* The learned position is added: the table is zero, exactly nothing.
* Scores are divided by sqrt(d): the query goes in as sqrt(d) q. Exact where d is a power of 4.
* The residual: ``out`` starts at 0 and nothing else writes it; the other blocks are not read again.
* The MLP: its weights are 0, so it adds GELU(0) = 0.
* The query projection must be as wide as the hidden state, so there are 8 layers x heads query
  heads. One a KV head asks; the output projection drops the others.
* The head: ``output.weight`` selects ``out``, so logit (l, h, j) is coordinate j of the attention
  output in layer l and KV head h, in float32.

Selecting in float32 adds zeros to one product with 1: exact. What the cache does to K and V, and
the kernel to their product with q, is the engine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ....errors import BadInput
from ...plugin.contract import Float32

EPSILON = 2.0**40
MAX_MODEL_BYTES = 1 << 30

_BLOCKS = 4
_QUERY, _KEY, _VALUE, _OUT = range(_BLOCKS)
_FF = 32


@dataclass(frozen=True)
class Carrier:
    """A model for streams of one shape.

    Attributes:
        layers, heads, d: of a token; keys and values have d coordinates.
        positions: how many there are; a token beyond them would abort the engine.
        vocabulary: rows of the embedding table, where tokens go in by number; 0 where their hidden
            states are given.

    Raises:
        BadInput: the model file would be too large.
    """

    layers: int
    heads: int
    d: int
    positions: int
    vocabulary: int = 0

    def __post_init__(self) -> None:
        if self.bytes > MAX_MODEL_BYTES:
            raise BadInput(
                f"A model of {self.layers} layers of {self.heads} heads in dimension {self.d} and "
                f"{self.positions} positions has {self.bytes >> 20} MiB: the largest made is "
                f"{MAX_MODEL_BYTES >> 20} MiB."
            )

    @property
    def coordinates(self) -> int:
        """Numbers in one block of the hidden state: layers x heads x d."""
        return self.layers * self.heads * self.d

    @property
    def width(self) -> int:
        """Numbers in a hidden state, mirrors included."""
        return 2 * _BLOCKS * self.coordinates

    @property
    def query_heads(self) -> int:
        """Query heads of d coordinates, together as wide as the hidden state."""
        return self.width // self.d

    @property
    def tokens(self) -> int:
        """Size of the vocabulary: at least one logit for each number of an answer."""
        return max(self.vocabulary, self.coordinates)

    @property
    def bytes(self) -> int:
        """About how long the model file is."""
        layer = self.width * (2 * self.width + 2 * self.heads * self.d + 2 * _FF)
        return 4 * (self.layers * layer + 2 * self.tokens * self.width) + (
            2 * self.positions * self.width
        )

    def hidden(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Hidden states float32[m, width] of triples float32[m, layers, heads, d]."""
        blocks = np.zeros((len(K), _BLOCKS, self.coordinates), dtype=np.float32)
        scaled = np.asarray(Q, dtype=np.float64) * np.sqrt(self.d)
        for block, part in ((_QUERY, scaled), (_KEY, K), (_VALUE, V)):
            blocks[:, block] = np.reshape(part, (len(K), self.coordinates))
        flat = blocks.reshape(len(K), -1)
        return np.stack([flat, -flat], axis=2).reshape(len(K), self.width)

    def outputs(self, logits: Float32) -> Float32:
        """Attention outputs float32[m, layers, heads, d] of logits float32[m, at least that]."""
        said = logits[:, : self.coordinates]
        return said.reshape(len(logits), self.layers, self.heads, self.d).copy()


def weights(carrier: Carrier, table: Float32 | None = None) -> dict[str, np.ndarray]:
    """Return the tensors by their names in a GGUF file; matrices are [outputs, inputs].

    ``table`` is float32[vocabulary, width], the hidden states of tokens that go in by number.
    """
    width, n = carrier.width, carrier.coordinates
    embeddings = np.zeros((carrier.tokens, width), dtype=np.float32)
    if table is not None:
        embeddings[: len(table)] = table
    tensors: dict[str, np.ndarray] = {
        "token_embd.weight": embeddings,
        # Float16 has an exact 0, and this is the one table that grows with the stream.
        "position_embd.weight": np.zeros((carrier.positions, width), dtype=np.float16),
        "output.weight": _selection(carrier.tokens, width, np.arange(n), _place(carrier, _OUT)),
        **_norm("output_norm", width),
    }
    for layer in range(carrier.layers):
        tensors |= _layer(carrier, layer)
    return tensors


def write_model(path: Path, carrier: Carrier, table: Float32 | None = None) -> None:
    """Write the model file. Needs the package ``gguf``; equal arguments give equal bytes."""
    import gguf

    writer = gguf.GGUFWriter(str(path), "gpt2")
    writer.add_context_length(carrier.positions)
    writer.add_embedding_length(carrier.width)
    writer.add_feed_forward_length(_FF)
    writer.add_block_count(carrier.layers)
    writer.add_head_count(carrier.query_heads)
    writer.add_head_count_kv(carrier.heads)
    writer.add_layer_norm_eps(EPSILON)
    writer.add_vocab_size(carrier.tokens)
    writer.add_tokenizer_model("none")
    for name, tensor in weights(carrier, table).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _layer(carrier: Carrier, layer: int) -> Mapping[str, np.ndarray]:
    width, d, heads = carrier.width, carrier.d, carrier.heads
    here = np.arange(heads * d) + layer * heads * d
    # Query head h * group + 0 is the one that shares KV head h and asks.
    group = carrier.query_heads // heads
    asking = (np.arange(heads)[:, None] * group * d + np.arange(d)).ravel()
    qkv = np.zeros((width + 2 * heads * d, width), dtype=np.float32)
    qkv[asking, _place(carrier, _QUERY)[here]] = 1.0
    qkv[width + np.arange(heads * d), _place(carrier, _KEY)[here]] = 1.0
    qkv[width + heads * d + np.arange(heads * d), _place(carrier, _VALUE)[here]] = 1.0
    out = _selection(width, width, _place(carrier, _OUT)[here], asking)
    out[_place(carrier, _OUT)[here] + 1, asking] = -1.0
    at = f"blk.{layer}."
    return {
        **_norm(at + "attn_norm", width),
        at + "attn_qkv.weight": qkv,
        at + "attn_qkv.bias": np.zeros(len(qkv), dtype=np.float32),
        at + "attn_output.weight": out,
        at + "attn_output.bias": np.zeros(width, dtype=np.float32),
        **_norm(at + "ffn_norm", width),
        at + "ffn_up.weight": np.zeros((_FF, width), dtype=np.float32),
        at + "ffn_up.bias": np.zeros(_FF, dtype=np.float32),
        at + "ffn_down.weight": np.zeros((width, _FF), dtype=np.float32),
        at + "ffn_down.bias": np.zeros(width, dtype=np.float32),
    }


def _norm(name: str, width: int) -> dict[str, np.ndarray]:
    return {
        f"{name}.weight": np.full(width, np.sqrt(EPSILON), dtype=np.float32),
        f"{name}.bias": np.zeros(width, dtype=np.float32),
    }


def _place(carrier: Carrier, block: int) -> np.ndarray:
    """Where the numbers of a block are in the hidden state; the mirror of each comes next."""
    return 2 * (block * carrier.coordinates + np.arange(carrier.coordinates))


def _selection(rows: int, columns: int, at: np.ndarray, source: np.ndarray) -> np.ndarray:
    matrix = np.zeros((rows, columns), dtype=np.float32)
    matrix[at, source] = 1.0
    return matrix
