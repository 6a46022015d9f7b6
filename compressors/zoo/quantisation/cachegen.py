"""CacheGen: tokens as differences from an anchor, quantised by layer, in a real bitstream."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput, PluginFailure
from ....reductions import attention
from ...catalog_entry import CatalogEntry
from ...kit.blockwise import Own
from ...kit.prefill import Prefill
from ...kit.state import to_storage
from ...kit.token_cache import whole
from ...plugin.contract import Float32, charged_bits

_FP16 = np.dtype(np.float16)
#: the largest symbol of a difference, 16 deviations at the finest step; an anchor has 8 bits
_MOST = 1023
_LEVELS = 255
#: a Laplace law no narrower than this costs a run of zeros next to nothing
_NARROWEST = 0.02
#: steps that a budget chooses from, finest first, in units of the differences' standard deviation
LADDER = tuple(2.0 ** (-e / 4) for e in range(24, -13, -1))

Bits = NDArray[Any]


class CacheGen(Prefill):
    """CacheGen (Liu et al. 2024, KV Cache Compression and Streaming, arXiv 2310.07240).

    Every ``group`` tokens have an anchor, their first, of which each number has 8 bits between its
    channel's extremes. The others are differences from their anchor, in steps of ``step`` times
    the standard deviation of their head's differences, coarser in deeper layers: the first third
    of the layers has ``step``, the second 1.5 and the last 2 times as much. The whole numbers of
    each channel go through an entropy coder under a discrete Laplace law whose width is measured
    and sent. The coder is constriction's ANS.

    A prefill algorithm: coded once after ``shape.tokens`` tokens. Bob's are kept beside it.

    State: extremes and widths in fp16, a channel each; anchors, a byte a number; the bitstream. Its
    length depends on the data, so it is charged.

    Args:
        step: of the differences in the first layers; by default the finest of a ladder from 1/64
            to 8 whose real bitstream fits the budget, or 1/2.
        group: tokens with one anchor (10).

    Raises:
        BudgetTooSmall: the anchors and widths do not fit; or the bitstream of ``step``, which is
            known when the data are there.
        BadInput: ``step`` or ``group`` is not positive, or a number does not fit fp16.

    Mechanisms:
        differences from an anchor token in groups of 10: implemented.
        8-bit anchors: implemented.
        coarser quantisation of deeper layers: implemented.
        arithmetic coding with a law for every channel and layer: adapted, the laws are Laplace and
            their widths are sent; the paper profiles histograms offline, on data like the user's.
        streaming and adaptation to bandwidth: not meaningful here, the message goes at once.
        text fallback (recomputing a chunk from its tokens): not meaningful here, there are none.
    """

    layout = "heads"
    name = "cachegen"

    def set_up(self, *, step: float | None = None, group: int = 10) -> None:
        super().set_up()
        shape = self.shape
        if step is not None and not step > 0:
            raise BadInput(f"step is a positive number, not {step!r}.")
        self.step = step
        self.group = whole(group, "group", 2)
        self.channels = shape.layers * shape.kv_heads * (shape.d_k + shape.d_v)
        self.anchors = -(-shape.tokens // self.group)
        # 1 byte for the step, 3 fp16 numbers a channel, and the anchors.
        self.need(charged_bits(1 + 6 * self.channels + self.anchors * self.channels))
        self.held: Float32 = np.empty((0, self.channels), np.float32)

    # -- the contract ----------------------------------------------------------------------------

    def write(self, Q: Float32, K: Float32, V: Float32) -> bytes:
        """The bitstream at ``step``, or at the finest step that fits."""
        X = np.concatenate([K, V], axis=-1).reshape(len(K), self.channels)
        return self._coded(X)

    def read(self, message: bytes) -> None:
        """Decode it. Raises PluginFailure if it is cut short."""
        self.held = decode(message, self)

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """Exact attention over the decoded tokens and the tail: float32[m, layers, heads, d_v]."""
        axes = self.shape.layers, self.shape.kv_heads
        d_k, d_v = self.shape.d_k, self.shape.d_v
        self.open()
        rows = self.held.reshape(len(self.held), *axes, d_k + d_v)
        K, V = self.with_tail(rows[..., :d_k], rows[..., d_k:])
        out = np.empty((len(Q), *axes, d_v), dtype=np.float32)
        for l, h in np.ndindex(axes):
            at = np.s_[:, l, h]
            if own is None:
                out[at] = attention.block_outputs(Q[at], K[at], V[at])
            else:
                out[at] = attention.next_outputs(Q[at], own[0][at], own[1][at], K[at], V[at])
        return out

    def _coded(self, X: Float32) -> bytes:
        if self.step is not None:
            message = encode(X, self.step, self)
            self.need(charged_bits(len(message)))
            return message
        if self.budget_bits is None:
            return encode(X, 0.5, self)
        parted = part(X, self)
        bare = parted.coded(None)
        # A coarser step is a shorter stream.
        most = self.budget_bits - charged_bits(len(bare))
        guess = sum(parted.expected_bits(step) > most for step in LADDER)
        return self.finest(bare, LADDER, parted.coded, guess)

    def layer_factors(self) -> Float32:
        """How much coarser than ``step`` each channel is: float32[channels], 1, 1.5 or 2."""
        layers = np.arange(self.shape.layers)
        factors = np.array([1.0, 1.5, 2.0], np.float32)[3 * layers // max(3, self.shape.layers)]
        return np.repeat(factors, self.channels // self.shape.layers)


# -- the bitstream -------------------------------------------------------------------------------


class Parted(NamedTuple):
    """Tokens, float32[t, channels], as anchors and what the others differ from theirs.

    Attributes:
        tokens: t.
        low, unit: float16[channels], the anchors' least number and their quantisation step.
        codes: uint8[anchors, channels].
        differences: float32[t - anchors, channels], from what the codes stand for.
        factors: float32[channels], how much coarser the channel's layer is.
        spread: float32[channels], the standard deviation of its head's differences.
    """

    tokens: int
    low: NDArray[np.float16]
    unit: NDArray[np.float16]
    codes: NDArray[np.uint8]
    differences: Float32
    factors: Float32
    spread: Float32

    def coded(self, step: float | None) -> bytes:
        """The bitstream; ``step`` None: the anchors alone.

        Extremes, steps and widths in fp16 (a channel each), anchors in bytes, then whole words of
        the coder.
        """
        count = self.tokens.to_bytes(4, "little")
        if not self.tokens:
            return count
        if step is None or not self.differences.size:
            arrays: list[Bits] = [self.low, self.unit, np.zeros_like(self.low), self.codes]
        else:
            steps = self._steps(step).astype(np.float16)
            symbols = np.rint(self.differences / steps.astype(np.float32))
            symbols = np.clip(symbols, -_MOST, _MOST).astype(np.int32)
            widths = np.maximum(np.abs(symbols).mean(axis=0), _NARROWEST).astype(np.float16)
            words = _coder(None, symbols, widths)
            arrays = [self.low, self.unit, steps, widths, self.codes, words]
        return count + b"".join(array.tobytes() for array in arrays)

    def expected_bits(self, step: float) -> float:
        """About how many bits more than the anchors alone, from the entropies of Laplace laws.

        A whole number with P(s) ~ p^|s| has w = E|s| = 2 p / (1 - p^2), so p = (sqrt(1 + w^2) -
        1) / w, and takes log2((1 + p) / (1 - p)) - w log2(p) bits.
        """
        if not self.differences.size:
            return 0.0
        means = np.abs(self.differences).mean(axis=0)
        w = np.maximum(means / self._steps(step), _NARROWEST)
        p = (np.sqrt(1 + w * w) - 1) / w
        bits = np.log2((1 + p) / (1 - p)) - w * np.log2(p)
        return float(16 * bits.size + len(self.differences) * bits.sum())

    def _steps(self, step: float) -> Float32:
        steps: Float32 = step * self.factors * np.maximum(self.spread, 1e-4)
        return steps


def part(X: Float32, of: CacheGen) -> Parted:
    """Tokens, float32[t, channels], as anchors and differences."""
    if not len(X):
        none = np.zeros((0, of.channels), np.float16)
        return Parted(0, none, none, none.astype(np.uint8), X, X, X)
    first = X[:: of.group]
    low = to_storage(first.min(axis=0), _FP16, "cachegen")
    unit = ((first.max(axis=0) - low.astype(np.float32)) / _LEVELS).astype(np.float16)
    least, width = low.astype(np.float32), unit.astype(np.float32)
    codes = np.rint(np.divide(first - least, width, out=np.zeros_like(first), where=width > 0))
    codes = np.clip(codes, 0, _LEVELS).astype(np.uint8)
    anchors = least + width * codes.astype(np.float32)
    rest = np.arange(len(X)) % of.group > 0
    differences = (X - np.repeat(anchors, of.group, axis=0)[: len(X)])[rest]
    heads = differences.reshape(len(differences), _heads(of), of.channels // _heads(of))
    spread = np.repeat(heads.std(axis=(0, 2)), heads.shape[2]) if len(heads) else 0 * low
    return Parted(len(X), low, unit, codes, differences, of.layer_factors(), spread)


def encode(X: Float32, step: float | None, of: CacheGen) -> bytes:
    """The bitstream of tokens, float32[t, channels]; ``step`` None: the anchors alone."""
    return part(X, of).coded(step)


def decode(message: bytes, of: CacheGen) -> Float32:
    """The tokens of a bitstream, float32[t, channels].

    Raises:
        PluginFailure: it is cut short.
    """
    t, at = int.from_bytes(message[:4], "little"), 4
    rows = -(-t // of.group)
    if not t:
        return np.empty((0, of.channels), np.float32)

    def take(dtype: Any, count: int) -> Bits:
        nonlocal at
        size = np.dtype(dtype).itemsize * count
        if at + size > len(message):
            raise PluginFailure("a bitstream of cachegen ended too early: send it whole.")
        part = np.frombuffer(message, dtype, count, at)
        at += size
        return part

    low, unit, steps = (take(np.float16, of.channels).astype(np.float32) for _ in range(3))
    coded = bool(steps.any())
    widths = take(np.float16, of.channels) if coded else None
    codes = take(np.uint8, rows * of.channels).reshape(rows, of.channels)
    X = np.repeat(low + unit * codes.astype(np.float32), of.group, axis=0)[:t]
    rest = np.arange(t) % of.group > 0
    if widths is not None:
        words = np.frombuffer(message, np.uint32, (len(message) - at) // 4, at)
        symbols = _coder(words, np.empty((int(rest.sum()), of.channels), np.int32), widths)
        X[rest] += steps * symbols.astype(np.float32)
    return X


def _heads(of: CacheGen) -> int:
    """Groups of channels that share a standard deviation: the keys or values of one head."""
    same = of.shape.d_k == of.shape.d_v
    return of.shape.layers * of.shape.kv_heads * (2 if same else 1)


def _coder(words: Bits | None, symbols: Bits, widths: Bits) -> Bits:
    """Symbols, int32[t, channels], to words of the coder, or back: a Laplace law for each channel.

    The widths are the fp16 numbers that are sent, so both sides have the same laws.
    """
    import constriction

    law = constriction.stream.model.QuantizedLaplace(-_MOST, _MOST)
    scales = np.broadcast_to(widths.astype(np.float64), symbols.shape).ravel().copy()
    means = np.zeros_like(scales)
    if words is None:
        coder = constriction.stream.stack.AnsCoder()
        coder.encode_reverse(symbols.ravel().copy(), law, means, scales)
        found: Bits = coder.get_compressed()
        return found
    coder = constriction.stream.stack.AnsCoder(words.copy())
    decoded: Bits = coder.decode(law, means, scales)
    return decoded.reshape(symbols.shape)


ENTRY = CatalogEntry(
    CacheGen,
    summary="differences from an anchor token, a few bits each in an entropy-coded bitstream",
    source="Liu et al. 2024, CacheGen: KV Cache Compression and Streaming for Fast LLM Serving",
    budgets="from about 1/12, where the anchors are all that fits",
    assumes="tokens near one another have near keys and values",
    broken_by="independent values on near-orthogonal keys: a difference is no shorter",
)
