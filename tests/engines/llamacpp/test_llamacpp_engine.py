"""llama.cpp itself, through the prebuilt binding and, where it was built, through the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.errors import BadInput, PluginFailure
from kvbarrier.protocols.game.instances import Index

pytest.importorskip("cyllama", reason="cyllama is in the llamacpp environment")
pytest.importorskip("gguf", reason="gguf is in the llamacpp environment")

from kvbarrier.compressors.engines.llamacpp.bindings import BINDINGS, binding_named
from kvbarrier.compressors.engines.llamacpp.cache import LlamaCpp
from kvbarrier.compressors.engines.llamacpp.rows import ROWS
from kvbarrier.compressors.targets import resolve

N, D = 512, 64
INSTALLED = [name for name, one in BINDINGS.items() if one.installed]
SHAPE = Shape(tokens=N, d_k=D, d_v=D)
each_binding = pytest.mark.parametrize("binding", INSTALLED)


class Game:
    """One secret in the Index game of n = 512 and d = 64, with Kerdock keys."""

    def __init__(self, basis: str = "literal", n: int = N) -> None:
        self.reduction = Index(n=n, d=D, keys="kerdock", eta=0.5, basis=basis).build()
        self.secret = np.random.default_rng(0).integers(0, 2, (n, D), dtype=np.uint8)
        self.rows = np.arange(n)
        self.shape = Shape(tokens=n, d_k=D, d_v=D)

    def alice(self, what: str, **params: Any) -> LlamaCpp:
        one = LlamaCpp(self.shape, what=what, **params)
        one.extend(*(part[:, None, None] for part in self.reduction.stream(self.secret)))
        return one

    def bob(self, message: bytes, what: str, **params: Any) -> Any:
        one = LlamaCpp(self.shape, what=what, **params)
        one.restore(message)
        asked = (part[:, None, None] for part in self.reduction.queries(self.rows))
        return one.next_outputs(*asked)[:, 0, 0]

    def wrong(self, outputs: Any) -> Any:
        return self.reduction.decode(outputs, self.rows) != self.secret

    def error(self, what: str, **params: Any) -> float:
        message = self.alice(what, **params).save()
        return float(self.wrong(self.bob(message, what, **params)).mean())


@pytest.fixture(scope="module")
def literal() -> Game:
    return Game()


@pytest.fixture(scope="module")
def rotated() -> Game:
    return Game("rotated")


# -- the values to meet ----------------------------------------------------------------------------


@each_binding
@pytest.mark.parametrize(("what", "bits"), [("f16", 33.5), ("q8_0", 18.5), ("q4_0", 10.5)])
def test_bits_of_the_message_and_no_errors_in_a_rotated_basis(
    rotated: Game, binding: str, what: str, bits: float
) -> None:
    message = rotated.alice(what, binding=binding).save()
    assert 8 * (len(message) - 48) / (N * D) == bits  # 48 bytes of it do not grow with n
    assert not rotated.wrong(rotated.bob(message, what, binding=binding)).any()


@pytest.mark.parametrize("what", ["f16", "bf16", "f32", "q8_0", "q5_1", "nvfp4"])
def test_no_errors_in_the_literal_basis(literal: Game, what: str) -> None:
    assert literal.error(what) == 0


@pytest.mark.parametrize(("what", "most"), [("q5_0", 1e-3), ("q4_1", 3e-3), ("iq4_nl", 3e-3)])
def test_few_errors_in_the_literal_basis(literal: Game, what: str, most: float) -> None:
    assert literal.error(what) < most


def test_the_hadamard_matrix_costs_q4_0_bits_of_0_and_1_in_v_alone(literal: Game) -> None:
    assert 0.003 < literal.error("q4_0") < 0.01
    assert 0.003 < literal.error("f16", v="q4_0") < 0.01
    assert literal.error("q4_0", v="f16") == 0


# -- one state, however it came about --------------------------------------------------------------


@pytest.mark.skipif(len(INSTALLED) < 2, reason="llama-cpp-python is not built here")
@pytest.mark.parametrize("what", ["f16", "q8_0", "q4_0"])
def test_states_of_both_bindings_are_equal(rotated: Game, what: str) -> None:
    said = {name: rotated.alice(what, binding=name).save() for name in INSTALLED}
    assert len(set(said.values())) == 1
    answers = [rotated.bob(said[INSTALLED[0]], what, binding=name) for name in INSTALLED]
    assert np.allclose(*answers, atol=1e-5)


@each_binding
def test_a_stream_leaves_what_a_prompt_leaves(literal: Game, binding: str) -> None:
    said = {feed: literal.alice("q4_0", feed=feed, binding=binding).save() for feed in
            ("prefill", "stream")}  # fmt: skip
    assert said["prefill"] == said["stream"]


@each_binding
def test_a_stream_may_be_cut(literal: Game, binding: str) -> None:
    Q, K, V = (part[:, None, None] for part in literal.reduction.stream(literal.secret))
    first = LlamaCpp(SHAPE, what="q8_0", feed="stream", binding=binding)
    first.extend(Q[:200], K[:200], V[:200])
    second = LlamaCpp(SHAPE, what="q8_0", feed="stream", binding=binding)
    second.restore(first.save())
    second.extend(Q[200:], K[200:], V[200:])
    assert second.save() == literal.alice("q8_0", feed="stream", binding=binding).save()


@each_binding
def test_asking_together_is_asking_one_by_one(literal: Game, binding: str) -> None:
    message = literal.alice("q4_0", binding=binding).save()
    said = [literal.bob(message, "q4_0", ask=ask, binding=binding) for ask in ("mask", "serial")]
    assert np.array_equal(*said)


def test_float16_v_is_added_up_in_float16_by_the_kernel_for_one(literal: Game) -> None:
    message = literal.alice("f16").save()
    mask, serial = (literal.bob(message, "f16", ask=ask) for ask in ("mask", "serial"))
    exact = literal.bob(message, "f16", bob="reads")
    assert np.abs(mask - exact).max() < 0.005
    assert 0.02 < np.abs(serial - exact).max() < 0.1
    assert not literal.wrong(serial).any()


def test_asking_changes_nothing(literal: Game) -> None:
    alice = literal.alice("q8_0")
    before = alice.save()
    asked = [part[:, None, None] for part in literal.reduction.queries(literal.rows)]
    assert np.array_equal(alice.next_outputs(*asked), alice.next_outputs(*asked))
    assert alice.save() == before


def test_nothing_fed_is_no_message_and_a_question_sees_itself() -> None:
    alice = LlamaCpp(SHAPE, what="f16")
    assert alice.save() == b""
    rng = np.random.default_rng(3)
    Q, K, V = (rng.standard_normal((3, 1, 1, D), dtype=np.float32) for _ in range(3))
    assert np.allclose(alice.next_outputs(Q, K, V), V, atol=2e-3)


@each_binding
def test_bob_in_another_process(rotated: Game, tmp_path: Path, binding: str) -> None:
    (tmp_path / "message").write_bytes(rotated.alice("q8_0", binding=binding).save())
    queries = [part[:8, None, None] for part in rotated.reduction.queries(rotated.rows)]
    np.savez(tmp_path / "queries.npz", *queries)
    text = f"""
