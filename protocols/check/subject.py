"""The subject of a check and the small streams on which it is tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compressors.plugin.contract import Compressor, Float32, Shape
from ...compressors.targets import Target
from ...errors import BudgetTooSmall

SEED = 12345
QUESTIONS = 4
SHAPE = Shape(tokens=40, d_k=16, d_v=16, extra=QUESTIONS)
CUTS = (0, 1, 17, 39)

Triples = tuple[Float32, Float32, Float32]


def public_for(shape: Shape) -> dict[str, Any]:
    """What a game would make public: distinct unit keys, the alphabet, the scale."""
    n, d = shape.tokens, shape.d_k
    if n <= d:
        keys = np.eye(n, d, dtype=np.float32)
    else:
        signs = np.random.default_rng(7).integers(0, 2, (n, d)) * 2 - 1
        keys = (signs / np.sqrt(d)).astype(np.float32)
    return {
        "reduction": "index",
        "keys": keys,
        "values": "01",
        "eta": 0.5,
        "scale": 12.0,
        "softmax_scale": 1.0,
    }


@dataclass(frozen=True)
class Subject:
    """A target, ready to be built and played; ``seed`` are its public coins."""

    target: Target
    seed: int = SEED

    def build(self, shape: Shape = SHAPE, budget_bits: int | None = None) -> Compressor:
        """A fresh instance with its own copies of what is public.

        Without a budget it gets that of a float32 cache, or the least that it asks for.
        """
        budget = 2 * shape.cache_bits_16 if budget_bits is None else budget_bits
        with suppress(BudgetTooSmall):
            return self.target.factory(shape, budget, self.seed, public_for(shape))
        if budget_bits is not None:
            raise BudgetTooSmall(self.target.name, budget, budget)
        return self.target.factory(shape, None, self.seed, public_for(shape))

    def stream(self, which: int, shape: Shape = SHAPE) -> Triples:
        """An arbitrary stream; for those who know the keys one of the game's."""
        rng = np.random.default_rng(which)
        token = _token(shape)
        Q, K = rng.standard_normal((2, shape.tokens, *token, shape.d_k), dtype=np.float32)
        V = rng.standard_normal((shape.tokens, *token, shape.d_v), dtype=np.float32)
        if not self.target.knows_keys:
            return Q, K, V
        bits = (V > 0).astype(np.float32)
        return np.zeros_like(Q), public_for(shape)["keys"], bits

    def questions(self, shape: Shape = SHAPE, length: float = 1.0) -> Triples:
        """Queries, each with one more token: the game's zero token, then arbitrary ones."""
        rng = np.random.default_rng(99)
        token = _token(shape)
        Q, K = rng.standard_normal((2, QUESTIONS, *token, shape.d_k), dtype=np.float32)
        V = rng.standard_normal((QUESTIONS, *token, shape.d_v), dtype=np.float32)
        K[::2], V[::2] = 0, 0
        return (length * Q).astype(np.float32), K, V

    def played(
        self, which: int = 1, shape: Shape = SHAPE, budget_bits: int | None = None
    ) -> Compressor:
        """An instance that saw a stream, token by token: whatever else it has is on trial."""
        return self._fed(
            self.build(shape, budget_bits), zip(*self.stream(which, shape), strict=True)
        )

    def begun(self, tokens: int, which: int = 1) -> Compressor:
        """The same after the first ``tokens``."""
        return self._fed(
            self.build(), zip(*(part[:tokens] for part in self.stream(which)), strict=True)
        )

    def go_on(self, compressor: Compressor, tokens: int, which: int = 1) -> Compressor:
        """The same with the tokens that come after the first ``tokens``."""
        return self._fed(
            compressor, zip(*(part[tokens:] for part in self.stream(which)), strict=True)
        )

    def _fed(self, compressor: Compressor, triples: Iterable[Triples]) -> Compressor:
        for q, k, v in triples:
            compressor.append(q, k, v)
        return compressor


def _token(shape: Shape) -> tuple[int, ...]:
    """The axes of a token before d, as the game sends them."""
    heads = shape.layers, shape.kv_heads
    return () if heads == (1, 1) else heads


def close(a: Any, b: Any) -> bool:
    """Equal but for the order of float32 additions."""
    return bool(np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True))


def apart(a: Any, b: Any) -> str:
    """How far two answers are apart, in words."""
    return f"by up to {float(np.max(np.abs(np.asarray(a) - np.asarray(b)))):.3g}"


def facts(target: Target) -> Mapping[str, Any]:
    """What goes from the child to whoever asked."""
    return {"name": target.name, "knows_keys": target.knows_keys}
