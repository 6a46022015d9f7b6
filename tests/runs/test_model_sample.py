"""What of a model is played, what it needs, and what it should take: known before it begins."""

from dataclasses import replace
from fractions import Fraction

import pytest
from kvbarrier.errors import BadInput
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.instances import Index, SlidingWindow
from kvbarrier.reductions.model_shape import read_config
from kvbarrier.runs import attack, forecast, room
from kvbarrier.runs.model_sample import parse_sample, sample_of
from kvbarrier.runs.stopping import FixedMessages

# The shape of Llama 3 8B: its published config.json.
LLAMA = {"model_type": "llama", "num_hidden_layers": 32, "num_attention_heads": 32,
         "num_key_value_heads": 8, "hidden_size": 4096}  # fmt: skip
# Gemma 2 9B: every other layer slides over 4,096 tokens.
GEMMA = {"model_type": "gemma2", "num_hidden_layers": 42, "num_attention_heads": 16,
         "num_key_value_heads": 8, "head_dim": 256, "sliding_window": 4096}  # fmt: skip


def test_the_whole_cache_of_a_model_and_the_sample_of_it():
    chosen = sample_of(read_config(LLAMA), 131072, {"layers": 2, "heads": 4, "rows": 256})
    assert chosen.fields() == {"n": 131072, "d": 128, "layers": 2, "heads": 4, "rows": 256}
    # 2 (K and V) x 2 bytes x 32 layers x 8 heads x 131,072 tokens x 128 numbers: 16 GiB.
    assert chosen.cache_bytes == 2 * 2 * 32 * 8 * 131072 * 128 == 16 << 30
    assert chosen.times == 32 * 8 / (2 * 4)
    assert chosen.left_out == ""


def test_without_words_one_layer_is_played_with_all_its_heads():
    chosen = sample_of(read_config(LLAMA), 4096, {})
    assert (chosen.layers, chosen.heads, chosen.rows) == (1, 8, 64)


def test_layers_that_keep_everything_are_played_and_the_others_named():
    chosen = sample_of(read_config(GEMMA), 16384, {})
    assert (chosen.kind, chosen.tokens, chosen.model_layers) == ("full", 16384, 21)
    assert chosen.left_out == "21 sliding layers of 4,096 tokens"
    sliding = sample_of(read_config(GEMMA | {"layer_types": ["sliding_attention"] * 42}), 16384, {})
    assert (sliding.kind, sliding.tokens) == ("sliding", 4096)


@pytest.mark.parametrize(
    ("config", "context", "words", "says"),
    [
        (LLAMA, 100, {}, "take --context 96"),
        (LLAMA, 3, {}, "take --context 16"),
        (LLAMA, 4096, {"heads": 9}, "heads=9 cannot be taken of this model: give 1 to 8"),
        (LLAMA, 4096, {"layers": 0}, "layers=0 cannot be taken of this model: give 1 to 32"),
        (LLAMA, 4096, {"rows": 15}, "give 16 to 4096"),
        # 2^30 numbers a message are 64 heads of 2^17 x 2^7.
        (LLAMA, 131072, {"layers": 9}, "at most 64 heads, as in --sample layers=1,heads=8"),
        (LLAMA | {"kv_lora_rank": 512, "qk_rope_head_dim": 64}, 4096, {}, "latent"),
    ],
)
def test_a_sample_that_cannot_be_taken_says_which_can(config, context, words, says):
    with pytest.raises(BadInput, match=says):
        sample_of(read_config(config), context, words)


def test_keys_are_those_that_ask_least_of_the_logits_where_they_are_known_exactly():
    shape = read_config(LLAMA)
    assert sample_of(shape, 131072, {}).keys(0.5) == "bch"
    # 80 dimensions have no code of their own; any n a power of two has hypercube's spectrum.
    assert sample_of(read_config(LLAMA | {"head_dim": 80}), 4096, {}).keys(0.5) == "hypercube"
    with pytest.raises(BadInput, match="take --context 65536 or 131072, or name --keys"):
        sample_of(shape, 100000, {}).keys(0.5)


@pytest.mark.parametrize("text", ["", "heads", "heads=", "heads=x", "heads=1,heads=2", "depth=2"])
def test_words_of_a_sample_that_are_none(text):
    with pytest.raises(BadInput, match="--sample"):
        parse_sample(text)


# -- room ----------------------------------------------------------------------------------------


def cell(budget=1, batch_size=2, **fields):
    return Cell(Index(**{"n": 1 << 20, "d": 64, "keys": "bch", "rows": 64} | fields), "exact",
                budget=budget, batch_size=batch_size)  # fmt: skip


def test_a_size_that_does_not_fit_is_refused_with_one_that_does():
    # State and message 256 MiB each at budget 1, the secret 64 MiB, and ours.
    needed = (2 * 256 << 20) + (64 << 20) + room.WORKING
    room.refuse_too_large([cell()], available=needed)
    with pytest.raises(BadInput, match=r"n = 1048576 tokens needs at least 0\.8 GiB") as caught:
        room.refuse_too_large([cell()], available=needed - 1)
    assert str(caught.value).endswith("take --n 524288 or a smaller --budget.")
    room.refuse_too_large([cell(n=524288)], available=needed - 1)


def test_messages_that_workers_play_side_by_side_need_room_together():
    needed = room.room_of(cell()).total
    room.refuse_too_large([cell()], available=3 * needed, at_once=3)
    # Four of .81 GiB each, as above.
    wanted = r"4 messages of n = 1048576 .* need at least 3\.2 GiB .*: take --workers 3 at most\.$"
    with pytest.raises(BadInput, match=wanted):
        room.refuse_too_large([cell()], available=4 * needed - 1, at_once=4)
    short = cell(n=1 << 12, batch_size=16)
    room.refuse_too_large([short], available=room.room_of(short).total, at_once=64)


