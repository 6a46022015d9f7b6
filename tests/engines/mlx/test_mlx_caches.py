"""Caches of MLX under attack: n = 512 tokens of d = 64, Kerdock keys, as in the table."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

mx = pytest.importorskip("mlx.core", reason="these caches hold arrays of MLX")
pytest.importorskip("mlx_lm", reason="it is its caches that are attacked")

from kvbarrier.compressors.engines.engine import attention_over  # noqa: E402
from kvbarrier.compressors.engines.mlx.cache import MlxCache  # noqa: E402
from kvbarrier.compressors.engines.mlx.makers import TOGETHER  # noqa: E402
from kvbarrier.compressors.plugin.contract import Shape  # noqa: E402
from kvbarrier.compressors.targets import resolve  # noqa: E402
from kvbarrier.errors import BadInput, PluginFailure  # noqa: E402
from kvbarrier.protocols.game.instances import Index  # noqa: E402

N, D = 512, 64
#: the budgets of those that evict
EVICT = {"streaming_llm": "stream_window_size", "snapkv": "snap_budget"} | {
    name: f"{name}_budget" for name in ("h2o", "knorm", "tova")
}
FULL = N * 2 * D * 2  # bytes of K and V in 16 bits


@cache
def game(basis: str = "literal") -> Any:
    return Index(n=N, d=D, keys="kerdock", eta=0.5, basis=basis)


def played(target: str, basis: str = "literal") -> tuple[int, Any, float]:
    """The length of the message, the memories, and the share of bits that Bob gets wrong."""
    inst = game(basis)
    reduction = inst.build()
    coins = np.random.default_rng(7)
    x = coins.integers(0, 2, (inst.secret_rows, inst.row_bits)).astype(np.uint8)
    alice = resolve(target).factory(inst.shape, None, 0, reduction.public())
    alice.extend(*reduction.stream(x))
    message = alice.save()
    bob = resolve(target).factory(inst.shape, None, 0, reduction.public())
    bob.restore(message)
    rows = np.arange(inst.secret_rows)
    wrong = reduction.decode(bob.next_outputs(*reduction.queries(rows)), rows) != x
    return len(message), getattr(alice, "inner", alice).memories(), float(wrong.mean())


def triples(n: int, heads: int, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, 2, heads, 64), dtype=np.float32) for _ in range(3)]


def test_a_full_cache_answers_as_attention_does_and_is_sent_whole() -> None:
    length, held, wrong = played("mlx:KVCache")
    assert wrong == 0
    assert held.logical == held.resident == held.claimed == FULL
    assert FULL < length < FULL + 600
    # Two layers, two heads, in fp32 against our own softmax in float64.
    shape = Shape(tokens=20, d_k=64, d_v=64, layers=2, heads=2, kv_heads=2)
    Q, K, V = triples(24, 2)
    one = MlxCache(shape, what="KVCache", dtype="fp32")
    one.extend(Q[:20], K[:20], V[:20])
    rows, values = (
        [[part[:20, layer, head] for head in range(2)] for layer in range(2)] for part in (K, V)
    )
    expected = attention_over(rows, values, Q[20:], K[20:], V[20:])
    assert np.allclose(one.next_outputs(Q[20:], K[20:], V[20:]), expected, atol=2e-5)


@pytest.mark.parametrize(
    "what", ["KVCache", "RotatingKVCache", "QuantizedKVCache", "RotatedKVCache"]
)
def test_questions_in_one_pass_are_answered_as_one_by_one(what: str) -> None:
    if what == "RotatedKVCache":
        pytest.importorskip("mlx_turboquant")
    params = {"max_size": 12} if what == "RotatingKVCache" else {}
    shape = Shape(tokens=20, d_k=64, d_v=64, layers=2, heads=2, kv_heads=2)
    Q, K, V = triples(28, 2)
    answers = []
    for ask in ("mask", "serial"):
        one = MlxCache(shape, what=what, dtype="fp32", ask=ask, **params)
        one.extend(Q[:20], K[:20], V[:20])
        answers.append(one.next_outputs(Q[20:], K[20:], V[20:]))
    assert np.allclose(*answers, atol=1e-5)


@pytest.mark.parametrize("method", sorted(TOGETHER | {"TurboQuantKVCache"}))
def test_others_answer_many_questions_as_they_answer_one(method: str) -> None:
    turbo = method == "TurboQuantKVCache"
    pytest.importorskip("mlx_vlm" if turbo else "veloxquant_mlx")
    what, params = (method, {"bits": 3}) if turbo else (f"veloxquant:{method}", {})
    if method in EVICT:
        params = {EVICT[method]: N // 2}
    shape = Shape(tokens=N, d_k=D, d_v=D)
    rng = np.random.default_rng(5)
    K, V = (rng.standard_normal((N, 1, 1, D)).astype(np.float32) / s for s in (8, 1))
    alice = MlxCache(shape, what=what, **params)
    alice.extend(K, K, V)
    answers, some = [], np.arange(0, N, 64)
    for ask, rows in (("mask", np.arange(N)), ("serial", some)):
        bob = MlxCache(shape, what=what, ask=ask, **params)
        bob.restore(alice.save())
        answers.append(bob.next_outputs(60 * K[rows], 0 * K[rows], 0 * V[rows]))
    assert np.allclose(answers[0][some], answers[1], atol=1e-5)


@pytest.mark.parametrize(("bits", "group"), [(8, 64), (4, 64), (4, 32), (2, 64)])
def test_a_quantised_cache_is_as_long_as_its_format(bits: int, group: int) -> None:
    length, held, wrong = played(f"mlx:QuantizedKVCache?bits={bits}&group_size={group}")
    # Codes, and a scale and a bias in 16 bits for every group, of 2n rows.
    size = 2 * N * (D * bits // 8 + D // group * 4)
    assert held.logical == held.claimed == size
    assert size < length < size + 800
    # Two bits have four levels, and one of them is zero: +1/8 becomes +1/16 (docs/analyses).
    assert 0.05 < wrong < 0.12 if bits == 2 else wrong == 0


def test_who_reads_finds_the_rows_of_a_quantised_cache() -> None:
    assert played("mlx:QuantizedKVCache?bits=4&bob=reads")[2] == 0


def test_a_prompt_stays_in_a_rotating_cache_until_the_next_token() -> None:
    length, held, wrong = played("mlx:RotatingKVCache?max_size=128")
    assert held.resident == FULL
    assert FULL < length < FULL + 600
    # It attends to 127 of 512 tokens; the others are guessed.
    assert abs(wrong - (1 - 127 / N) / 2) < 0.02
    assert played("mlx:RotatingKVCache?max_size=128&bob=reads")[2] == 0
    length, held, _ = played("mlx:RotatingKVCache?max_size=128&feed=stream")
    assert held.resident == FULL // 4
    assert length < FULL // 4 + 600


@pytest.mark.parametrize("bits", [2, 4])
def test_turboquant_of_mlx_vlm_is_as_long_as_its_format(bits: int) -> None:
    pytest.importorskip("mlx_vlm")
    length, held, wrong = played(f"mlx:TurboQuantKVCache?bits={bits}", "rotated")
    # Codes and a norm in 16 bits for every row; rotations and levels are public.
    size = 2 * N * (D * bits // 8 + 2)
    assert held.logical == held.claimed == size
    assert size < length < size + 800
    assert wrong < 0.001 if bits == 4 else 0 < wrong < 0.1


def test_a_method_of_veloxquant_holds_more_than_it_counts() -> None:
    pytest.importorskip("veloxquant_mlx")
    length, held, wrong = played("mlx:veloxquant:kivi")
    # 384 of 512 tokens in two bits and two numbers for every 32, 128 tokens as they are.
    codes = 384 * D // 4
    groups = 384 // 32 * D * 4 + 384 * (D // 32) * 4
    assert held.claimed == pytest.approx(2 * codes + groups + 128 * D * 4, abs=1)
    assert held.resident == FULL
    assert FULL < length < FULL + 800
    assert wrong == 0


def test_views_that_a_cache_keeps_of_its_arrays_are_charged_once() -> None:
    pytest.importorskip("veloxquant_mlx")
    length, held, _ = played("mlx:veloxquant:h2o?h2o_budget=256")
    assert length <= held.resident + 800
    assert held.resident < 0.52 * FULL


@pytest.mark.parametrize(
    ("what", "params", "said"),
    [
        ("KVCash", {}, "no cache mlx:KVCash. Did you mean 'KVCache'"),
        ("QuantizedKVCache", {"bit": 4}, "no parameter 'bit'. Did you mean 'bits'"),
        ("RotatingKVCache", {}, "needs the parameter 'max_size'"),
        ("veloxquant:qjl", {}, "no method 'qjl' that mlx-lm can run"),
        ("veloxquant:kivi", {"kivi_groupsize": 4}, "no parameter 'kivi_groupsize'"),
        ("nobody:Cache", {}, "cannot be imported: No module named 'nobody'"),
    ],
)
def test_what_is_not_there_is_one_sentence(what: str, params: Any, said: str) -> None:
    if what.startswith("velox"):
        pytest.importorskip("veloxquant_mlx")
    shape = Shape(tokens=8, d_k=64, d_v=64)
    with pytest.raises(BadInput, match=said):
        MlxCache(shape, what=what, **params)
    with pytest.raises(BadInput, match="takes dtype=bf16 or fp16 or fp32, not int8"):
        MlxCache(shape, dtype="int8")


def test_what_a_cache_raises_is_told_with_its_name() -> None:
    with pytest.raises(PluginFailure, match="mlx:QuantizedKVCache"):
        MlxCache(Shape(tokens=8, d_k=48, d_v=48), what="QuantizedKVCache")
