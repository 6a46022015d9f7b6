"""The game: what is asked, what is charged, what is counted, and that isolation changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from kvbarrier.protocols.evidence.record import MessageRecord
from kvbarrier.protocols.game import coins
from kvbarrier.protocols.game.cell import Batch, Cell
from kvbarrier.protocols.game.index_game import BatchRecord, play_all, play_batch
from kvbarrier.protocols.game.instances import Index
from kvbarrier.protocols.players import isolation
from kvbarrier.protocols.players.isolation import Limits

KEY = b"the game's test key, of 32 bytes"
INSTANCE = Index(32, 16, keys="hypercube")
LIMITS = Limits(20, 512 << 20)
needs_namespaces = pytest.mark.skipif(
    not isolation.namespaces_available(), reason=f"{isolation.namespaces_problem()}"
)
everywhere = pytest.mark.parametrize(
    "kind", ["inline", "process", pytest.param("namespaces", marks=needs_namespaces)]
)


def secret(number, instance=INSTANCE):
    bits = coins.secret_bits(KEY, instance.id, number, instance.n * instance.d)
    return bits.reshape(instance.n, instance.d)


def play(cell, batch=0, kind="inline"):
    return play_batch(cell, KEY, batch, kind, LIMITS)


def plugin(tmp_path, text, **cell):
    """A plug-in from the body of its class; ``exact`` is a naive exact attention beside it."""
    path = tmp_path / "plugin.py"
    path.write_text(HEAD + text)
    return Cell(**{"instance": INSTANCE, "target": f"{path}:Mine", "batch_size": 4, **cell})


HEAD = '''
import numpy as np
from kvbarrier.compressors.plugin.contract import Compressor

class Exact(Compressor):
    """Keeps everything; the definition, one row at a time."""
    def __init__(self, *args, **params):
        super().__init__(*args, **params)
        self.k, self.v = [], []
    def append(self, q, k, v):
        self.k.append(k)
        self.v.append(v)
    def attend(self, q):
        scores = np.array(self.k, dtype=float) @ q
        weights = np.exp(scores - scores.max())
        return weights @ np.array(self.v, dtype=float) / weights.sum()

'''


# -- controls whose results are known beforehand ------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("inline", "01"),
        ("inline", "pm1"),
        ("process", "01"),
        pytest.param("namespaces", "pm1", marks=needs_namespaces),
    ],
)
def test_exact_attention_of_a_stranger_gets_every_bit(kind, values, tmp_path):
    instance = Index(32, 16, keys="hypercube", values=values)
    cell = plugin(tmp_path, "class Mine(Exact): pass\n", instance=instance, batch_size=2)
    batch = play(cell, 0, kind)
    assert [r.wrong for r in batch.records] == [0, 0]
    assert [r.asked for r in batch.records] == [512, 512]
    assert all(r.failed is None for r in batch.records)
    # 32 rows of 16 float32 keys and 16 float32 values
    assert all(r.payload_bytes == 32 * 32 * 4 for r in batch.records)
    assert all(8 * 4096 < r.charged_bits < 8 * 4096 + 8 * 64 for r in batch.records)
    assert (batch.isolation, batch.streaming) == (kind, True)
    assert len(batch.source) == 16
    assert batch.seconds > 0


@everywhere
def test_lossless_plays_the_same_everywhere(kind):
    # It answers by a numba kernel, which under namespaces is compiled on a read-only file system.
    cell = Cell(INSTANCE, "lossless", batch_size=3)
    batch = play(cell, 1, kind)
    assert [r.failed for r in batch.records] == [None] * 3
    assert [r.wrong for r in batch.records] == [0] * 3
    assert [r.charged_bits for r in batch.records] == [512] * 3
    assert batch.records == play(cell, 1, "inline").records


def test_zero_always_answers_no_so_the_ones_of_the_secret_are_wrong():
    batch = play(Cell(INSTANCE, "zero", batch_size=3), 1)
    assert [r.failed for r in batch.records] == [None] * 3
    assert [r.wrong for r in batch.records] == [int(secret(m).sum()) for m in (3, 4, 5)]


def test_batches_number_their_messages_globally():
    four = play(Cell(INSTANCE, "zero", batch_size=4), 1)
    two = [play(Cell(INSTANCE, "zero", batch_size=2), batch) for batch in (2, 3)]
    assert four.records == two[0].records + two[1].records


def test_the_same_messages_meet_every_budget_and_another_key_means_others():
    a = play(Cell(INSTANCE, "zero", budget=Fraction(1, 2)))
    b = play(Cell(INSTANCE, "zero", budget=Fraction(1, 4)))
    assert a.records == b.records
    other = play_batch(Cell(INSTANCE, "zero"), bytes(32), 0, "inline")
    assert [r.wrong for r in other.records] != [r.wrong for r in a.records]


def test_wrong_bits_are_counted_in_their_age_bucket():
    instance = Index(40, 8, keys="hypercube")  # 40 rows: buckets of 2 or 3
    record = play(Cell(instance, "zero", batch_size=1)).records[0]
    x = secret(0, instance)
    wrong, asked = [0] * 16, [0] * 16
    for i in range(40):
        wrong[16 * i // 40] += int(x[i].sum())
        asked[16 * i // 40] += 8
    assert list(record.wrong_by_age) == wrong
    assert list(record.asked_by_age) == asked
    assert record.wrong == sum(wrong)


def test_only_sampled_rows_are_asked():
    instance = Index(64, 8, keys="hypercube", rows=20)
    for number, record in enumerate(play(Cell(instance, "zero", batch_size=2)).records):
        rows = coins.sampled_rows(KEY, instance.id, number, 64, 20)
        assert record.asked == 20 * 8
        assert record.wrong == int(secret(number, instance)[rows].sum())
        assert list(record.asked_by_age) == [8 * int((rows // 4 == b).sum()) for b in range(16)]


def test_a_strangers_sample_is_asked_row_by_row_unless_all_of_it_together(tmp_path):
    # Bob answers yes where he is asked for one row, and no where he sees a sample.
    body = "class Mine(Exact):\n    def save(self): return b''\n"
    body += "    def restore(self, message): pass\n"
    body += "    def next_outputs(self, Q, K, V): return np.full((len(Q), 8), len(Q) == 1, float)\n"
    instance = Index(64, 8, keys="hypercube", rows=20)
    cell = plugin(tmp_path, body, instance=instance, batch_size=1)
    rows = coins.sampled_rows(KEY, instance.id, 0, 64, 20)
    ones = int(secret(0, instance)[rows].sum())
    assert play(cell).records[0].wrong == 160 - ones
    [played] = play_all([Batch(cell, KEY, 0)], "inline", LIMITS, together=True)
    assert played.records[0].wrong == ones


# -- what is charged ----------------------------------------------------------------------------


def test_a_declared_length_is_charged_8_bits_a_byte_and_another_is_a_failure(tmp_path):
    body = "class Mine(Exact):\n    message_bytes = {}\n    def save(self): return bytes(11)\n"
    body += "    def restore(self, message): pass\n"
    body += "    def next_outputs(self, Q, K, V): return np.ones((len(Q), 16))\n"
    right = play(plugin(tmp_path, body.format(11)))
    # Bob says "yes" to everything: the zeros of the secret are wrong.
    assert [r.wrong for r in right.records] == [512 - int(secret(i).sum()) for i in range(4)]
    assert {r.charged_bits for r in right.records} == {88}
    free = play(plugin(tmp_path, body.format(None)))
    assert {r.charged_bits for r in free.records} == {88 + 2 * 3 + 1}  # floor(log2 12) = 3
    wrong = play(plugin(tmp_path, body.format(12)))
    for number, record in enumerate(wrong.records):
        assert record.failed == "Alice: save returned 11 bytes, declared were message_bytes = 12."
        guesses = coins.guess_bits(KEY, INSTANCE.id, number, 512).reshape(32, 16)
        assert record.wrong == int((guesses != secret(number)).sum())
        assert (record.charged_bits, record.payload_bytes) == (64, 0)


CUTS = """
class Mine(Exact):
    streaming = {streaming}
    def save(self):
        # longer in the middle than at the end
        rest = self.shape.tokens - len(self.v)
        return bytes([len(self.v)]) + bytes(100 * rest)
    def restore(self, message):
        self.v = [np.zeros(16)] * message[0]
        self.k = [np.zeros(16)] * message[0]
    def next_outputs(self, Q, K, V):
        assert len(self.v) == 32
        return np.zeros((len(Q), 16))