@pytest.mark.parametrize(
    ("options", "at_once"),
    [
        ({}, 1),
        ({"workers": 3}, 3),
        ({"workers": 64}, 5),  # there are no more messages
        ({"workers": 3, "cluster": "tcp://127.0.0.1:1"}, 1),  # whose workers have their own
    ],
)
def test_workers_that_are_asked_for_count_for_the_room(options, at_once, monkeypatch):
    def refuse(_cells, at_once):
        raise BadInput(f"at once: {at_once}")

    monkeypatch.setattr(attack, "refuse_too_large", refuse)
    plan = attack.Attack("exact", Index(1 << 20, 64, keys="bch"), budgets=[Fraction(1)], messages=5)
    with pytest.raises(BadInput, match=f"at once: {at_once}$"):
        attack.play(plan, **options)


def test_heads_are_what_helps_where_there_are_several():
    many = cell(n=1 << 17, d=128, heads=8, layers=4)
    there = room.WORKING + 5 * (room.room_of(cell(n=1 << 17, d=128)).total - room.WORKING)
    with pytest.raises(BadInput, match="take 5 heads at most"):
        room.refuse_too_large([many], available=there)
    room.refuse_too_large([cell(n=1 << 17, d=128, heads=5)], available=there)


def test_who_makes_all_scores_at_once_needs_the_square_of_n():
    many = Cell(Index(1 << 17, 64, keys="bch", rows=64), "fastgen", budget=1, batch_size=2)
    # 4 (2^17)^2 bytes are 64 GiB; at 2^15 they are 4.
    with pytest.raises(BadInput, match=r"needs at least 64\.3 GiB .*take --n 32768"):
        room.refuse_too_large([many], available=8 << 30)


def test_short_messages_wait_in_memory_all_sixteen():
    assert room.room_of(cell(n=1 << 12, batch_size=16)).waiting == 16 * (1 << 20)


def test_of_a_foreign_player_every_process_counts():
    # 2^19 tokens of 64 + 64 numbers in 16 bits are 128 MiB. While Bob plays there are the message
    # that waits, the memory that is handed over, his own bytes of it and his state; the secret, a
    # byte a bit; and float32 keys, in our process, in the host and in the child.
    foreign = replace(cell(n=1 << 19, d=64, batch_size=1), target="holds.py:Holds")
    found = room.room_of(foreign)
    assert found.total - room.WORKING == (4 * 128 + 32 + 3 * 128) << 20
    ours = room.room_of(replace(foreign, target="exact"))
    assert ours.total - room.WORKING == (3 * 128 + 32) << 20


def test_an_attack_that_does_not_fit_begins_nothing(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("it began")

    monkeypatch.setattr(room, "memory_available", lambda: 1 << 28)
    monkeypatch.setattr(attack, "Session", refuse)
    with pytest.raises(BadInput, match="are available: take --n"):
        attack.attack("exact", instance=Index(1 << 20, 64, rows=64), budgets=[1], messages=1)


def test_the_system_says_how_much_there_is():
    there = room.memory_available()
    assert there is None or 1 << 24 < there < 1 << 50


# -- forecast ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("power", "growth"), [(1.0, 1.0), (1.5, 1.5), (2.0, 2.0), (0.3, 1.0)])
def test_a_forecast_goes_on_as_two_short_streams_grow(monkeypatch, power, growth):
    clock = [0.0]

    class Session:
        def rehearse(self, cell):
            clock[0] += 1e-6 * cell.instance.n**power
            return type("Rehearsal", (), {"failed": None})

    monkeypatch.setattr(forecast.time, "perf_counter", lambda: clock[0])
    # 6 batches, of which 4 are played at once; .81 GiB each, as above.
    (said,) = forecast.estimates([cell(), cell()], Session(), FixedMessages(6), at_once=4)
    assert " for 12 " in said
    assert "at least 3.2 GiB of memory" in said
    (said,) = forecast.estimates([cell()], Session(), FixedMessages(6), at_once=4)
    assert "at least 2.4 GiB of memory" in said
    found = forecast.forecast(cell(), Session())
    assert found.measured == 16384
    assert found.growth == pytest.approx(growth)
    assert found.seconds == pytest.approx(1e-6 * 16384**power * 64**growth)
    assert found.memory_bytes == room.room_of(cell()).total


@pytest.mark.parametrize("slow", [0, 1])
def test_what_is_slow_once_is_not_taken_for_growth(monkeypatch, slow):
    clock, seen = [0.0], []

    class Session:
        def rehearse(self, cell):
            first = cell.instance.n not in seen
            seen.append(cell.instance.n)
            # The kernel of the shorter or of the longer stream compiles: half a second.
            compiles = 0.5 if first and sorted(set(seen)).index(cell.instance.n) == slow else 0.0
            clock[0] += 1e-6 * cell.instance.n + compiles
            return type("Rehearsal", (), {"failed": None})

    monkeypatch.setattr(forecast.time, "perf_counter", lambda: clock[0])
    assert forecast.forecast(cell(), Session()).growth == pytest.approx(1.0)


def test_short_streams_have_no_forecast():
    assert forecast.forecast(cell(n=4096), None) is None
    assert forecast.forecast(Cell(SlidingWindow(512, 64), "exact"), None) is None
