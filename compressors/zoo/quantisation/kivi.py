"""KIVI: keys rounded per channel, values per token, the newest tokens in full precision."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput
from ...catalog_entry import CatalogEntry
from ...kit.key_value_bits import pairs
from ...kit.min_max import quantise, restore
from ...kit.prefill import halved
from ...kit.softmax_cache import Part, SoftmaxCache
from ...kit.state import State, check_fits
from ...kit.token_cache import whole
from ...plugin.contract import Float32
from ...plugin.declaration import STRICT_BITS

#: bits of a number that a budget chooses from; 16 is fp16 itself
LADDER = ((16, 16), (8, 8), (4, 4), (2, 2), (1, 1))
BITS = (*range(1, 9), 16)
_FP16 = np.dtype(np.float16)
_Fields = dict[str, tuple[tuple[int, ...], Any]]


class Kivi(SoftmaxCache):
    """KIVI (Liu et al. 2024, A Tuning-Free Asymmetric 2bit Quantization for KV Cache, 2402.02750).

    Keys have channels of their own size, so a key's numbers share a scale along tokens: G tokens of
    one channel are a row. Values share one along channels: G channels of one token. The newest
    tokens wait in fp16: R keys at most, all rounded together when they are R, and the newest R
    values, of which the oldest is rounded when one more comes. Rounding is to nearest between
    minimum and maximum, which are kept as an fp16 scale and zero.

    State: how many tokens there are (uint32), scales and zeros, the waiting tokens, codes.

    Args:
        bits: 1 to 8 a number, or 16, which keeps fp16 itself. By default the most of 16, 8, 4, 2
            and 1 that fit the budget, or 2.
        k_bits, v_bits: of a key's number and of a value's (as ``bits``).
        group: G (32; of channels the largest divisor of d up to that).
        residual: R, a multiple of G (128, or with a budget down to G so that the tokens fit).

    Raises:
        BudgetTooSmall: the tokens do not fit, at these bits or at 1.
        BadInput: there are no such bits, R is no multiple of G, or a number does not fit fp16.

    Mechanisms:
        keys per channel in groups of tokens: implemented.
        values per token in groups of channels: implemented.
        residual of recent tokens in full precision: implemented.
        keys rounded when the residual is full, values one by one: implemented.
        2 and 4 bits: implemented, and the others beside them.
        fused kernel of dequantisation and product: not meaningful here, it saves time.
    """

    name = "kivi"

    def set_up(
        self,
        *,
        bits: int | None = None,
        k_bits: int | None = None,
        v_bits: int | None = None,
        group: int = 32,
        residual: int | None = None,
    ) -> None:
        shape, budget_bits = self.shape, self.budget_bits
        self.group = whole(group, "group", 1)
        if residual is not None and whole(residual, "residual", self.group) % self.group:
            raise BadInput(f"residual is a multiple of group = {group}, not {residual}.")
        self.along_v = next(
            g for g in range(min(self.group, shape.d_v), 0, -1) if not shape.d_v % g
        )
        self.capacity = shape.tokens + shape.extra
        waits = (residual,) if residual else tuple(self.group * k for k in (4, 2, 1))
        rungs = LADDER if budget_bits is not None else ((2, 2),)
        tried = pairs(rungs, BITS, bits=bits, k_bits=k_bits, v_bits=v_bits)
        if budget_bits is None:
            waits = (residual or 4 * self.group,)
        ladder = [(pair, r) for pair in tried for r in waits]
        lengths = {one: self._length(*one, shape.tokens) for one in ladder}
        self.need(8 * min(lengths.values()))
        chosen = next(o for o in ladder if budget_bits is None or 8 * lengths[o] <= budget_bits)
        pair, self.residual = chosen
        self.bits = dict(zip("kv", pair, strict=True))
        self.message_bytes = lengths[chosen]
        self.state = State(**self._fields(*chosen, self.capacity))
        self.declares = self._declared()

    def _declared(self) -> dict[str, Any]:
        """Every token, at the bytes of a rounded one; with a budget the residual takes the rest."""
        shape = self.shape
        fewest = min(self.bits.values())
        if self.budget_bits is None and fewest < 16 and shape.tokens > self.residual:
            return {"keeps": "all", "bytes": self._token_bytes()}
        a_token = len(self.save()) / max(1, shape.tokens)
        # Rounding is allowed to whom few bits are declared on average.
        few = 8 * a_token < STRICT_BITS * (shape.d_k + shape.d_v)
        whole = fewest >= STRICT_BITS or shape.tokens < self.residual
        return {"bytes": a_token} | ({"keeps": "all"} if few or whole else {})

    def _token_bytes(self) -> float:
        """Bytes of a token once it is rounded, its part of scales and zeros with them."""
        shape, along = self.shape, self.along_v
        of_k, of_v = (self.bits[name] for name in "kv")
        key = shape.d_k * (4 + -(-self.group * of_k // 8)) / self.group
        value = shape.d_v // along * (4 + -(-along * of_v // 8))
        return (key if of_k < 16 else 2 * shape.d_k) + (value if of_v < 16 else 2 * shape.d_v)

    def _fields(self, bits: tuple[int, int], residual: int, tokens: int) -> _Fields:
        """The fields of a state with room for so many tokens."""
        d_k, d_v, g = self.shape.d_k, self.shape.d_v, self.group
        of_k, of_v = bits
        groups = tokens // residual * (residual // g) if of_k < 16 else 0
        old, rows = max(0, tokens - residual) if of_v < 16 else 0, d_v // self.along_v
        keys, values = (
            tokens if one == 16 else min(waiting, self.capacity)
            for one, waiting in ((of_k, residual - 1), (of_v, residual))
        )
        return {
            "count": ((1,), np.uint32),
            "k_scale": ((groups, d_k), np.float16),
            "k_zero": ((groups, d_k), np.float16),
            "v_scale": ((old, rows), np.float16),
            "v_zero": ((old, rows), np.float16),
            "k_rest": ((keys, d_k), np.float16),
            "v_rest": ((values, d_v), np.float16),
            "k_codes": ((groups, d_k, -(-g * of_k // 8)), np.uint8),
            "v_codes": ((old, rows, -(-self.along_v * of_v // 8)), np.uint8),
        }

    def _length(self, bits: tuple[int, int], residual: int, tokens: int) -> int:
        fields = self._fields(bits, residual, tokens).values()
        return sum(int(np.prod(size)) * np.dtype(kind).itemsize for size, kind in fields)

    @property
    def count(self) -> int:
        """Tokens held."""
        return int(self.state["count"][0])

    def _rounded(self, count: int) -> tuple[int, int]:
        """Of so many tokens, how many keys and how many values are rounded."""
        keys, values = count // self.residual * self.residual, max(0, count - self.residual)
        return (keys if self.bits["k"] < 16 else 0), (values if self.bits["v"] < 16 else 0)

    # -- the contract ----------------------------------------------------------------------------

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples; what leaves the residual is rounded.

        Raises:
            BadInput: a number is NaN, infinite or too large for fp16, or there is no room.
        """
        end = self.count + len(K)
        self.room_for(end)
        for block in (K, V):
            check_fits(np.asarray(block), _FP16, self.name)
        before, after = self._rounded(self.count), self._rounded(end)
        waiting = self._waiting()
        for at, (name, X) in enumerate((("k", K), ("v", V))):
            new = np.asarray(X, dtype=np.float32).astype(np.float16)
            rest = np.concatenate([waiting[at], new])
            leaving = after[at] - before[at]
            if leaving:
                self._round(name, rest[:leaving], before[at])
            rest = rest[leaving:]
            self.state[f"{name}_rest"][: len(rest)] = rest
            self.state[f"{name}_rest"][len(rest) :] = np.nan
        self.state["count"][0] = end

    def _waiting(self) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
        keys, values = (self.count - done for done in self._rounded(self.count))
        return self.state["k_rest"][:keys].copy(), self.state["v_rest"][:values].copy()

    def _round(self, name: str, X: NDArray[np.float16], first: int) -> None:
        """Round the tokens from number ``first`` on; of keys whole groups."""
        rows = self._as_rows(name, X.astype(np.float32))
        at = first // self.group if name == "k" else first
        rounded = quantise(rows, self.bits[name])
        for part, values in zip(("scale", "zero", "codes"), rounded, strict=True):
            self.state[f"{name}_{part}"][at : at + len(rows)] = values

    def _as_rows(self, name: str, X: Float32) -> Float32:
        """Numbers that share a scale in the last axis: [groups, d, G] or [tokens, d/g, g]."""
        if name == "k":
            return X.reshape(-1, self.group, X.shape[1]).transpose(0, 2, 1)
        return X.reshape(len(X), -1, self.along_v)

    def kept(self) -> tuple[Float32, Float32]:
        """K, V of all tokens as the codes say: float32[t, d_k], float32[t, d_v]."""
        done = self._rounded(self.count)
        found = []
        for name, rounded, rest in zip("kv", done, self._waiting(), strict=True):
            d = rest.shape[1]
            old = self._restored(name, rounded, d) if rounded else np.empty((0, d), np.float32)
            found.append(np.concatenate([old, rest.astype(np.float32)]))
        return found[0], found[1]

    def _restored(self, name: str, rounded: int, d: int) -> Float32:
        groups = slice(rounded // self.group if name == "k" else rounded)
        scale, zero, codes = (
            self.state[f"{name}_{part}"][groups] for part in ("scale", "zero", "codes")
        )
        length = self.group if name == "k" else self.along_v
        rows = restore(scale, zero, codes, self.bits[name], length)
        return (rows.transpose(0, 2, 1) if name == "k" else rows).reshape(rounded, d)

    def save(self) -> bytes:
        """The fields as the data tokens fill them, or with Bob's room once that is used."""
        if self.count > self.shape.tokens:
            return self.state.to_bytes()
        return self.state.to_bytes({name: slice(rows) for name, rows in self._short().items()})

    def restore(self, message: bytes) -> None:
        self.state.load(message, self._short() if len(message) == self.message_bytes else None)

    def _short(self) -> dict[str, int]:
        fields = self._fields((self.bits["k"], self.bits["v"]), self.residual, self.shape.tokens)
        return {name: size[0] for name, (size, _) in fields.items()}

    def parts(self, Q: Float32, K: Float32, V: Float32) -> Iterable[Part]:
        """A token waits in full precision, unless it fills the residual and is rounded with it."""
        K, V = (np.asarray(block, dtype=np.float32) for block in (K, V))
        for block in (K, V):
            check_fits(block, _FP16, self.name)
        if self._rounded(self.count + 1)[0] > self._rounded(self.count)[0]:
            return self.by_token(K, V)
        # At most an older value leaves, whatever the own token is.
        twin = self.twin()
        twin.extend(K[:1], K[:1], V[:1])
        kept_K, kept_V = twin.kept()
        return [(slice(None), (halved(K), halved(V)), (kept_K[:-1], kept_V[:-1]))]


ENTRY = CatalogEntry(
    Kivi,
    summary="keys at a few bits per channel, values per token, the newest tokens whole",
    source="Liu et al. 2024, KIVI: A Tuning-Free Asymmetric 2bit Quantization for KV Cache",
    budgets="at n = 1024, d = 64 from about 5/32 (1 bit) to 1 (16 bits)",
    assumes="a key's channels have sizes of their own, a value's do not",
    broken_by="a turned basis, where no channel stands out and values are not two-valued",
    settings=tuple({"bits": b} for b in (1, 2, 4, 8, 16)),
)
