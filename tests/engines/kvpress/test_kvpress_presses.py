"""kvpress played for real: what is left, what it says, and what lies in the message anyway."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

pytest.importorskip("kvpress", reason="kvpress lives in an environment of its own: make engines")

from kvbarrier.compressors.engines.kvpress.factory import names
from kvbarrier.compressors.engines.kvpress.press import KVPress
from kvbarrier.compressors.engines.kvpress.rows import OUT_OF_REACH, ROWS
from kvbarrier.compressors.engines.memories import Memories
from kvbarrier.errors import BadInput, PluginFailure
from kvbarrier.protocols.game.instance import Instance
from kvbarrier.protocols.game.instances import instance_of

N, D = 512, 64


@dataclass(frozen=True)
class Game:
    instance: Instance

    @property
    def reduction(self) -> Any:
        return self.instance.build()

    def secret(self, seed: int = 0) -> Any:
        bits = np.random.default_rng(seed).integers(0, 2, (N, self.instance.row_bits))
        return bits.astype(np.uint8)

    def stream(self, seed: int = 0) -> tuple[Any, ...]:
        return tuple(whole(part) for part in self.reduction.stream(self.secret(seed)))

    def make(self, press: str, /, **params: Any) -> KVPress:
        return KVPress(self.instance.shape, None, 0, {}, what=press, **params)

    def alice(self, press: str, /, seed: int = 0, **params: Any) -> tuple[bytes, Memories]:
        alice = self.make(press, **params)
        alice.extend(*self.stream(seed))
        return alice.save(), alice.memories()

    def error(
        self, message: bytes, press: str, /, seed: int = 0, every: int = 1, **params: Any
    ) -> float:
        bob = self.make(press, **params)
        bob.restore(message)
        rows = np.arange(0, N, every)
        outputs = bob.next_outputs(*(whole(part) for part in self.reduction.queries(rows)))
        if self.instance.layers * self.instance.heads == 1:
            outputs = outputs[:, 0, 0]
        said = np.asarray(self.reduction.decode(outputs, rows)).reshape(len(rows), -1)
        return float((said != self.secret(seed)[rows].reshape(len(rows), -1)).mean())

    @property
    def uncompressed(self) -> float:
        return self.instance.shape.cache_bits_16 / 8


@lru_cache(maxsize=8)
def game(layers: int = 1, heads: int = 1, **more: Any) -> Game:
    return Game(
        instance_of({"n": N, "d": D, "keys": "kerdock", "layers": layers, "heads": heads, **more})
    )


def whole(array: Any) -> Any:
    return array if array.ndim == 4 else array[:, None, None]


def test_the_tables_name_every_press_of_the_package():
    assert {row.target.removeprefix("kvpress:") for row in ROWS} | set(OUT_OF_REACH) == set(names())


@pytest.mark.parametrize("basis", ["literal", "rotated"])
@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("press", ["KnormPress", "SnapKVPress", "StreamingLLMPress", "TOVAPress"])
def test_eviction_loses_half_of_what_it_evicts(press, ratio, basis):
    # A bit that is gone is a coin toss.
    one, params = game(basis=basis), {"compression_ratio": ratio}
    message, memory = one.alice(press, **params)
    assert len(message) / one.uncompressed == pytest.approx(1 - ratio, abs=0.003)
    assert memory.logical == memory.resident
    assert memory.claimed == round((1 - ratio) * one.uncompressed)
    assert (memory.side, memory.basis) == (0, "declared ratio")
    assert one.error(message, press, **params) == pytest.approx(ratio / 2, abs=0.01)


@pytest.mark.parametrize("basis", ["literal", "rotated"])
@pytest.mark.parametrize(
    ("press", "params"),
    [
        ("AdaKVPress", {"press": "KnormPress", "compression_ratio": 0.9}),
        ("AdaKVPress", {"press": "SnapKVPress", "compression_ratio": 0.9}),
        ("KVzipPress", {"compression_ratio": 0.9}),
        ("DMSPress", {"press": "RandomPress", "threshold": 0.9, "sliding_window_size": 1}),
    ],
)
def test_what_masks_is_read_from_the_message_whole(press, params, basis):
    one = game(heads=2, basis=basis)
    message, memory = one.alice(press, **params)
    assert 1 < len(message) / one.uncompressed < 1.01
    assert memory.logical == one.uncompressed
    assert memory.claimed / one.uncompressed == pytest.approx(0.1, abs=0.02)
    # Three int64 on the module for every masked row of 256 bytes.
    masked = memory.side / (3 * 8) / (2 * N)
    assert masked == pytest.approx(0.9, abs=0.02)
    assert one.error(message, press, **params) == pytest.approx(0.45, abs=0.01)
    assert one.error(message, press, bob="reads", **params) == 0


def test_kvzip_keeps_slices_of_a_cache_twice_as_long_and_sends_the_slices():
    one = game(heads=2)
    message, memory = one.alice("KVzipPress", compression_ratio=0.5)
    assert memory.logical == one.uncompressed
    assert memory.resident / one.uncompressed > 2
    assert len(message) / one.uncompressed < 1.01


def test_unstructured_kvcompose_leaves_its_second_reading_in_the_cache():
    one, params = game(heads=2), {"compression_ratio": 0.5, "structured": False}
    message, memory = one.alice("KVComposePress", **params)
    assert memory.logical == 2 * one.uncompressed
    assert memory.claimed == one.uncompressed / 2
    assert one.error(message, "KVComposePress", every=8, **params) == 0


def test_think_frees_nothing():
    one = game()
    _, memory = one.alice("ThinKPress", key_channel_compression_ratio=0.5)
    assert memory.resident == one.uncompressed
    assert memory.claimed == 0.75 * one.uncompressed


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.target + str(list(row.params.values())))
def test_every_row_is_played_as_it_is_declared(row):
    one, press = game(row.layers, row.heads), row.target.removeprefix("kvpress:")
    message, _ = one.alice(press, **row.params)
    used = len(message) / one.uncompressed
    bob = one.make(press, **row.params)
    bob.restore(message)
    assert bob.save() == message
    if bob.traits.masks or press == "ThinKPress":
        assert used > 1
    elif press == "ComposedPress":
        assert used == pytest.approx(0.5, abs=0.01)
    elif not bob.traits.decodes:
        assert used == pytest.approx(row.declared, abs=0.01)
    else:
        assert used > row.declared
    asked = {ask: bob_asks(one, bob, ask) for ask in bob.asks}
    assert all(np.isfinite(answers).all() for answers in asked.values())
    if "mask" in asked:
        # bf16 has 8 bits: two ways to sum may differ in the last.
        np.testing.assert_allclose(asked["mask"], asked["serial"], atol=2**-7)


def bob_asks(one: Game, bob: KVPress, ask: str) -> Any:
    bob.ask = ask
    return bob.next_outputs(*(whole(part) for part in one.reduction.queries(np.arange(0, N, 32))))


@pytest.mark.parametrize("bob", ["asks", "reads"])
@pytest.mark.parametrize(
    ("press", "params"),
    [
        ("KnormPress", {"compression_ratio": 0.25}),
        ("AdaKVPress", {"press": "KnormPress", "compression_ratio": 0.5}),
        ("KVComposePress", {"compression_ratio": 0.5}),
    ],
)
def test_another_message_says_nothing(press, params, bob):
    one = game(heads=2)
    message, _ = one.alice(press, seed=1, **params)
    said = one.error(message, press, seed=0, bob=bob, every=2, **params)
    assert said == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("press", ["RandomPress", "LeverageScorePress", "CAMPress"])
def test_chance_is_a_public_coin(press):
    decoding = {"base_press": "KnormPress", "target_size": 256, "compression_interval": 64}
    params = decoding if press == "CAMPress" else {"compression_ratio": 0.5}
    one = game()
    assert one.alice(press, **params)[0] == one.alice(press, **params)[0]


@pytest.mark.parametrize("press", ["DecodingPress", "CAMPress", "CompressionRatioDecodingPress"])
def test_a_decoding_press_goes_on_where_it_was_cut(press):
    # SnapKV scores by the hidden states that wait. With a ratio kvpress starts to compress at the
    # second token, which is no window.
    if press == "CompressionRatioDecodingPress":
        params = {"base_press": "KnormPress", "target_compression_ratio": 0.5}
    else:
        params = {"base_press": "SnapKVPress", "window_size": 8, "target_size": 100}
    params["compression_interval"] = 60
    one = game()
    straight, _ = one.alice(press, **params)
    message = b""
    for at in range(0, N, 90):
        part = one.make(press, **params)
        part.restore(message)
        part.extend(*(array[at : at + 90] for array in one.stream()))
        message = part.save()
    assert message == straight


def test_a_decoding_press_holds_its_size_and_what_waits():
    one = game()
    params = {"base_press": "KnormPress", "target_size": 256, "hidden_states_buffer_size": 0}
    # The first token is the prompt, and 511 are 7 rounds of 73.
    message, memory = one.alice("DecodingPress", compression_interval=73, **params)
    assert memory.logical == memory.claimed == one.uncompressed / 2
    assert (memory.side, memory.basis) == (0, "declared size")
    error = one.error(message, "DecodingPress", compression_interval=73, **params)
    assert error == pytest.approx(0.25, abs=0.01)
    _, memory = one.alice("DecodingPress", compression_interval=64, **params)
    assert memory.logical == (256 + 511 % 64) * one.uncompressed / N


def test_presses_are_wrapped_by_name():
    one = game(heads=2)
    chained = {"press": "CriticalKVPress/SnapKVPress", "window_size": 32, "compression_ratio": 0.5}
    made = one.make("AdaKVPress", **chained).press
    assert type(made.press).__name__ == "CriticalKVPress"
    assert made.press.press.window_size == 32
    assert made.compression_ratio == 0.5
    both = one.make("ComposedPress", presses="SnapKVPress,ThinKPress", window_size=16).press
    assert [each.window_size for each in both.presses] == [16, 16]


@pytest.mark.parametrize(
    ("press", "params", "sentence"),
    [
        ("KnormPres", {}, "no press 'KnormPres'. Did you mean 'KnormPress'?"),
        ("KnormPress", {"ratio": 1}, "no parameter 'ratio'"),
        ("KnormPress", {"compression_ratio": 2}, "must be between 0 and 1"),
        ("AdaKVPress", {"press": "KnormPress", "alpha": 1}, "no parameter 'alpha'"),
        ("AdaKVPress", {}, "wraps another press: give it, as in press=KnormPress"),
        ("ChunkPress", {"press": "KnormPress/TOVAPress"}, "KnormPress wraps no other press"),
        ("DMSPress", {"press": "KnormPress"}, "needs its parameter threshold"),
        ("PerLayerCompressionPress", {"press": "KnormPress", "compression_ratios": "a"}, "numbers"),
        ("QFilterPress", {}, "cannot be played here: it downloads filters"),
        ("AdaKVPress", {"press": "ObservedAttentionPress"}, "use another press"),
        ("AdaKVPress", {"press": "KnormPress", "ask": "mask"}, "takes ask=serial, not mask"),
        ("KnormPress", {"feed": "stream"}, "takes feed=prefill, not stream"),
        ("KnormPress", {"dtype": "int3"}, "bf16, fp16 or fp32"),
    ],
)
def test_bad_input_is_one_sentence(press, params, sentence):
    with pytest.raises(BadInput) as caught:
        game().make(press, **params)
    assert sentence in str(caught.value)


def test_a_masking_press_on_single_tokens_needs_queries():
    press, params = "DMSPress", {"press": "RandomPress", "threshold": 0.5, "decoding": True}
    with pytest.raises(BadInput, match="--queries gaussian"):
        game().alice(press, feed="stream", **params)
    one = game(queries="gaussian")
    message, memory = one.alice(press, feed="stream", sliding_window_size=1, **params)
    assert memory.logical == one.uncompressed
    error = one.error(message, press, feed="stream", sliding_window_size=1, **params)
    assert error == pytest.approx(0.25, abs=0.03)


def test_a_foreign_message_is_refused():
    one = game()
    message, _ = one.alice("KnormPress", compression_ratio=0.5)
    for wrong in (message[:-1], b"\x00" + message, b"not a message"):
        with pytest.raises(BadInput):
            one.make("KnormPress").restore(wrong)
    with pytest.raises(BadInput, match="same public parameters"):
        game(heads=2).make("KnormPress").restore(message)
    with pytest.raises(BadInput, match="same public parameters"):
        one.make("KnormPress", dtype="fp32").restore(message)


def test_half_a_prompt_is_not_compressed():
    alice = game().make("KnormPress", compression_ratio=0.5)
    alice.extend(*(part[:100] for part in game().stream()))
    with pytest.raises(PluginFailure, match="whole prompt"):
        alice.save()


def test_versions_are_those_of_the_packages():
    found = game().make("KnormPress").versions()
    assert set(found) == {"torch", "transformers", "kvpress"}
    assert found["kvpress"] == "0.5.5"


@pytest.mark.parametrize("model", ["qwen3", "gemma3"])
def test_a_press_in_another_family(model: str) -> None:
    """Half of the tokens are gone and half of their bits guessed, with norms on keys as well."""
    one = game(d=128, keys="jl")
    message, memories = one.alice("KnormPress", compression_ratio=0.5, model=model)
    assert memories.logical == one.uncompressed / 2
    error = one.error(message, "KnormPress", every=2, compression_ratio=0.5, model=model)
    assert error == pytest.approx(0.25, abs=0.03)


def test_a_press_does_not_know_layers_that_slide() -> None:
    instance = instance_of({"n": N, "d": 128, "reduction": "sliding-layers", "layers": 2,
                            "every": 2, "window": 129})  # fmt: skip
    with pytest.raises(BadInput, match="presses all layers alike, and in gemma3 some slide"):
        KVPress(instance.shape, None, 0, {}, what="KnormPress", model="gemma3")


def test_no_message_of_a_stream_exceeds_what_its_account_names() -> None:
    params = {"base_press": "KnormPress", "target_size": 256, "compression_interval": 64}
    alice, longest = game().make("CAMPress", **params), 0
    for q, k, v in zip(*game().stream(), strict=True):
        alice.append(q, k, v)
        longest = max(longest, len(alice.save()) if alice.seen % 31 == 0 else 0)
    # Who takes over in the end has seen no round, and another stream tells what waits at most.
    late = game().make("CAMPress", **params)
    late.restore(alice.save())
    held = late.accounts(b"")
    there = held.resident + held.side
    assert longest > 1.1 * there
    assert longest < there + held.beside + 0.02 * N * D * 4