"""


@pytest.mark.parametrize("kind", ["inline", "process"])
def test_streams_are_cut_saved_and_go_on_and_the_larger_message_is_charged(kind, tmp_path):
    batch = play(plugin(tmp_path, CUTS.format(streaming=True)), 0, kind)
    cut = coins.cut_point(KEY, INSTANCE.id, 0, 32)
    length = 1 + 100 * (32 - cut)
    gamma = 2 * (length + 1).bit_length() - 1
    assert [r.failed for r in batch.records] == [None] * 4
    assert [r.charged_bits for r in batch.records] == [8 * length + gamma, 11, 11, 11]
    assert [r.payload_bytes for r in batch.records] == [1, 1, 1, 1]  # of what Bob gets


def test_what_says_it_does_not_stream_is_not_cut(tmp_path):
    batch = play(plugin(tmp_path, CUTS.format(streaming=False)))
    assert {r.charged_bits for r in batch.records} == {8 + 2 + 1}
    assert batch.streaming is False


# -- how it is played ---------------------------------------------------------------------------


def test_the_batched_door_is_for_our_own_only(tmp_path):
    body = "class Mine(Exact):\n    def next_bits(self, *args): raise AssertionError\n"
    batch = play(plugin(tmp_path, body, batch_size=1))
    assert batch.records[0].failed is None
    assert batch.records[0].wrong == 0


def test_public_arrays_are_everybodys_own_copy(tmp_path):
    body = "class Mine(Exact):\n    def attend(self, q):\n"
    body += "        self.public['keys'][:] = 0\n        return super().attend(q)\n"
    body += "    def append(self, q, k, v):\n        super().append(q, k.copy(), v.copy())\n"
    body += "        k[:] = 0\n        v[:] = 0\n"
    before = INSTANCE.build().public()["keys"].copy()
    batch = play(plugin(tmp_path, body))
    assert [r.wrong for r in batch.records] == [0] * 4
    assert np.array_equal(INSTANCE.build().public()["keys"], before)


SEEDS = """
class Mine(Exact):
    streaming = False
    def extend(self, Q, K, V):
        self.told = (self.seed, self.budget_bits, self.shape.tokens, self.shape.extra)
        self.told += (self.public["scale"], len(self.k), self.size)
    def __init__(self, *args, size=0, **params):
        super().__init__(*args, **params)
        self.size = size
    def save(self): return repr(self.told).encode()
    def restore(self, message):
        seed, bits, tokens, extra, scale, held, size = eval(message)
        assert (seed, bits, scale, size) == (
            self.seed, self.budget_bits, self.public["scale"], self.size)
        assert (bits, tokens, extra, held, size) == (8192, 32, 1, 0, 7)
    def next_outputs(self, Q, K, V):
        return np.full((len(Q), 16), float(self.seed % 2))