import numpy as np
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.engines.llamacpp.cache import LlamaCpp
bob = LlamaCpp(Shape(tokens={N}, d_k={D}, d_v={D}), what="q8_0", binding={binding!r})
bob.restore(open("message", "rb").read())
asked = np.load("queries.npz")
np.save("outputs.npy", bob.next_outputs(*(asked[name] for name in sorted(asked))))
"""
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    read = rotated.reduction.decode(np.load(tmp_path / "outputs.npy")[:, 0, 0], np.arange(8))
    assert np.array_equal(read, rotated.secret[:8])


# -- eviction --------------------------------------------------------------------------------------


@each_binding
@pytest.mark.parametrize("feed", ["prefill", "stream"])
def test_the_kept_tokens_are_known_and_the_others_a_coin_toss(
    literal: Game, feed: str, binding: str
) -> None:
    params = {"window": 252, "sinks": 4, "feed": feed, "binding": binding}
    alice = literal.alice("f16", **params)
    message = alice.save()
    assert len(message) == 48 + 256 * (12 + 2 * 2 * D)
    wrong = literal.wrong(literal.bob(message, "f16", **params)).mean(axis=1)
    assert not wrong[:4].any()
    assert not wrong[-252:].any()
    assert abs(wrong[4:-252].mean() - 0.5) < 0.02


def test_a_prompt_keeps_its_memory_after_eviction_and_a_stream_never_takes_it() -> None:
    game = Game(n=1024)
    held = {
        feed: game.alice("f16", window=252, sinks=3, feed=feed).memories()
        for feed in ("prefill", "stream")
    }
    row = 2 * 2 * D
    assert {one.logical for one in held.values()} == {255 * row}
    assert held["prefill"].resident == 1024 * row
    assert held["stream"].resident == 256 * row  # 255 and the one that comes next
    assert held["stream"].claimed == 255 * row + 255 * 12 + 48


def test_what_was_evicted_is_not_in_the_message_either(literal: Game) -> None:
    params = {"window": 256, "bob": "reads"}
    wrong = literal.wrong(literal.bob(literal.alice("f16", **params).save(), "f16", **params))
    assert abs(wrong[:256].mean() - 0.5) < 0.02
    assert not wrong[256:].any()


# -- who only reads --------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["f32", "f16", "bf16", "q8_0", "q5_0", "q4_1", "iq4_nl", "mxfp4"])
def test_the_rows_in_the_message_are_what_the_engine_attends_to(rotated: Game, what: str) -> None:
    message = rotated.alice(what).save()
    read, asked = (rotated.bob(message, what, bob=bob) for bob in ("reads", "asks"))
    assert np.abs(read - asked).max() < 0.005


# -- shapes ----------------------------------------------------------------------------------------


@each_binding
def test_layers_and_heads_and_values_shorter_than_keys(binding: str) -> None:
    shape = Shape(tokens=20, d_k=64, d_v=32, layers=2, heads=3, kv_heads=3)
    rng = np.random.default_rng(5)
    stream, asked = (
        [rng.standard_normal((m, 2, 3, d), dtype=np.float32) for d in (64, 64, 32)] for m in (20, 5)
    )
    asked[0] *= 0.2
    exact = LlamaCpp(shape, what="f32", bob="reads", binding=binding)
    exact.extend(*stream)
    engine = LlamaCpp(shape, what="f32", binding=binding)
    engine.extend(*stream)
    answers = engine.next_outputs(*asked)
    assert answers.shape == (5, 2, 3, 32)
    assert np.allclose(answers, exact.next_outputs(*asked), atol=0.01)


def test_more_tokens_than_announced_are_refused_before_the_engine_aborts() -> None:
    one = LlamaCpp(Shape(tokens=4, d_k=D, d_v=D), what="f16", feed="stream")
    tokens = [np.ones((6, 1, 1, D), dtype=np.float32)] * 3
    with pytest.raises(PluginFailure, match="has room for 5 tokens only"):
        one.extend(*tokens)


def test_a_message_of_another_type_is_refused(literal: Game) -> None:
    message = literal.alice("q8_0").save()
    with pytest.raises(PluginFailure, match="not kept in q4_0"):
        LlamaCpp(SHAPE, what="q4_0").restore(message)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"what": "q4_k"}, "Did you mean 'q4_K'"),
        ({"what": "q4_0", "v": "q9"}, "no cache type 'q9'"),
        ({"what": "f16", "windwo": 3}, "no parameter 'windwo'. Did you mean 'window'"),
        ({"what": "f16", "window": 0}, "window must be a whole number of tokens, 1 or more, not 0"),
        ({"what": "f16", "window": "x"}, "window must be a whole number"),
        ({"what": "f16", "sinks": 4}, "Without a window nothing is evicted"),
        ({"what": "f16", "binding": "cylama"}, "Did you mean 'cyllama'"),
        ({"what": "f16", "ask": "rows"}, "takes ask=mask or serial"),
        ({"what": "model.gguf"}, "is a model file"),
    ],
)
def test_bad_input_is_told(params: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        LlamaCpp(SHAPE, **params)


def test_q1_0_cannot_be_read_without_the_engine() -> None:
    shape = Shape(tokens=8, d_k=128, d_v=128)
    with pytest.raises(BadInput, match="takes bob=asks, not reads"):
        LlamaCpp(shape, what="q1_0", bob="reads")


def test_the_best_binding_is_the_default_and_versions_are_told() -> None:
    assert binding_named(None).name == INSTALLED[0]
    assert set(LlamaCpp(SHAPE, what="f16").versions()) == {INSTALLED[0], "gguf"}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_every_row_can_be_played(row: Any) -> None:
    game = Game(n=64)
    target = resolve(row.target)
    made = target.factory(game.shape, None, 0, {}, **row.params)
    made.extend(*game.reduction.stream(game.secret))
    assert np.isfinite(made.next_outputs(*game.reduction.queries(game.rows))).all()
