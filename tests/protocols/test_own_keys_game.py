"""The game on own keys: margins from both sides, ids that know no folder, and what is played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier.errors import BadInput, NoScale
from kvbarrier.protocols.game.cell import Batch, Cell, cell_of
from kvbarrier.protocols.game.coins import COMMITTED_KEYS
from kvbarrier.protocols.game.index_game import play_all
from kvbarrier.protocols.game.instances import instance_of
from kvbarrier.protocols.game.own_keys import OwnKeys
from kvbarrier.reductions.own_keys import own_tokens
from kvbarrier.reductions.own_keys_game import OwnKeysReduction

KEY = COMMITTED_KEYS["experiments"]
K = np.random.default_rng(7).normal(size=(48, 12)).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.savez(tmp_path / "k.npz", keys=K[None, None], queries=0.75 * K[None, None])
    return tmp_path / "k.npz"


def attention(q: Any, keys: Any, values: Any) -> Any:
    """Bob's zero token beside the rest, in float64."""
    scores = np.append(keys.astype(np.float64) @ q.astype(np.float64), 0.0)
    weights = np.exp(scores - scores.max())
    return weights[:-1] @ values / weights.sum()


@pytest.mark.parametrize("guarantee", [{"eta": 0.5}, {"eta": None, "gamma": 0.1}])
def test_thresholds_hold_against_every_context_and_no_other_query_would(guarantee: Any) -> None:
    """The two extreme contexts, moved by all of the tolerance, on both sides of the border."""
    head = own_tokens(K, 2.0, **guarantee)
    game, inside = OwnKeysReduction.build(head, 3), head.certified
    cuts = game.thresholds().astype(np.float64)
    for row, i in enumerate(game.secret):
        values = np.zeros((48, 3))
        values[i] = 1
        one = attention(head.queries[i], K, values)[0]
        zero = attention(head.queries[i], K, 1 - values)[0]
        if guarantee["eta"] is None:
            assert zero + 0.1 < cuts[row] < one - 0.1
        else:
            assert 1.5 * zero < cuts[row] < 0.5 * one
    assert 16 <= inside.sum() < 48
    for i in np.flatnonzero(head.floor > head.line + 1e-4):
        values = np.zeros((48, 3))
        values[i] = 1
        one = attention(head.queries[i], K, values)[0]
        zero = attention(head.queries[i], K, 1 - values)[0]
        moved = (zero + 0.1, one - 0.1) if guarantee["eta"] is None else (1.5 * zero, 0.5 * one)
        assert moved[0] > moved[1]


def test_the_context_is_public_and_the_rest_is_secret() -> None:
    game = OwnKeysReduction.build(own_tokens(K, 2.0), 5)
    public = game.public()
    x = np.random.default_rng(0).integers(0, 2, (game.rows, 5)).astype(np.uint8)
    Q, keys, V = game.stream(x)
    context = np.setdiff1d(np.arange(48), public["secret_tokens"])
    assert not Q.any()
    assert (keys == K).all()
    assert (V[public["secret_tokens"]] == x).all()
    assert (V[context] == public["known_values"][context]).all()
    assert 0.3 < V[context].mean() < 0.7
    assert not public["known_values"][public["secret_tokens"]].any()
    signs = OwnKeysReduction.build(own_tokens(K, 2.0, values="pm1"), 5)
    assert set(np.unique(signs.stream(np.ones((signs.rows, 5), np.uint8))[2])) == {-1, 1}


def test_an_id_knows_the_keys_and_not_the_folder(file: Path, tmp_path: Path) -> None:
    one = OwnKeys(48, 12, keys=str(file), norm=2.0)
    (tmp_path / "b").mkdir()
    other = tmp_path / "b" / "k.npz"
    other.write_bytes(file.read_bytes())
    assert OwnKeys(48, 12, keys=str(other), norm=2.0).id == one.id
    changed = K.copy()
    changed[3, 3] += 1
    np.savez(other, keys=changed[None, None])
    assert OwnKeys(48, 12, keys=str(other), norm=2.0).id != one.id
    assert OwnKeys(48, 12, keys=str(file), norm=2.1).id != one.id


def test_a_row_is_read_without_the_file_and_played_only_with_it(file: Path, monkeypatch) -> None:
    played = OwnKeys(48, 12, keys=str(file), norm="p50")
    spec = Cell(played, "exact").spec()
    assert spec["instance"]["keys"] == "k.npz"
    told = cell_of(spec)
    assert told.id == Cell(played, "exact").id
    assert (told.instance.secret_rows, told.instance.row_bits) == (played.secret_tokens, 12)
    with pytest.raises(BadInput, match="run the command where the file is"):
        told.instance.build()
    monkeypatch.chdir(file.parent)
    assert told.instance.build().rows == played.secret_tokens
    np.savez(file, keys=K[None, None] + 1)
    with pytest.raises(BadInput, match="not have the keys that this instance was played on"):
        cell_of(spec | {"batch_size": 4}).instance._build()


@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_it_is_played(file: Path, isolation: str) -> None:
    instance = OwnKeys(48, 12, keys=str(file), norm=2.0)
    secret = instance.secret_rows * 12
    cells = (
        Cell(instance, "exact", batch_size=3),
        Cell(instance, "lossless", batch_size=2),
        Cell(instance, "sliding-window", budget="1/2"),
    )
    full, all_bits, half = play_all([Batch(cell, KEY, 0) for cell in cells], isolation)
    assert [r.wrong for r in full.records] == [0, 0, 0]
    assert [r.wrong for r in all_bits.records] == [0, 0]
    assert [r.charged_bits for r in all_bits.records] == [-(-secret // 8) * 8] * 2
    share = np.mean([r.wrong / secret for r in half.records])
    assert 0.2 < share < 0.5


def test_too_few_tokens_and_too_large_scores_are_refused() -> None:
    with pytest.raises(BadInput, match="needs 16"):
        OwnKeysReduction.build(own_tokens(K, 0.2), 4)
    with pytest.raises(NoScale, match="smaller --norm"):
        OwnKeysReduction.build(own_tokens(K, 1e6), 4)


@pytest.mark.parametrize(
    "fields",
    [{}, {"norm": 1.0}, {"keys": "k.npz"}, {"keys": "k.npz", "norm": 2.0, "scale": 3.0},
     {"keys": "k.npz", "norm": 2.0, "n": 49}, {"keys": "k.npz", "norm": 2.0, "d": 11},
     {"keys": "k.npz", "norm": 2.0, "heads": 2}, {"keys": "k.npz", "norm": 2.0, "at": "1.0"}],
)  # fmt: skip
def test_fields_that_make_no_instance(file: Path, monkeypatch, fields: dict[str, Any]) -> None:
    monkeypatch.chdir(file.parent)
    with pytest.raises(BadInput):
        instance_of({"n": 48, "d": 12, "reduction": "own-keys", "eta": 0.5, **fields})
