"""The two-function form: ``compress(Q, K, V)`` once, after the data, and ``attend(state, q)``.

For batch algorithms (quantisers, coresets, prefill eviction). What ``compress`` returns is the
state and the message. Tokens that come later, Bob's, are the *tail*: kept exactly, as an engine
keeps the tokens it decodes after a prefill.

Without ``attend`` the state is rows of keys and values, and the answer is the exact softmax over
them and the tail. With ``attend(state, q)`` the tail is left out, a small error if its weight is
small: over data with Z = sum_l exp<q, k_l> the true output is (Z o + T) / (Z + z), z the weight and
T the weighted values of the tail. For the game's one zero token z = 1 and T = 0, so the answer is
too large by the factor 1 + 1/Z, and Z >= exp<q, k_i> = exp(C |k_i|^2): at C >= 7 less than 0.1 %.
For an exact answer use ``attend(state, q, tail)``, which gets ``tail = (K, V)``, float32[t, d_k]
and float32[t, d_v].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput, PluginFailure
from .answers import given
from .contract import Compressor, Float32, Shape, stack_outputs
from .plain import pack_plain, unpack_plain
from .signature import Signature

Array = NDArray[Any]


def _check_order(compress: Callable[..., Any]) -> None:
    """Raise BadInput if Q, K, V, which come by position, would land in other arguments."""
    first = Signature.leading(compress, 3)
    others = {"budget_bits", "seed", "shape", "public"} & set(first)
    moved = {"q": 0, "k": 1, "v": 2}
    misplaced = [n for at, n in enumerate(first) if moved.get(n.lower(), at) != at]
    if others or misplaced or len(first) < 3:
        raise BadInput(
            f"compress takes ({', '.join(first)}) first, but it gets Q, K, V by position: "
            "write compress(Q, K, V, budget_bits, seed)."
        )


class TwoFunctions(Compressor):
    """A prefill algorithm given as functions.

    The prefill ends after ``shape.tokens`` tokens, or with the first save or question before.

    Args:
        compress: called as ``compress(Q, K, V, ...)`` with float32[n, d_k], [n, d_k], [n, d_v] and,
            by name, those of ``budget_bits``, ``seed``, ``shape``, ``public`` and its own
            parameters that it takes. Returns plain data. Its attribute ``declares`` is the
            algorithm's (``declaration``).
        attend: None, or called as ``attend(state, q, ...)`` with the same names and ``tail``.
    """

    streaming = False

    def __init__(
        self,
        compress: Callable[..., Any],
        attend: Callable[..., Any] | None,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> None:
        super().__init__(shape, budget_bits, seed, public)
        offered = {
            "shape": shape,
            "budget_bits": budget_bits,
            "seed": seed,
            "public": self.public,
            **params,
        }
        _check_order(compress)
        self.declares = getattr(compress, "declares", None)
        self._compress, self._attend = compress, attend
        self._compress_with = Signature.of(compress, skip=3).pick(offered)
        answering = Signature((), (), False) if attend is None else Signature.of(attend, skip=2)
        self._attend_with = answering.pick(offered)
        self._wants_tail = "tail" in answering.names
        self._rows: list[tuple[Float32, Float32, Float32]] = []
        self._message: bytes | None = None
        self._tail: list[tuple[Float32, Float32]] = []

    def append(self, q: Float32, k: Float32, v: Float32) -> None:
        """Collect a data token, or after the prefill one of the tail."""
        if len(self._rows) == self.shape.tokens:
            self._closed()
        if self._message is None:
            self._rows.append((q.copy(), k.copy(), v.copy()))
        else:
            self._tail.append((k.copy(), v.copy()))

    def save(self) -> bytes:
        """What ``compress`` returned, packed.

        Raises:
            PluginFailure: tokens came after the prefill, and ``compress`` has no part for them.
        """
        if self._tail:
            raise PluginFailure(
                f"{len(self._tail)} tokens came after compress: a streaming algorithm is a class "
                "with append and attend."
            )
        return self._closed()

    def restore(self, message: bytes) -> None:
        """Take over a state."""
        unpack_plain(message)
        self._message, self._rows, self._tail = bytes(message), [], []

    def _closed(self) -> bytes:
        if self._message is None:
            d_k, d_v = self.shape.d_k, self.shape.d_v
            Q, K, V = (
                np.stack([row[c] for row in self._rows])
                if self._rows
                else np.empty((0, width), dtype=np.float32)
                for c, width in enumerate((d_k, d_k, d_v))
            )
            state = self._compress(Q, K, V, **self._compress_with)
            if self._attend is None:
                keys_values(state)
            self._message = pack_plain(state, "the state that compress returned")
            self._rows = []
        return self._message

    def attend(self, q: Float32) -> Float32:
        """Their answer, or the exact softmax over the state's rows and the tail."""
        return self._answer(unpack_plain(self._closed()), q, *self._tail_rows())

    def _tail_rows(self) -> tuple[Float32, Float32]:
        K = np.array([k for k, _ in self._tail], dtype=np.float32).reshape(-1, self.shape.d_k)
        V = np.array([v for _, v in self._tail], dtype=np.float32).reshape(-1, self.shape.d_v)
        return K, V

    def _answer(self, state: Any, q: Float32, tail_K: Float32, tail_V: Float32) -> Float32:
        if self._attend is not None:
            extra = {"tail": (tail_K, tail_V)} if self._wants_tail else {}
            answer: Float32 = self._attend(state, q, **self._attend_with, **extra)
            return answer
        from ...reductions.attention import attention

        K, V = keys_values(state)
        rows = np.concatenate([K, tail_K]), np.concatenate([V, tail_V])
        return np.asarray(attention(q, *rows), dtype=np.float32)

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the output with triple r as one more token of the tail."""
        message = self._closed()
        tail_K, tail_V = self._tail_rows()
        if self._attend is None:
            from ...reductions.attention import next_outputs

            kept_K, kept_V = keys_values(unpack_plain(message))
            rows = np.concatenate([kept_K, tail_K]), np.concatenate([kept_V, tail_V])
            outputs: Float32 = next_outputs(Q, K, V, *rows)
            return outputs
        # Unpacked for every row: their attend may write into the state.
        return stack_outputs(
            [
                given(
                    self,
                    "attend",
                    self._answer(
                        unpack_plain(message), q, np.vstack([tail_K, k]), np.vstack([tail_V, v])
                    ),
                    np.shape(v),
                )
                for q, k, v in zip(Q, K, V, strict=True)
            ]
        )


def keys_values(state: Any) -> tuple[Float32, Float32]:
    """The rows of a state ``(K, V)`` or ``{"keys": K, "values": V}``, as float32.

    Raises:
        PluginFailure: the state has neither form.
    """
    if isinstance(state, dict) and state.keys() >= {"keys", "values"}:
        state = (state["keys"], state["values"])
    if isinstance(state, tuple | list) and len(state) == 2:
        K, V = (np.ascontiguousarray(part, dtype=np.float32) for part in state)
        if K.ndim == V.ndim == 2 and len(K) == len(V):
            return K, V
    raise PluginFailure(
        'compress did not return rows of keys and values: return (K, V) or {"keys": K, '
        '"values": V} with equally many rows, or write attend(state, q).'
    )
