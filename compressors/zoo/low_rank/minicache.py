"""MiniCache: adjacent layers share one direction a token, and keep their own lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput, PluginFailure
from ...catalog_entry import CatalogEntry
from ...kit.state import to_storage
from ...kit.token_cache import whole
from ...plugin.contract import Float32
from ..eviction.kept_heads import KeptHeads, Rows

Half = NDArray[np.float16]
_INDEX_BYTES = 4


class MiniCache(KeptHeads):
    """MiniCache (Liu et al. 2024, KV Cache Compression in Depth Dimension, arXiv 2405.14366).

    From layer S = L/2 on (from 0 where there are fewer than four), layers l and l + 1 share, for
    every token and head, one unit vector between their directions, by spherical interpolation, and
    keep a length each; keys and values alike. Tokens whose two layers point most apart are
    *retained*: kept as they are in both. With one layer there is nothing to merge, and all is
    kept.

    State: the other layers in fp16; of each pair the shared vectors and lengths in fp16, the
    retained tokens' numbers (uint32) and rows of both layers.

    Args:
        t: where between the two directions, 0 the lower layer's (0.6).
        retained: tokens of a pair that are kept apart; by default what the budget holds beside the
            merged rows, or 5 % of them.

    Raises:
        BudgetTooSmall: the merged rows do not fit, or not ``retained``.
        BadInput: a parameter is out of range; or, when the data are there, a length is not finite
            in fp16.

    Mechanisms:
        pairs of adjacent layers from the middle on: implemented.
        spherical interpolation of directions at t = 0.6: implemented.
        a length for each layer: implemented.
        retention of the tokens with the largest angular distance: adapted, a fixed number of them
            and not a threshold between the least and the largest distance (gamma = 0.05), so that
            messages have one length; the same ones for keys, values and all heads of a pair, by
            the mean distance.
        quantisation on top (MiniCache with KIVI): left out, another method of the zoo does that.
    """

    name = "minicache"

    def set_up(self, *, t: float = 0.6, retained: int | None = None) -> None:
        super().set_up()
        shape, budget_bits = self.shape, self.budget_bits
        if not 0 <= t <= 1:
            raise BadInput(f"t lies between two directions, from 0 to 1, not {t!r}.")
        self.t = t
        start = shape.layers // 2 if shape.layers >= 4 else 0
        self.pairs = [(low, low + 1) for low in range(start, shape.layers - 1, 2)]
        merged = {layer for pair in self.pairs for layer in pair}
        self.single = [layer for layer in range(shape.layers) if layer not in merged]
        n, heads = shape.tokens, shape.kv_heads
        row = self.row_bytes * heads
        fixed = n * row * len(self.single) + len(self.pairs) * n * (row + 8 * heads)
        each = len(self.pairs) * (_INDEX_BYTES + 2 * row)
        self.retained = round(0.05 * n) if retained is None else whole(retained, "retained", 0)
        least = fixed + (0 if retained is None else each * min(self.retained, n))
        if budget_bits is not None:
            self.need(8 * least)
            if retained is None and each:
                self.retained = (budget_bits // 8 - fixed) // each
        self.retained = min(self.retained, n)
        self.message_bytes = fixed + each * self.retained
        # Merged layers promise nothing.
        self.declares = None if self.pairs else {"keeps": "all", "bits": 16}

    def keep(self, Q: Float32, K: Float32, V: Float32) -> list[Rows]:
        """Not rows but whole layers are kept: see :meth:`write`."""
        raise AssertionError("minicache writes its own message")

    # -- the message -----------------------------------------------------------------------------

    def write(self, Q: Float32, K: Float32, V: Float32) -> bytes:
        """Whole layers, then for each pair its directions, lengths and retained rows."""
        # A prompt shorter than announced leaves empty rows.
        short = [(0, self.shape.tokens - len(K)), (0, 0), (0, 0), (0, 0)]
        return self._written(*(np.pad(X, short, constant_values=np.nan) for X in (K, V)))

    def _written(self, K: Float32, V: Float32) -> bytes:
        out = [X[:, layer].astype(np.float16) for layer in self.single for X in (K, V)]
        for low, high in self.pairs:
            angles = []
            for X in (K, V):
                shared, lengths, angle = merge(X[:, low], X[:, high], self.t)
                # A length may be too large where no number of its vector is. NaN: an empty row.
                filled = np.nan_to_num(lengths, nan=0.0, posinf=np.inf)
                to_storage(filled, np.dtype(np.float16), self.name)
                out += [shared.astype(np.float16), lengths.astype(np.float16)]
                angles.append(angle)
            apart = np.nan_to_num(sum(angles).mean(axis=1), nan=-1.0)  # type: ignore[union-attr]
            kept = np.sort(np.argsort(-apart, kind="stable")[: self.retained])
            out += [kept.astype("<u4")]
            out += [X[kept, layer].astype(np.float16) for layer in (low, high) for X in (K, V)]
        return b"".join(np.ascontiguousarray(part).tobytes() for part in out)

    def _rows(self, message: bytes) -> list[Rows]:
        n, heads = self.shape.tokens, self.shape.kv_heads
        if len(message) != self.message_bytes:
            raise PluginFailure(
                f"A message of {len(message)} bytes is not one of minicache's, which have "
                f"{self.message_bytes}: build Alice and Bob from the same public parameters."
            )
        at = 0

        def take(dtype: Any, *shape: int) -> NDArray[Any]:
            nonlocal at
            part = np.frombuffer(message, dtype, int(np.prod(shape)), at).reshape(shape)
            at += part.nbytes
            return part

        widths = (self.shape.d_k, self.shape.d_v)
        layers: dict[int, list[Half]] = {}
        for layer in self.single:
            layers[layer] = [take(np.float16, n, heads, d) for d in widths]
        for pair in self.pairs:
            read = []
            for d in widths:
                shared = take(np.float16, n, heads, d).astype(np.float32)
                read.append((shared, take(np.float16, 2, n, heads).astype(np.float32)))
            kept = take("<u4", self.retained)
            for which, layer in enumerate(pair):
                layers[layer] = [
                    (lengths[which][..., None] * shared).astype(np.float16)
                    for shared, lengths in read
                ]
                for X, d in zip(layers[layer], widths, strict=True):
                    X[kept] = take(np.float16, self.retained, heads, d)
        full = ~np.isnan(layers[0][0][:, 0, 0])
        return [Rows(layers[l][0][full, h], layers[l][1][full, h]) for l, h in self.heads]


def merge(low: Float32, high: Float32, t: float) -> tuple[Float32, Float32, Float32]:
    """One direction between two, their lengths, and how far they are apart.

    Args:
        low, high: float32[n, heads, d], the vectors of two layers.
        t: 0 for the direction of ``low``, 1 for that of ``high``.

    Returns unit vectors float32[n, heads, d] on the great circle through both (Shoemake 1985),
    lengths float32[2, n, heads], and angles/pi, float32[n, heads]. A zero vector has every
    direction, so it takes the other's.

    >>> e = np.eye(2, dtype=np.float32)[:, None]
    >>> shared, lengths, apart = merge(3 * e[:1], e[1:], 0.5)
    >>> bool(np.allclose(shared, 0.5**0.5)), lengths.ravel().tolist(), apart.tolist()
    (True, [3.0, 1.0], [[0.5]])
    """
    lengths = np.stack([np.linalg.norm(X, axis=-1) for X in (low, high)])
    units = [
        np.divide(X, r[..., None], out=np.zeros_like(X), where=r[..., None] > 0)
        for X, r in zip((low, high), lengths, strict=True)
    ]
    for one, other, r in ((0, 1, lengths[0]), (1, 0, lengths[1])):
        units[one] = np.where(r[..., None] == 0, units[other], units[one])
    cosine = np.clip(np.einsum("nhd,nhd->nh", *units), -1, 1)
    angle = np.arccos(cosine)
    sine = np.sin(angle)
    flat = sine < 1e-6  # equal, or opposite: then there is no great circle, and low is taken
    safe = np.where(flat, 1, sine)
    first = np.where(flat, 1, np.sin((1 - t) * angle) / safe)[..., None]
    second = np.where(flat, 0, np.sin(t * angle) / safe)[..., None]
    shared: Float32 = (first * units[0] + second * units[1]).astype(np.float32)
    return shared, lengths.astype(np.float32), (angle / np.pi).astype(np.float32)


ENTRY = CatalogEntry(
    MiniCache,
    summary="one direction for the same token in two adjacent layers, and a length each",
    source="Liu et al. 2024, MiniCache: KV Cache Compression in Depth Dimension",
    budgets="from 33/64 with two layers",
    assumes="adjacent layers have nearly parallel keys and values",
    broken_by="independent values in adjacent layers",
    settings=tuple({"retained": r} for r in (0, 51, 128, 256, 512, 768)),
    own_size={"layers": 2, "heads": 2},
    own_size_reason="it merges pairs of layers",
)
