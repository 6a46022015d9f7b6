"""Model files with a rotary embedding, so that a cache's positions count, for llama.cpp as it is.

As in ``carrier``, the hidden state of a token is [q | k | v | out], each [layers, heads, d], and
the weights only select. Two architectures are written: ``llama``, and ``gemma2``, whose layers see
a window and everything by turns, from a window on. What is neutralised, and what is not:

* RMSNorm, as in transformers' carrier: epsilon 2^40 and weight 2^20.
* Rotary embedding: it stays, with the frequencies of ``engines/rotary``: base 2, linear scaling by
  1/2.5. llama turns neighbouring coordinates, gemma2 the two halves.
* Scores are divided by sqrt(d): the query goes in as sqrt(d) q.
* The MLP is 0.
* gemma2 multiplies embeddings by sqrt(width), so they are divided by it before; its caps on scores
  and logits are 2^60, of which nothing is left in float32.
* gemma2's head is the table of embeddings: rows 0 .. layers x heads x d - 1 select ``out``.

Tokens are rows of the table after those. The file is mapped into memory, shared: who writes a row
into the file has changed it in the model, so one open context takes any token, by number.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...plugin.contract import Float32
from ..rotary import SPEED, THETA, Rotary

EPSILON = 2.0**40
_CAP = 2.0**60
_FF = 32
_BLOCKS = 4


@dataclass(frozen=True)
class Turning:
    """A model with a rotary embedding, for streams of one shape.

    Attributes:
        layers, heads, d: of a token.
        positions: its context length.
        rows: how many tokens go in at once.
        window: None, or what layers 0, 2, .. see: the architecture is gemma2 then.
    """

    layers: int
    heads: int
    d: int
    positions: int
    rows: int
    window: int | None = None

    @property
    def coordinates(self) -> int:
        """Numbers in one block of the hidden state: layers x heads x d."""
        return self.layers * self.heads * self.d

    @property
    def width(self) -> int:
        """Numbers in a hidden state."""
        return _BLOCKS * self.coordinates

    @property
    def rotary(self) -> Rotary:
        """What turns keys and queries."""
        return Rotary(self.d, "neighbours" if self.window is None else "halves")

    def hidden(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Rows of the table, float32[m, width], of triples float32[m, layers, heads, d]."""
        out = np.zeros((len(K), _BLOCKS, self.coordinates), dtype=np.float32)
        for block, part in enumerate((np.asarray(Q) * np.sqrt(self.d), K, V)):
            out[:, block] = np.reshape(part, (len(K), self.coordinates))
        flat = out.reshape(len(K), self.width)
        return flat if self.window is None else flat / np.float32(np.sqrt(self.width))

    def outputs(self, logits: Float32) -> Float32:
        """Attention outputs float32[m, layers, heads, d] of logits float32[m, at least that]."""
        said = logits[:, : self.coordinates]
        return said.reshape(len(logits), self.layers, self.heads, self.d).copy()


class Table:
    """The rows of an open model file into which tokens are written.

    Args:
        path: the file, which may be deleted afterwards.
        model: what it was written for.
    """

    def __init__(self, path: Path, model: Turning) -> None:
        import gguf

        (table,) = (t for t in gguf.GGUFReader(path).tensors if t.name == "token_embd.weight")
        self._file = os.open(path, os.O_RDWR)
        self._model = model
        self._at = int(table.data_offset) + 4 * model.width * model.coordinates

    def __del__(self) -> None:
        os.close(self._file)

    def write(self, hidden: Float32) -> Any:
        """Make these the tokens; return their numbers."""
        os.pwrite(self._file, np.ascontiguousarray(hidden, dtype="<f4").tobytes(), self._at)
        return self._model.coordinates + np.arange(len(hidden))


def write_turning(path: Path, model: Turning) -> None:
    """Write the model file. Needs the package ``gguf``."""
    import gguf

    gemma = model.window is not None
    writer = gguf.GGUFWriter(str(path), "gemma2" if gemma else "llama")
    writer.add_context_length(model.positions)
    writer.add_embedding_length(model.width)
    writer.add_feed_forward_length(_FF)
    writer.add_block_count(model.layers)
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.heads)
    writer.add_key_length(model.d)
    writer.add_value_length(model.d)
    writer.add_rope_dimension_count(model.d)
    writer.add_rope_freq_base(THETA)
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(1 / SPEED)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_vocab_size(model.coordinates + model.rows)
    writer.add_tokenizer_model("none")
    if model.window is not None:
        writer.add_sliding_window(model.window)
        writer.add_attn_logit_softcapping(_CAP)
        writer.add_final_logit_softcapping(_CAP)
    for name, tensor in _weights(model).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _weights(model: Turning) -> Mapping[str, np.ndarray]:
    n, width = model.coordinates, model.width
    identity = np.full(width, np.sqrt(EPSILON), dtype=np.float32)
    table = _selection(n + model.rows, width, np.arange(n), 3 * n + np.arange(n))
    tensors: dict[str, np.ndarray] = {"token_embd.weight": table, "output_norm.weight": identity}
    norms = ["attn_norm", "ffn_norm"]
    if model.window is None:
        tensors["output.weight"] = table
    else:
        norms += ["post_attention_norm", "post_ffw_norm"]
    each = model.heads * model.d
    for layer in range(model.layers):
        at, here = f"blk.{layer}.", layer * each + np.arange(each)
        tensors |= {f"{at}{name}.weight": identity for name in norms}
        for block, name in enumerate("qkv"):
            matrix = _selection(each, width, np.arange(each), block * n + here)
            tensors[f"{at}attn_{name}.weight"] = matrix
        tensors[f"{at}attn_output.weight"] = _selection(width, each, 3 * n + here, np.arange(each))
        for name in ("gate", "up"):
            tensors[f"{at}ffn_{name}.weight"] = np.zeros((_FF, width), dtype=np.float32)
        tensors[f"{at}ffn_down.weight"] = np.zeros((width, _FF), dtype=np.float32)
    return tensors


def _selection(rows: int, columns: int, at: np.ndarray, source: np.ndarray) -> np.ndarray:
    matrix = np.zeros((rows, columns), dtype=np.float32)
    matrix[at, source] = 1.0
    return matrix