"""


@pytest.mark.parametrize("kind", ["inline", "process"])
def test_both_players_are_built_from_the_same_public_things(kind, tmp_path):
    cell = plugin(tmp_path, SEEDS, budget=Fraction(1, 2), params=(("size", 7),))
    for number, record in enumerate(play(cell, 0, kind).records):
        assert record.failed is None
        # Bob's answer is the parity of his seed: it was the message's own public seed.
        parity = coins.public_seed(KEY, INSTANCE.id, number) % 2
        assert record.wrong == int((secret(number) != parity).sum())


def test_batches_can_be_played_from_threads_at_once(tmp_path):
    cell = plugin(tmp_path, "class Mine(Exact): pass\n", batch_size=2)
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda b: play(cell, b, "process"), range(2)))
    for batch, record in enumerate(together):
        assert record.records == play(cell, batch).records


def test_a_failure_of_one_message_leaves_the_others_alone(tmp_path):
    seed = coins.public_seed(KEY, INSTANCE.id, 2)
    body = f"class Mine(Exact):\n    def attend(self, q):\n        assert self.seed != {seed}\n"
    body += "        return super().attend(q)\n"
    batch = play(plugin(tmp_path, body))
    assert [r.failed is None for r in batch.records] == [True, True, False, True]
    assert "raised AssertionError (plugin.py" in batch.records[2].failed
    assert [r.charged_bits == 64 for r in batch.records] == [False, False, True, False]


def test_records_are_plain_and_frozen():
    record = MessageRecord((1,) * 16, (2,) * 16, 8, 1, None)
    assert (record.wrong, record.asked) == (16, 32)
    with pytest.raises(AttributeError):
        record.failed = "x"
    with pytest.raises(AttributeError):
        BatchRecord((record,), 1.0, "inline", True, "s").records = ()
