"""The map of what is lost: planted faults named rightly, healthy caches not at all."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.protocols.evidence.localise import Description, localise
from kvbarrier.protocols.evidence.places import choices
from kvbarrier.protocols.evidence.record import Reading
from kvbarrier.protocols.evidence.relabelling import log2_evidence, pieces

from .planted_losses import PLANTED, Planted, readings

PLACES = ("tokens", "questions", "sequences", "cut", "layers", "heads", "channels")


def wrong_about(found: Description, right: dict[str, Any]) -> list[str]:
    """In which respects a description is not the right one."""
    trouble = []
    for place in PLACES:
        here, wanted = getattr(found, place), right.get(place)
        numbers = None if here is None else list(here.numbers)
        if numbers != wanted:
            trouble.append(f"{place} {here and here.words}")
    blocks = found.blocks
    said = None if blocks is None else (blocks.modulo, blocks.group, blocks.shift, blocks.equal)
    if said != right.get("blocks"):
        trouble.append(f"blocks {said}")
    for name in ("effect", "source", "value", "kind"):
        if name in right and getattr(found, name) != right[name]:
            trouble.append(f"{name} {getattr(found, name)}")
    return trouble


def test_the_planted_faults_are_enough():
    rows = Counter(planted.row for planted in PLANTED)
    assert min(rows.values()) >= 3
    assert len(PLANTED) >= 30


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_planted_faults_are_described_rightly(noise):
    trouble = {}
    for number, planted in enumerate(PLANTED):
        found = localise(readings(planted, seed=number, noise=noise))
        if bad := wrong_about(found, planted.right):
            trouble[planted.name] = bad, found.sentence
    assert len(trouble) <= len(PLANTED) // 10, trouble


@pytest.mark.parametrize("messages", [1, 2])
def test_sharp_faults_need_one_or_two_messages(messages):
    right = 0
    for number, planted in enumerate(PLANTED):
        found = localise(readings(planted, seed=number, messages=messages))
        right += not wrong_about(found, planted.right)
    # What is left cannot beat chance: of 256 tokens there are 2^15 ranges, and 3 lost ones are
    # worth 3 log2(256/3) = 19 bits a message.
    assert right >= 0.85 * len(PLANTED)


def healthy(kind: str, rng: np.random.Generator, shape=(128, 1, 2, 32), messages=4):
    """Wrong bits that no place explains: of each kind all labels are alike."""
    found = []
    n, _, heads, width = shape
    for _ in range(messages):
        secret = rng.integers(0, 2, shape, dtype=np.uint8)
        coins = rng.integers(0, 2, shape, dtype=np.uint8)
        if kind == "none":
            lost = np.zeros(shape, dtype=bool)
        elif kind == "few":
            lost = rng.random(shape) < 3 / secret.size
        elif kind == "diffuse":
            lost = rng.random(shape) < 0.03
        elif kind == "rows":  # a random sample of tokens is kept
            lost = np.broadcast_to((rng.random(n) < 0.4)[:, None, None, None], shape)
        elif kind == "rows of a head":  # each head keeps a sample of its own
            lost = np.broadcast_to((rng.random((n, 1, heads, 1)) < 0.2), shape)
        elif kind == "bad rows":  # a scale for each token, some scales are large
            lost = rng.random(shape) < 0.2 * rng.random((n, 1, 1, 1)) ** 4
        elif kind == "groups":  # a scale for each token and group of 8 channels
            lost = np.repeat(rng.random((n, 1, heads, width // 8)) < 0.05, 8, axis=3)
        else:
            lost = np.ones(shape, dtype=bool)
        said = np.where(lost, coins, secret)
        found.append(Reading(np.arange(n), secret, said, n=n))
    return found


HEALTHY = ("none", "few", "diffuse", "rows", "rows of a head", "bad rows", "groups", "all")


def named(runs: int, messages: int, level: float) -> dict[str, int]:
    """How many runs of each healthy kind have a place named."""
    found: Counter[str] = Counter()
    for number, kind in enumerate(HEALTHY):
        rng = np.random.default_rng(number + 100 * messages)
        for _ in range(runs):
            one = localise(healthy(kind, rng, messages=messages), level)
            found[kind] += one.kind == "place"
    return dict(found)


def test_nothing_is_named_where_nothing_is_to_be_found():
    assert sum(named(runs=10, messages=4, level=0.99).values()) == 0


@pytest.mark.soak
@pytest.mark.parametrize("messages", [1, 2, 4])
def test_nothing_is_named_in_two_hundred_runs(messages):
    assert sum(named(runs=200, messages=messages, level=0.99).values()) == 0


@pytest.mark.soak
def test_a_lower_level_is_kept_too():
    # At level 1/2 half of the runs may have something named; a tenth would show a wrong sum.
    for kind, count in named(runs=200, messages=2, level=0.5).items():
        assert count <= 0.5 * 200, kind


def test_the_e_value_has_mean_at_most_one_over_all_orders():
    # All 24 orders of four counts, every set of labels: the exact mean. Two blocks multiply, so
    # the mean over all pairs of orders is at most 1 as well.
    for counts in ([0, 0, 0, 5], [1, 2, 3, 4], [0, 7, 7, 1], [3, 3, 3, 3]):
        orders = [np.array(one, dtype=float) for one in itertools.permutations(counts)]
        for size in (1, 2, 3):
            chosen = np.zeros((1, 4), dtype=bool)
            chosen[0, :size] = True
            es = [2 ** log2_evidence(one[None], chosen) for one in orders]
            assert sum(es) / len(es) <= 1 + 1e-12
            both = np.repeat(chosen, 2, axis=0)
            pairs = [
                2 ** log2_evidence(np.stack(two), both)
                for two in itertools.product(orders[:6], orders)
            ]
            assert len(pairs) == 144
        rotations = [np.roll(np.array(counts, dtype=float), s) for s in range(4)]
        for chosen in (np.eye(4, dtype=bool)[:1], ~np.eye(4, dtype=bool)[:1]):
            assert sum(2 ** log2_evidence(one[None], chosen) for one in rotations) <= 4 + 1e-12


def test_the_e_value_of_a_sharp_place_is_the_number_of_places_by_hand():
    # One of 4 heads is hit in each of 32 pieces: 4^32 orders, 64 bits; the average of 12 terms has
    # 2 that reach them (lambda 16, both maps) and 2 more for the heads that are not hit.
    counts = np.zeros((32, 4))
    counts[:, 2] = 9
    found = log2_evidence(counts, counts > 0)
    assert 64 - math.log2(12) < found <= 64


def test_all_codes_of_an_axis_sum_to_at_most_a_half():
    # Kraft: every place that ``choices`` can name costs at least -log2 of its weight here. The
    # cheapest place of each family is made the best one in turn.
    V = 24
    least: dict[bytes, float] = {}
    flat = np.full(V, 64.0)
    for first in range(V):
        for last in range(first + 1, V + 1):
            wrong = np.where((np.arange(V) >= first) & (np.arange(V) < last), 32.0, 0.0)
            for one in choices(np.arange(V), wrong, flat):
                key = one.inside.tobytes()
                least[key] = min(least.get(key, math.inf), one.bits)
    for m in range(2, 7):
        for first in range(m):
            for size in range(1, m):
                hit = (np.arange(V) - first) % m < size
                for one in choices(np.arange(V), np.where(hit, 32.0, 0.0), flat):
                    key = one.inside.tobytes()
                    least[key] = min(least.get(key, math.inf), one.bits)
    assert len(least) > 24 * 25 // 2
    assert sum(2.0**-bits for bits in least.values()) <= 0.5


def test_pieces_have_equal_wrong_bits_and_stay_in_their_message():
    message = np.repeat([0, 1], 100)
    order = np.tile(np.arange(100), 2)
    weight = np.where(order < 64, 1.0, 0.0)
    block = pieces(message, order, weight, np.ones(200, dtype=bool))
    # 64 rows with a wrong bit each in 32 pieces: two in a piece.
    assert Counter(block[block >= 0].tolist()) == dict.fromkeys(range(64), 2)
    assert (block[order >= 64] == -1).all()


def test_a_description_is_plain_data():
    for number, planted in enumerate(PLANTED):
        found = localise(readings(planted, seed=number))
        assert json.loads(json.dumps(found.as_dict(), allow_nan=False)) == found.as_dict()
        assert found.sentence.endswith(".")
        k, a = found.inside
        assert found.kind != "place" or (k + found.outside[0], a + found.outside[1]) == (
            found.wrong,
            found.asked,
        )


def test_readings_of_two_shapes_and_levels_that_are_none_are_refused():
    one, other = (readings(planted, seed=0, messages=1) for planted in (PLANTED[0], PLANTED[10]))
    with pytest.raises(BadInput, match="have no map in common: give those of one shape"):
        localise(one + other)
    with pytest.raises(BadInput, match=r"level of 1\.0 is not a probability"):
        localise(one, level=1.0)
    assert localise([]).sentence == "No bit of 0 is wrong."


def test_a_parameter_of_the_cache_is_a_modulus():
    planted = Planted("", "", PLANTED[0].plant, {}, (1024, 1, 1, 16))
    data = readings(planted, seed=1)
    for one in data:
        one.said[:] = one.secret
        hit = one.tokens % 100 == 99
        one.said[hit] = 1 - one.secret[hit]
    found = localise(data, parameters=[100])
    assert found.tokens is not None
    assert found.tokens.words == "tokens whose number modulo 100 is 99"
    assert list(found.tokens.numbers) == list(range(99, 1024, 100))


def test_messages_that_were_cut_are_named_where_all_of_them_is_lost():
    # 8 of 32 messages are cut: worth 8 log2(32/8) = 16 bits, and named at 11.2 and the average's.
    rng = np.random.default_rng(5)
    data = []
    for message in range(32):
        secret = rng.integers(0, 2, (64, 1, 1, 16), dtype=np.uint8)
        lost = message % 4 == 0
        said = rng.integers(0, 2, secret.shape, dtype=np.uint8) if lost else secret
        data.append(Reading(np.arange(64), secret, said, n=64, cut=10 + message if lost else None))
    found = localise(data)
    assert found.kind == "place"
    assert found.sentence == (
        "Lost: the messages whose stream was cut: half of the bits are wrong. "
        "Elsewhere no bit is wrong."
    )
    assert found.inside[1] == 8 * 64 * 16
    # Four messages cannot tell it.
    assert localise(data[:4]).cut is None


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("three tokens", "Lost: tokens 130-132, all channels: half of the bits are wrong."),
        ("9-15 of every 16", "Lost: tokens 9-15 of every 16, all channels: half of the bits are"),
        (
            "the last of every 32 in the first half",
            "Lost: tokens whose number modulo 32 is 31, from 31 to 127, all channels: half",
        ),
        ("head 3 of layer 2", "Lost: head 3 of layer 2: half of the bits are wrong."),
        ("head 0's values", "Heads 1-3 of every layer answer with head 0's values."),
        ("token 4's row", "Tokens 100-255 answer with token 4's row."),
        ("everything one place earlier", "All tokens answer with the row 1 place earlier."),
        ("not the scale block", "Lost: the values of tokens whose number modulo 4 is not the "
         "channel group (of 16 channels): "),
        ("30 before the cut", "Lost: the last 30 tokens before the cut: half of the bits are"),
        ("stuck at 1", "Lost: channels 32-39: every bit is read as 1. Elsewhere no bit is wrong."),
    ],
)  # fmt: skip
def test_a_place_is_said_in_plain_english(name, sentence):
    (number,) = (i for i, planted in enumerate(PLANTED) if planted.name == name)
    assert localise(readings(PLANTED[number], seed=number)).sentence.startswith(sentence)


@pytest.mark.parametrize(("shape", "seconds"), [((512, 1, 1, 64), 0.3), ((512, 4, 4, 64), 3.0)])
def test_a_map_is_fast(shape, seconds):
    planted = Planted("", "", PLANTED[0].plant, {}, shape)
    data = readings(planted, seed=2, noise=0.02)
    localise(data)
    times = []
    for _ in range(5):
        began = time.process_time()
        localise(data)
        times.append(time.process_time() - began)
    assert min(times) < seconds


if __name__ == "__main__":
    for messages, noise in itertools.product((4, 2, 1), (0.0, 0.02)):
        bad = []
        for number, planted in enumerate(PLANTED):
            found = localise(readings(planted, number, messages, noise))
            if what := wrong_about(found, planted.right):
                bad.append((planted.name, what, found.sentence))
        print(messages, noise, len(PLANTED) - len(bad), len(PLANTED))
        for one in bad:
            print("    ", *one)


def best_residues_by_hand(wrong, asked, V):
    """The largest gain of a run of residues or of a set of them, every modulus tried in full."""
    gains = [-math.inf]
    K, A = wrong.sum(), asked.sum()

    def fits(inside):
        k, a = wrong[inside].sum(), asked[inside].sum()
        if not (k > 0 and a < A and k * (A - a) >= 2 * (K - k) * a):
            return -math.inf
        pairs = ((k, a), (K - k, A - a))
        fit = sum(x * math.log(x / y) if x else 0.0 for x, y in pairs)
        fit += sum((y - x) * math.log(1 - x / y) if x < y else 0.0 for x, y in pairs)
        return fit - K * math.log(K / A) - (A - K) * math.log(1 - K / A)

    for m in range(2, V // 4 + 1):
        r = np.arange(V) % m
        modulus = 5 + math.log2(6 if m in (2, 4, 8, 16, 32, 64) else 63)
        for first in range(m):
            for size in range(1, m):
                bits = modulus + math.log2(m * (m - 1))
                gains.append(fits((r - first) % m < size) - math.log(2) * bits)
        if 4 <= m <= 16:
            rates = [wrong[r == one].sum() / asked[r == one].sum() for one in range(m)]
            order = np.argsort(-np.array(rates), kind="stable")
            for size in range(1, m):
                inside = np.isin(r, order[:size])
                gains.append(fits(inside) - math.log(2) * (modulus + m))
    return max(gains)


@pytest.mark.parametrize("seed", range(6))
def test_moduli_that_cannot_pay_are_left_out_and_no_other(seed):
    rng, V = np.random.default_rng(seed), 64
    rate = np.full(V, 0.1)
    m = int(rng.integers(3, 16))
    rate[np.arange(V) % m < 1 + seed % 2] = (0.3, 0.45, 0.9)[seed % 3]
    asked = np.full(V, 96.0)
    wrong = rng.binomial(96, rate).astype(float)
    found = [one.gain for one in choices(np.arange(V), wrong, asked) if one.period is not None]
    assert max(found) == pytest.approx(best_residues_by_hand(wrong, asked, V), abs=1e-9)


def test_of_a_sample_a_range_reaches_over_tokens_that_were_not_asked():
    """A window of 64 of 256, and one hole of 16: lost ones once were listed run by run."""
    rng = np.random.default_rng(0)
    samples = [np.sort(rng.choice(256, 40, replace=False)) for _ in range(6)]
    asked = sorted(set(np.concatenate(samples).tolist()))
    assert len(asked) < 200

    def sentence(lost):
        readings = []
        for rows in samples:
            secret = rng.integers(0, 2, (40, 1, 1, 64), dtype=np.uint8)
            said = secret.copy()
            said[lost(rows)] = 1
            readings.append(Reading(rows, secret, said, n=256))
        return localise(readings).sentence

    last = max(row for row in asked if row < 192)
    found = sentence(lambda rows: rows < 192)
    assert found.startswith(f"Lost: tokens {asked[0]}-{last} of those asked, all channels")
    found = sentence(lambda rows: rows // 16 != 8)
    kept = [row for row in asked if row // 16 == 8]
    assert found.startswith(f"Lost: all tokens of those asked but {kept[0]}-{kept[-1]}, all chan")
