"""Visual autoregression: which n there are, the margin with a block, the game's reduction."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions import attention
from kvbarrier.reductions.visual import VisualReduction, cut_pyramid, earlier_tokens


def exact_outputs(hard: VisualReduction, rows: list[int], x: np.ndarray) -> np.ndarray:
    """Bob's outputs in float64: the block's zero tokens stand beside Alice's."""
    _, K, V = hard.stream(x)
    Q, k, v = hard.queries(rows)
    b = hard.block
    K = np.vstack([K, np.zeros((b, k.shape[1]))])
    V = np.vstack([V, np.zeros((b, v.shape[1]))])
    return np.stack([attention.attention(q, K, V) for q in Q])


@pytest.mark.parametrize(
    ("n", "side"), [(30, 5), (55, 6), (91, 8), (155, 10), (255, 13), (424, 16)]
)
def test_a_cut_ends_with_the_map_after_n_tokens(n: int, side: int) -> None:
    sides = cut_pyramid(n)
    assert sides[-1] == side
    assert earlier_tokens(sides) == n
    hard = VisualReduction.build(n=n, d=64)
    assert (hard.tokens, hard.rows, hard.block, hard.extra) == (n, n, side**2, side**2)


@pytest.mark.parametrize("n", [14, 31, 100, 680])
def test_other_n_are_refused_by_name(n: int) -> None:
    with pytest.raises(BadInput, match=f"one of 30, 55, 91, 155, 255, 424, not {n}"):
        VisualReduction.build(n=n, d=64)


def test_hypotheses_are_quoted() -> None:
    with pytest.raises(BadInput, match="d >= 2, not d = 1"):
        VisualReduction.build(n=30, d=1, keys_name="jl")
    with pytest.raises(BadInput, match=r"choose eta in \[0, 1\)"):
        VisualReduction.build(n=30, d=64, eta=-0.5)
    with pytest.raises(BadInput, match=r"give bits\[30, 64\]"):
        VisualReduction.build(n=30, d=64).stream(np.zeros((30, 3), np.uint8))


@pytest.mark.parametrize("keys", ["kerdock", "jl", "hypercube"])
def test_the_scale_is_that_of_index_whatever_the_block(keys: str) -> None:
    from kvbarrier.reductions.index import IndexReduction
    from kvbarrier.reductions.keys import make

    hard = VisualReduction.build(n=91, d=64, keys_name=keys)
    assert hard.scale == IndexReduction.build(make(keys, 91, 64), 64).scale


@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_the_condition_is_sharp_with_a_block(eta: float) -> None:
    tight = VisualReduction.build(n=55, d=16, keys_name="jl", keys_seed=3, eta=eta)
    for factor, separated in ((1.0, True), (0.999, False)):
        hard = VisualReduction(tight.keys, tight.sides, eta, factor * tight.scale)
        clear = []
        for row in range(hard.rows):
            theta = float(hard.thresholds([row])[0])
            for bit, moved in ((0, 1 + eta), (1, 1 - eta)):
                x = np.full((hard.rows, hard.width), 1 - bit, dtype=np.uint8)
                x[row] = bit
                output = moved * exact_outputs(hard, [row], x)[0, 0]
                clear.append(output < theta if bit == 0 else output > theta)
        assert all(clear) == separated


def test_the_block_is_in_the_threshold() -> None:
    """theta D = sqrt((1-eta^2) S) e^(C/2), with b = 25 zero tokens in D, by hand at eta = 1/2."""
    hard = VisualReduction.build(n=30, d=16, keys_name="kerdock", scale=6.0)
    gram = hard.keys.rows.astype(np.float64) @ hard.keys.rows[4].astype(np.float64)
    others = np.exp(6 * (np.delete(gram, 4) - 1)).sum()
    want = math.sqrt(0.75 * others) / (1 + others + 25 * math.exp(-6))
    assert hard.thresholds([4])[0] == pytest.approx(want, rel=1e-6)


def test_a_block_reads_its_rows() -> None:
    hard = VisualReduction.build(n=55, d=64)
    x = np.random.default_rng(1).integers(0, 2, (55, 64)).astype(np.uint8)
    rows = list(range(55))
    outputs = exact_outputs(hard, rows, x)
    assert (hard.decode(outputs, rows) == x).all()
    assert (hard.decode(outputs[5:9], rows[5:9]) == x[5:9]).all()


@pytest.mark.parametrize("ratio", [2, 3])
def test_the_two_bounds_on_the_tokens(ratio: int) -> None:
    """(side/r)^2 <= n <= side^2/(r^2-1), for sides growing by exactly r: n = (side^2-1)/(r^2-1)."""
    sides = tuple(ratio**k for k in range(6))
    n, side = earlier_tokens(sides), sides[-1]
    assert n == (side**2 - 1) // (ratio**2 - 1)
    assert (side / ratio) ** 2 <= n <= side**2 / (ratio**2 - 1)
    assert earlier_tokens((1, 100)) == 1
