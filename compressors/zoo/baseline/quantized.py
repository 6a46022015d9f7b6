"""Every token, at a few bits a number: min-max quantisation by token or by channel."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput, did_you_mean
from ...catalog_entry import CatalogEntry
from ...kit.key_value_bits import pairs
from ...kit.min_max import quantise, restore
from ...kit.softmax_cache import Part, SoftmaxCache
from ...kit.state import State, to_storage
from ...kit.token_cache import whole
from ...plugin.contract import Float32

#: bits of a number that a budget chooses from
LADDER = ((8, 8), (4, 4), (2, 2), (1, 1))
BITS = range(1, 9)


class Quantized(SoftmaxCache):
    """Round to nearest between minimum and maximum, with an fp16 scale and zero (as in KIVI).

    A group of g tokens is cut into rows that share a scale: ``axis="token"`` has g = 1 and one row,
    the token's d numbers; ``axis="channel"`` has g = ``group`` and d rows of g numbers, one a
    channel. Tokens that do not fill a group yet are kept in fp16. K and V are cut alike.

    State: scales and zeros (NaN: no group yet), g - 1 fp16 tokens (NaN: none), and codes packed
    into bytes. A message carries the slots beyond ``shape.tokens`` only once they are used.

    Args:
        bits: 1 to 8 a number; by default the most of 8, 4, 2 and 1 that fit the budget.
        k_bits, v_bits: of a key's number and of a value's (as ``bits``).
        axis: "token" or "channel".
        group: g of the channel axis.

    Raises:
        BudgetTooSmall: the tokens do not fit the budget at these bits (or at 1).
        BadInput: there are no such bits, axis or group.
    """

    name = "quantized"

    def set_up(
        self,
        *,
        bits: int | None = None,
        k_bits: int | None = None,
        v_bits: int | None = None,
        axis: str = "token",
        group: int = 32,
    ) -> None:
        shape, budget_bits = self.shape, self.budget_bits
        if axis not in ("token", "channel"):
            known = did_you_mean(str(axis), ("token", "channel"))
            raise BadInput(f"There is no axis '{axis}'.{known}")
        self.axis = axis
        self.group = 1 if axis == "token" else whole(group, "group", 2)
        self.capacity = shape.tokens + shape.extra
        tried = pairs(LADDER, BITS, bits=bits, k_bits=k_bits, v_bits=v_bits)
        costs = {pair: self._message_bytes(pair) for pair in tried}
        self.need(8 * min(costs.values()))
        chosen = next(p for p in costs if budget_bits is None or 8 * costs[p] <= budget_bits)
        self.bits = dict(zip("kv", chosen, strict=True))
        self.message_bytes = costs[chosen]
        self.state = State(**self._fields(chosen, self.capacity))
        fields = self._fields(chosen, self.group)
        rows = [field for name, field in fields.items() if not name.endswith("_rest")]
        a_token = sum(math.prod(size) * np.dtype(kind).itemsize for size, kind in rows) / self.group
        self.declares = {"keeps": "all", "bytes": a_token}
        self.groups = 0
        self.rest = 0

    def _fields(self, bits: tuple[int, int], tokens: int) -> dict[str, tuple[tuple[int, ...], Any]]:
        """The fields of a state for so many tokens, with the fp16 slots of all."""
        fields: dict[str, tuple[tuple[int, ...], Any]] = {}
        codes: dict[str, tuple[tuple[int, ...], Any]] = {}
        groups = tokens // self.group
        for name, d, of_it in zip("kv", (self.shape.d_k, self.shape.d_v), bits, strict=True):
            rows, length = (1, d) if self.group == 1 else (d, self.group)
            fields[name + "_scale"] = (groups, rows), np.float16
            fields[name + "_zero"] = (groups, rows), np.float16
            fields[name + "_rest"] = (min(self.group - 1, self.capacity), d), np.float16
            codes[name + "_codes"] = (groups, rows, -(-length * of_it // 8)), np.uint8
        return fields | codes

    def _message_bytes(self, bits: tuple[int, int]) -> int:
        fields = self._fields(bits, self.shape.tokens).values()
        return sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in fields)

    # -- the contract ----------------------------------------------------------------------------

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples; groups that fill up are quantised.

        Raises:
            BadInput: a number is NaN, infinite or too large for fp16, or there is no room.
        """
        total = self.groups * self.group + self.rest + len(K)
        self.room_for(total)
        full = (self.rest + len(K)) // self.group
        rest = self.rest + len(K) - full * self.group
        parts = [self._take("k", K, full), self._take("v", V, full)]
        for name, (scale, zero, codes, left) in zip("kv", parts, strict=True):
            filled = slice(self.groups, self.groups + full)
            self.state[name + "_scale"][filled] = scale
            self.state[name + "_zero"][filled] = zero
            self.state[name + "_codes"][filled] = codes
            if full:
                self.state[name + "_rest"][:] = np.nan
            self.state[name + "_rest"][rest - len(left) : rest] = left
        self.groups += full
        self.rest = rest

    def save(self) -> bytes:
        """The fields, with the groups of the data tokens, or of all once more are filled."""
        return self.state.to_bytes(
            {name: slice(rows) for name, rows in self._short().items()}
            if self.groups <= self.shape.tokens // self.group
            else None
        )

    def restore(self, message: bytes) -> None:
        long = len(message) == self.state.nbytes
        self.state.load(message, None if long else self._short())
        self.groups = int(np.count_nonzero(~np.isnan(self.state["k_scale"][:, 0])))
        self.rest = int(np.count_nonzero(~np.isnan(self.state["k_rest"][:, 0])))

    def _short(self) -> dict[str, int]:
        groups = self.shape.tokens // self.group
        return {a + b: groups for a in "kv" for b in ("_scale", "_zero", "_codes")}

    # -- batched doors ---------------------------------------------------------------------------

    def kept(self) -> tuple[Float32, Float32]:
        """K, V of all tokens as the codes say: float32[t, d_k], float32[t, d_v]."""
        return self._read("k"), self._read("v")

    def parts(self, Q: Float32, K: Float32, V: Float32) -> Iterable[Part]:
        """A token is a group by itself, or waits for one, or completes it."""
        self.room_for(self.groups * self.group + self.rest + 1)
        if self.rest + 1 < self.group:
            return [(slice(None), (_fp16(K), _fp16(V)), self.kept())]
        if self.group == 1:
            own = self._round("k", K), self._round("v", V)
            return [(slice(None), own, self.kept())]
        return self.by_token(K, V)

    # -- quantisation ----------------------------------------------------------------------------

    def _take(self, name: str, X: Float32, full: int) -> tuple[NDArray[Any], ...]:
        """Scales, zeros and codes of the ``full`` groups that X completes; what is left, in fp16.

        ``left`` is what comes after the last group, or all of X where no group fills up.
        """
        X = np.ascontiguousarray(X, dtype=np.float32)
        d = X.shape[1]
        if self.group > 1:
            X = _fp16(X)  # as if it had waited for its group
        waiting = self.state[name + "_rest"][: self.rest].astype(np.float32)
        tokens = np.concatenate([waiting, X]) if full else X
        done = tokens[: full * self.group].reshape(full, self.group, d)
        left = to_storage(tokens[full * self.group :], np.dtype(np.float16), "Quantized")
        rows = done.reshape(full, 1, d) if self.group == 1 else done.transpose(0, 2, 1)
        return *quantise(rows, self.bits[name]), left

    def _read(self, name: str) -> Float32:
        d = self.shape.d_k if name == "k" else self.shape.d_v
        filled = slice(self.groups)
        scale, zero, codes = (
            self.state[name + part][filled] for part in ("_scale", "_zero", "_codes")
        )
        rows = restore(scale, zero, codes, self.bits[name], d if self.group == 1 else self.group)
        if self.group > 1:
            rows = rows.transpose(0, 2, 1)
        rest = self.state[name + "_rest"][: self.rest].astype(np.float32)
        return np.concatenate([rows.reshape(self.groups * self.group, d), rest])

    def _round(self, name: str, X: Float32) -> Float32:
        """Tokens of groups of one, quantised and back."""
        rows, bits = np.asarray(X, dtype=np.float32)[:, None], self.bits[name]
        return restore(*quantise(rows, bits), bits, X.shape[1])[:, 0]


def _fp16(X: Float32) -> Float32:
    return to_storage(X, np.dtype(np.float16), "Quantized").astype(np.float32)


ENTRY = CatalogEntry(
    Quantized,
    summary="every token, at a few bits a number",
    source="round to nearest between minimum and maximum, as in KIVI (Liu et al. 2024)",
    budgets="at d = 64 from 3/32 (1 bit a number) to 17/32 (8 bits), scales included",
)
