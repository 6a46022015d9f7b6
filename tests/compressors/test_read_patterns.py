"""Plans, read patterns, readers that know the family, and their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.readers.catalog import READERS
from kvbarrier.compressors.readers.contract import Adaptive, NonAdaptive, Plan, Reader
from kvbarrier.compressors.readers.controls import KeyCells, Minimax, OneCoordinate
from kvbarrier.compressors.readers.patterns import filled_attention, read_by
from kvbarrier.compressors.readers.targets import resolve_reader
from kvbarrier.compressors.zoo.paper.largest_key import LargestKey
from kvbarrier.errors import BadInput, PluginFailure
from kvbarrier.protocols.players.reader import AskingReader, Cells
from kvbarrier.reductions.indistinguishability import CellFamily, TokenFamily, acceptable

PATTERNS = ("sampling", "window", "sinks", "strided", "fixed", "random-blocks", "big-bird")


def made(name: str, **params):
    return resolve_reader(name, params).build()


def answered(algorithm: NonAdaptive, family, place: int | None, seed: int = 5):
    plan = Plan.of(algorithm.plan(family.n, family.d, seed), family.n, family.d)
    q, K, V = family.stream(place)
    return algorithm.answer(q, AskingReader(plan, seed, Cells(plan, K, V).ask)), plan


# -- plans ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        [1, ("V", 0), ("K", 2, 1)],
        ((1), ("V", 0, None), ["K", np.int64(2), np.int32(1)]),
        [("K", 1), ("V", 1), ("V", 0, 0), ("V", 0, 1), ("K", 2, 1), ("K", 2, 1)],
    ],
)
def test_a_plan_may_be_written_in_many_ways(said) -> None:
    plan = Plan.of(said, 3, 2)
    assert plan.cells.astype(int).tolist() == [
        [[0, 0], [1, 1], [0, 1]],
        [[1, 1], [1, 1], [0, 0]],
    ]
    assert plan.commitment == Plan.of([1, ("V", 0), ("K", 2, 1)], 3, 2).commitment
    assert (plan.reads, plan.whole().tolist(), plan.touched().tolist()) == (7, [1], [0, 1, 2])


def test_the_commitment_tells_plans_and_sizes_apart() -> None:
    plans = [Plan.of(s, n, d) for s, n, d in [([0], 4, 2), ([1], 4, 2), ([0], 8, 1), ([], 4, 2)]]
    assert len({plan.commitment for plan in plans}) == 4
    assert all(len(plan.commitment) == 64 for plan in plans)


def test_the_commitment_is_sha_256_of_the_sizes_and_the_bits() -> None:
    import hashlib

    # Cells K[0, 0] and V[1, 1] of two tokens in dimension 2: bits 1000 0001.
    told = hashlib.sha256(b"kvbarrier plan 2x2x2:" + bytes([0b10000001])).hexdigest()
    assert Plan.of([("K", 0, 0), ("V", 1, 1)], 2, 2).commitment == told


def test_a_plan_survives_its_packing() -> None:
    plan = Plan.of([0, ("K", 4, 2)], 5, 3)
    assert (Plan.unpack(plan.pack(), 5, 3).cells == plan.cells).all()
    with pytest.raises(PluginFailure, match="did not send a plan"):
        Plan.unpack(plan.pack()[1:], 5, 3)


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ([4], "names the token 4: there are 0 to 3"),
        ([-1], "names the token -1"),
        (np.array([0, 7]), "names the token 7"),
        ([("K", 0, 2)], "names the coordinate 2: there are 0 to 1"),
        ([("Q", 0)], "kind must be 'K' or 'V', not 'Q'"),
        ([("K",)], r"a cell is \(kind, index, coordinate or None\)"),
        ([0.5], "plan says 0.5"),
        (["K"], "plan says 'K'"),
        (3, "returned a int"),
        ("KV", "returned a str"),
        (Plan.of([0], 3, 2), "another size"),
    ],
)
def test_a_bad_plan_is_one_sentence(said, part: str) -> None:
    with pytest.raises(PluginFailure, match=part) as caught:
        Plan.of(said, 4, 2)
    assert "\n" not in str(caught.value)


# -- patterns ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("n", [65, 100, 257])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 1.0])
def test_a_pattern_stays_within_its_share(name: str, n: int, share: float) -> None:
    chosen = read_by(made(name, share=share), n, 2, seed=3)
    assert len(chosen) <= share * (n - 1) + 1e-9
    assert len(chosen) == len(set(chosen.tolist()))
    assert share < 1 or len(chosen) == n - 1


def test_patterns_are_what_they_are_called() -> None:
    def chosen(name: str, share: float) -> list[int]:
        return read_by(made(name, share=share), 17, 1, seed=0).tolist()

    assert chosen("window", 0.25) == [12, 13, 14, 15]
    assert chosen("sinks", 0.5) == [0, 1, 2, 3, 12, 13, 14, 15]
    # Stride 3: the last three, and 10, 7, 4, 1 before them.
    assert chosen("strided", 0.5) == [1, 4, 7, 10, 13, 14, 15]
    # Blocks of 4: the last one whole, one summary token of each earlier.
    assert chosen("fixed", 0.5) == [3, 7, 11, 12, 13, 14, 15]
    blocks = read_by(made("big-bird", share=0.5), 65, 1, seed=1)
    assert set(range(8)) | set(range(56, 64)) <= set(blocks.tolist())


def test_samples_are_nested_uniform_and_public() -> None:
    small, large = (read_by(made("sampling", share=s), 65, 1, 9) for s in (0.25, 0.5))
    assert set(small) <= set(large)
    assert (read_by(made("sampling", share=0.25), 65, 1, 9) == small).all()
    counts = sum(
        np.bincount(read_by(made("sampling", share=0.5), 65, 1, s), minlength=64)
        for s in range(400)
    )
    # 64 binomials of 400 fair coins: six standard deviations of ten.
    assert abs(counts - 200).max() < 60


@pytest.mark.parametrize(("name", "share"), [("strided", 0.1), ("fixed", 0.05)])
def test_a_pattern_that_needs_more_says_how_much(name: str, share: float) -> None:
    with pytest.raises(BadInput, match="give it a share of at least"):
        made(name, share=share).plan(257, 1, 0)


@pytest.mark.parametrize("share", [-0.1, 1.5, "half", True, float("nan")])
def test_a_share_is_a_share(share) -> None:
    with pytest.raises(BadInput, match="give 0 to 1"):
        made("sampling", share=share)


def test_filled_attention_is_attention_over_the_filled_table() -> None:
    rng = np.random.default_rng(1)
    K, V = rng.normal(size=(2, 6, 3)).astype(np.float32)
    q = rng.normal(size=3).astype(np.float32)
    lower = [sorted(c)[2] for c in K[:-1].T.tolist()], [sorted(c)[2] for c in V[:-1].T.tolist()]
    full_k, full_v = (
        np.vstack([t, np.tile(m, (4, 1))]) for t, m in zip((K, V), lower, strict=True)
    )
    weights = np.exp(full_k @ q)
    assert filled_attention(q, K, V, 10) == pytest.approx(
        weights @ full_v / weights.sum(), rel=1e-5
    )
    # Nothing but the newest token is known: all are taken to be like it.
    assert filled_attention(q, K[-1:], V[-1:], 10) == pytest.approx(V[-1], rel=1e-6)


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("make", [TokenFamily, CellFamily])
def test_a_pattern_answers_rightly_iff_it_reads_the_hidden_token(name: str, make) -> None:
    family = make(65, 4)
    algorithm = made(name, share=0.5)
    chosen = set(read_by(algorithm, 65, 4, 5).tolist())
    assert acceptable(family, None, answered(algorithm, family, None)[0])
    for place in range(0, family.places, max(1, family.places // 64)):
        token = place if make is TokenFamily else place // 4
        right = acceptable(family, place, answered(algorithm, family, place)[0])
        assert right == (token in chosen)


def test_minimax_says_d_0_with_the_right_probability() -> None:
    family = TokenFamily(65, 1)
    algorithm = Minimax(0.5, otherwise=family.output(0))
    said = [float(answered(algorithm, family, None, seed)[0][0]) for seed in range(1000)]
    assert set(said) == {1.0, 5.5}
    # 1/(2 - 1/2) = 2/3 of 1000, four standard deviations of 14.9.
    assert abs(said.count(1.0) - 1000 * 2 / 3) < 60


def test_one_coordinate_a_token_decides_the_papers_family() -> None:
    family = TokenFamily(33, 16)
    for place in (None, *range(32)):
        output, plan = answered(OneCoordinate(), family, place)
        assert acceptable(family, place, output)
        assert plan.reads == 32


def test_key_cells_see_the_cells_that_they_read() -> None:
    family = CellFamily(9, 4)
    for share, coordinates, reads in ((0.5, 0, 16), (1.0, 0, 32), (1.0, 1, 8)):
        algorithm = KeyCells(share, coordinates)
        for place in range(family.places):
            output, plan = answered(algorithm, family, place)
            assert plan.reads == reads
            assert acceptable(family, place, output) == bool(
                family.seen(plan.cells[0], plan.cells[1])[place]
            )
    with pytest.raises(BadInput, match="coordinates counts"):
        KeyCells(0.5, -1)


def test_a_reader_has_convenient_doors() -> None:
    family = TokenFamily(5, 2)
    plan = Plan.of([1, ("V", 2, 0), 4], 5, 2)
    _, K, V = family.stream(1)
    cells = Cells(plan, K, V)
    reader: Reader = AskingReader(plan, 7, cells.ask)
    assert (reader.n, reader.d, reader.seed) == (5, 2, 7)
    assert (reader.key(1) == reader["K", 1]).all()
    assert (reader[("V", 1, None)] == reader.value(1)).all()
    assert reader["V", 2, 0] == 1.0
    indices, keys, values = reader.tokens()
    assert (indices.tolist(), keys.shape, values.shape) == ([1, 4], (2, 2), (2, 2))
    assert reader.cells("V", [], []).shape == (0,)
    with pytest.raises(ValueError, match="give as many of both"):
        reader.cells("V", [1, 2], [0])
    with pytest.raises(TypeError, match="whole numbers"):
        reader.keys([0.5])
    assert len(cells.log) == 7


# -- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", READERS)
def test_every_name_can_be_built(name: str) -> None:
    target = resolve_reader(name)
    assert target.folder is None
    assert len(target.source) == 16
    assert isinstance(target.build(), Adaptive)


@pytest.mark.parametrize(
    ("target", "params", "kind", "part"),
    [
        ("samplin", {}, BadInput, "Did you mean 'sampling'"),
        ("exact", {}, BadInput, "exact is a compressor: Theorem 19 speaks of"),
        ("window", {"shar": 1}, BadInput, "Did you mean 'share'"),
        ("window?share=0.5", {"share": 0.25}, BadInput, "given twice"),
        ("nowhere.py", {}, BadInput, "not there"),
        ("two.py", {}, BadInput, "has 2 readers"),
        ("two.py:Thrid", {}, BadInput, "no class 'Thrid'"),
        ("none.py", {}, PluginFailure, "has no reader"),
        ("none.py:Cache", {}, BadInput, "is a compressor"),
        ("none.py:Half", {}, PluginFailure, "has no answer"),
        ("needs.py", {}, BadInput, "needs the parameter 'k'"),
        ("broken.py", {}, PluginFailure, "importing broken.py raised ZeroDivisionError"),
    ],
)
def test_what_cannot_be_resolved_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target, params, kind, part
) -> None:
    doors = "    def plan(self, n, d, seed): return []\n    def answer(self, q, reader): return q\n"
    files = {
        "two.py": f"class One:\n{doors}\nclass Two:\n{doors}",
        "none.py": "class Cache:\n    def attend(self, q): return q\n"
        "class Half:\n    def plan(self, n, d, seed): return []\n",
        "needs.py": f"class Needs:\n    def __init__(self, k): pass\n{doors}",
        "broken.py": "1 / 0\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(kind, match=part):
        resolve_reader(target, params)


# -- the cache that reads everything ----------------------------------------------------------


def test_the_largest_key_is_exact_on_the_family() -> None:
    family = TokenFamily(33, 4)
    shape = Shape(32, 4, 4, extra=1)
    sizes = set()
    for place in (None, *range(32)):
        q, K, V = family.stream(place)
        alice, bob, loop = (LargestKey(shape) for _ in range(3))
        alice.extend(np.zeros_like(K[:-1]), K[:-1], V[:-1])
        bob.restore(alice.save())
        output = bob.next_outputs(q[None], K[-1:], V[-1:])[0]
        assert output == pytest.approx(np.full(4, family.output(place)), rel=1e-5)
        for k, v in zip(K[:-1], V[:-1], strict=True):
            loop.append(q, k, v)
        assert loop.save() == alice.save()
        sizes.add(len(alice.save()))
    # One token, two sums and a counter, whatever n is.
    assert max(sizes) < 8 * 4 * 4 + 64


def test_the_largest_key_alone_is_itself() -> None:
    cache = LargestKey(Shape(4, 2, 2))
    cache.append(np.ones(2, np.float32), np.ones(2, np.float32), np.float32([3, 4]))
    assert cache.attend(np.ones(2, np.float32)).tolist() == [3, 4]
