"""The adversary: against brute force over every context, and roots from closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from kvbarrier.errors import BadInput, NoScale
from kvbarrier.reductions import adversary
from kvbarrier.reductions.attention import attention
from kvbarrier.reductions.keys import KeySet, make
from kvbarrier.reductions.keys.hypercube import full_family_scale
from kvbarrier.reductions.margins import condition

RULES = [
    condition("01", 0.5, None),
    condition("pm1", 0.9, None),
    condition("01", None, 0.1),
    condition("pm1", None, 0.5),
]


def named(*rows) -> KeySet:
    array = np.array(rows, dtype=np.float32)
    return KeySet("given", array.shape[1], 0, array)


def bobs_output(keys, C, bits, i, rule):
    """Coordinate outputs for token i by the definition, Bob's zero token appended to the stream."""
    K = np.vstack([keys.rows, np.zeros(keys.d)])
    V = np.vstack([adversary.encode(bits, rule), np.zeros(np.shape(bits)[1])])
    return attention(C * keys.rows[i].astype(np.float64), K, V)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_the_worst_outputs_are_attention_on_the_worst_streams(rule):
    keys = make("jl", 20, 6, seed=3)
    outputs = adversary.worst_outputs(keys, 4.0, rule)
    for i in range(20):
        # Column b of this stream has bit b at token i and its complement elsewhere.
        x = adversary.worst_context([0, 1], i, 20)
        want = bobs_output(keys, 4.0, x, i, rule)
        assert outputs[i] == pytest.approx(want, rel=1e-12)
        exact = adversary.exact_outputs(keys, 4.0, adversary.encode(x, rule), [i])
        assert exact[0] == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_no_context_is_worse(rule):
    keys = make("jl", 8, 5, seed=1)
    outputs = adversary.worst_outputs(keys, 2.5, rule)
    contexts = np.array(list(itertools.product([0, 1], repeat=8)), dtype=np.uint8).T
    for i in range(8):
        seen = bobs_output(keys, 2.5, contexts, i, rule)
        assert outputs[i, 0] == pytest.approx(seen[contexts[i] == 0].max(), rel=1e-12)
        assert outputs[i, 1] == pytest.approx(seen[contexts[i] == 1].min(), rel=1e-12)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
@pytest.mark.parametrize("ratio", [0.7, 0.95, 1.05])
def test_flips_are_what_brute_force_over_contexts_and_answers_finds(rule, ratio):
    keys = make("jl", 8, 5, seed=2)
    C = ratio * adversary.exact_scale(keys, rule)
    cut = adversary.thresholds(keys, C, rule)
    contexts = np.array(list(itertools.product([0, 1], repeat=8)), dtype=np.uint8).T
    flips = adversary.flips(keys, C, rule)
    for i in range(8):
        exact = bobs_output(keys, C, contexts, i, rule)
        size = np.abs(exact) if rule.name.startswith("M") else 1.0
        for bit in (0, 1):
            at = contexts[i] == bit
            answers = np.concatenate(
                [(exact + s * rule.tolerance * size)[at] for s in np.linspace(-1, 1, 9)]
            )
            assert flips[i, bit] == bool(((answers > cut[i]) != bit).any())


@pytest.mark.parametrize("name", ["jl", "hypercube", "kerdock"])
@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_the_exact_scale_is_sharp(name, rule):
    keys = make(name, 128, 16)
    scale = adversary.exact_scale(keys, rule)
    assert not adversary.flips(keys, scale, rule).any()
    below = scale * (1 - 1e-7)
    flips = adversary.flips(keys, below, rule)
    assert flips.all(axis=1).any()
    # No other threshold would do: at that token the two answers cross.
    answers = adversary.worst_answers(
        adversary.worst_outputs(keys, below, rule), np.array([0, 1]), rule
    )
    assert (answers[:, 0] >= answers[:, 1]).tolist() == flips.all(axis=1).tolist()


def test_scales_of_orthonormal_keys_by_hand():
    # S' = 2 e^-C, so demand = (2 A + B) e^-C: C = ln(2 A + B), times the nudge.
    keys = named([1, 0, 0], [0, 1, 0], [0, 0, 1])
    wanted = {
        ("01", 0.5, None): math.log(2 * 3),  # A = rho = 3
        ("pm1", 0.5, None): math.log(2),
        ("01", None, 0.1): math.log(2 * 1.5 + 0.25),  # A = 1.2/.8, B = .2/.8
        ("pm1", None, 0.5): math.log(2 * 3 + 1),  # A = 1.5/.5, B = .5/.5
    }
    for spec, scale in wanted.items():
        assert adversary.exact_scale(keys, condition(*spec)) == pytest.approx(scale, rel=1e-8)


def test_scales_of_the_hypercube_are_the_closed_form():
    keys = make("hypercube", 256, 8)
    # The published closed form; fl(1/sqrt(8))^2 8 differs from 1 by 4e-8.
    for eta, rho in ((0.0, 1.0), (0.5, 3.0), (0.9, 19.0)):
        got = adversary.exact_scale(keys, condition("01", eta, None))
        assert got == pytest.approx(full_family_scale(8, rho), rel=1e-6)


def test_eta_drops_out_for_signs():
    keys = make("jl", 64, 16)
    rules = [condition("pm1", eta, None) for eta in (0.0, 0.5, 0.99)]
    assert len({adversary.exact_scale(keys, rule) for rule in rules}) == 1
    C = 0.97 * adversary.exact_scale(keys, rules[0])
    flips = [adversary.flips(keys, C, rule) for rule in rules]
    assert flips[0].any()
    assert (flips[0] == flips[1]).all()
    assert (flips[0] == flips[2]).all()


def test_one_stream_is_worst_for_every_coordinate_of_a_row():
    keys, rule = make("kerdock", 64, 16), condition("01", 0.5, None)
    row = np.random.default_rng(0).integers(0, 2, 16)
    x = adversary.worst_context(row, 5, 64)
    below = adversary.exact_scale(keys, rule) * (1 - 1e-7)
    for C, errors in ((below, 16), (adversary.exact_scale(keys, rule), 0)):
        outputs = adversary.exact_outputs(keys, C, adversary.encode(x, rule), [5])[0]
        answers = adversary.worst_answers(outputs, row, rule)
        assert int(((answers > adversary.thresholds(keys, C, rule, [5])[0]) != row).sum()) == errors


def test_what_is_refused():
    with pytest.raises(BadInput, match="Row 3 is not one of 3 tokens: give 0 <= i < n"):
        adversary.worst_context([0], 3, 3)
    with pytest.raises(NoScale, match="are equal"):
        adversary.exact_scale(named([1, 0], [1, 0]), RULES[0])
