"""What all engines share, with a plain NumPy cache in the place of somebody's engine."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier.compressors import engines
from kvbarrier.compressors.engines import environments, schemes
from kvbarrier.compressors.engines.engine import Engine, attention_over
from kvbarrier.compressors.engines.memories import Memories
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.targets import resolve
from kvbarrier.errors import BadInput, PluginFailure
from kvbarrier.protocols.game.instances import Index
from kvbarrier.reductions.attention import next_outputs
from kvbarrier.runs.attack import attack

SHAPE = Shape(tokens=12, d_k=4, d_v=3, layers=2, heads=2, kv_heads=2)


class Masks(Engine):
    """Keeps everything; whoever asks sees the first half only."""

    asks = ("serial",)

    def _prefill(self, Q: Any, K: Any, V: Any) -> None:
        self.K, self.V = K, V

    def _step(self, q: Any, k: Any, v: Any) -> None:
        old = getattr(self, "K", None)
        self.K = k[None] if old is None else np.concatenate([old, k[None]])
        self.V = v[None] if old is None else np.concatenate([self.V, v[None]])

    def _message(self) -> bytes:
        return bytes(self.K.tobytes() + self.V.tobytes())

    def _take(self, message: bytes) -> None:
        rows = np.frombuffer(message, np.float32)
        half = 12 * 2 * 2 * 4
        self.K, self.V = rows[:half].reshape(12, 2, 2, 4), rows[half:].reshape(12, 2, 2, 3)

    def _ask_masked(self, Q: Any, K: Any, V: Any) -> Any:
        raise AssertionError

    def _ask_serial(self, q: Any, k: Any, v: Any) -> Any:
        half = len(self.K) // 2
        rows = [[self.K[:half, a, b] for b in range(2)] for a in range(2)]
        values = [[self.V[:half, a, b] for b in range(2)] for a in range(2)]
        return attention_over(rows, values, q[None], k[None], v[None])[0]

    def _rows(self) -> Any:
        return (
            [[self.K[:, a, b] for b in range(2)] for a in range(2)],
            [[self.V[:, a, b] for b in range(2)] for a in range(2)],
        )

    def memories(self) -> Memories:
        return Memories(logical=self.K.nbytes, resident=2 * self.K.nbytes)

    def versions(self) -> dict[str, str]:
        return {"numpy": np.__version__}


def triples(seed: int = 0, m: int = 12) -> Any:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((m, 2, 2, d), dtype=np.float32) for d in (4, 4, 3)]


def test_a_prefilled_engine_waits_for_all_tokens() -> None:
    Q, K, V = triples()
    whole, parts = Masks(SHAPE, what="masks"), Masks(SHAPE, what="masks")
    assert not whole.streaming
    whole.extend(Q, K, V)
    for q, k, v in zip(Q, K, V, strict=True):
        assert not hasattr(parts, "K")
        parts.append(q, k, v)
    assert np.array_equal(whole.K, parts.K)


def test_the_bob_who_reads_sees_what_is_masked() -> None:
    Q, K, V = triples()
    asks = Masks(SHAPE, what="masks", feed="stream")
    reads = Masks(SHAPE, what="masks", bob="reads")
    assert asks.streaming
    for one in (asks, reads):
        one.extend(Q, K, V)
    q, k, v = triples(1, 5)
    for layer in range(2):
        for head in range(2):

            def at(array: Any, a: int = layer, b: int = head) -> Any:
                return np.ascontiguousarray(array[:, a, b])

            for one, kept in ((asks, 6), (reads, 12)):
                expected = next_outputs(at(q), at(k), at(v), at(K)[:kept], at(V)[:kept])
                found = one.next_outputs(q, k, v)[:, layer, head]
                assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"feed": "steam"}, "masks takes feed=prefill or stream, not steam."),
        ({"ask": "mask"}, "masks takes ask=serial, not mask."),
        ({"bob": "dreams"}, "masks takes bob=asks or reads, not dreams."),
    ],
)
def test_unknown_ways_are_told(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        Masks(SHAPE, what="masks", **options)
    assert str(caught.value) == sentence


def test_a_budget_is_refused() -> None:
    with pytest.raises(
        BadInput, match="masks takes no budget: its parameters determine its memory"
    ):
        Masks(SHAPE, 4096, what="masks")


def test_an_engine_that_is_not_installed_says_how(monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setattr(environments, "_CHECKOUT", tmp_path)
    monkeypatch.setattr(environments.importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv(environments.FOLDER_VARIABLE, raising=False)
    with pytest.raises(BadInput) as caught:
        schemes.interpreter_of("kvpress:KnormPress")
    assert str(caught.value) == (
        "kvpress is not installed here: it needs kvpress and the transformers that it is pinned "
        "to. Run 'make engines' in the checkout, or pip install 'kvbarrier[kvpress]'."
    )
    python = tmp_path / "elsewhere" / "kvpress" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setenv(environments.FOLDER_VARIABLE, str(tmp_path / "elsewhere"))
    assert schemes.interpreter_of("kvpress:KnormPress") == str(python)


def test_an_authors_own_codec_is_played_where_kvbarrier_is() -> None:
    assert schemes.interpreter_of("codec:mine.py:Codec?bits=3") is None
    assert schemes.interpreter_of("exact") is None


def test_a_scheme_that_names_nothing_is_told() -> None:
    with pytest.raises(
        BadInput, match="hf: has no name after the colon: write, for example, hf:dynamic"
    ):
        resolve("hf:")


def test_every_declared_row_is_of_its_scheme_and_has_a_package() -> None:
    for scheme in schemes.SCHEMES.values():
        table = scheme.table()
        for row in table.ROWS:
            assert schemes.scheme_of(row.target) is scheme
            assert row.distribution
            assert row.keeps is None or 0 < row.keeps < 1
        assert all(reason.strip() for reason in table.OUT_OF_REACH.values())


RAW = """
import numpy as np


class Raw:
    def __init__(self, keep=1.0):
        self.keep, self.ratio = keep, 1.0

    def encode(self, x):
        return x[: int(self.keep * len(x))].astype(np.float16)

    def decode(self, data):
        rows = np.zeros((int(len(data) / self.keep), data.shape[1]), np.float32)
        rows[: len(data)] = data
        return rows
"""


def test_an_attack_on_an_engine_tells_its_memories(monkeypatch: Any, tmp_path: Any) -> None:
    (tmp_path / "raw.py").write_text(RAW)
    monkeypatch.chdir(tmp_path)
    instance = Index(n=32, d=16, keys="hypercube")
    report = attack("codec:raw.py:Raw", instance=instance, isolation="process", messages=2,
                    sweep={"keep": [1.0, 0.5]})  # fmt: skip
    whole, half = report.points
    # 16 bits for every number of K and V; half of the rows lost is a coin toss each.
    assert whole["bits_per_secret_bit"] == pytest.approx(32, rel=0.02)
    assert whole["wrong_bits"] == 0
    assert half["bits_per_secret_bit"] == pytest.approx(16, rel=0.04)
    assert 0.2 < half["bit_error"]["estimate"] < 0.3
    said = report.as_dict()["engine"]
    assert [one["params"] for one in said] == [{"keep": 1.0}, {"keep": 0.5}]
    assert [one["memories"]["logical"] for one in said] == [2 * 32 * 16 * 2, 32 * 16 * 2]
    # Its own word leaves out what it drops.
    assert said[1]["memories"]["claimed"] == 2 * 32 * 16 * 2


def test_a_budget_is_no_engines(monkeypatch: Any, tmp_path: Any) -> None:
    (tmp_path / "raw.py").write_text(RAW)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="takes no budget"):
        attack("codec:raw.py:Raw", instance=Index(n=32, d=16), budgets=[Fraction(1, 2)],
               isolation="process", messages=1)  # fmt: skip


def test_an_authors_file_is_found_from_another_folder(monkeypatch: Any, tmp_path: Any) -> None:
    (tmp_path / "raw.py").write_text(RAW)
    monkeypatch.chdir(tmp_path)
    target = resolve("codec:raw.py:Raw")
    assert target.name == "codec:raw.py:Raw"
    assert target.folder == tmp_path
    monkeypatch.chdir("/")
    codec = target.factory(Shape(tokens=4, d_k=8, d_v=8), None, 0, {})
    K, V = np.eye(4, 8, dtype=np.float32), np.full((4, 8), 0.5, dtype=np.float32)
    codec.extend(K, K, V)
    assert np.allclose(codec.next_outputs(K, 0 * K, V), 0.5, atol=1e-3)


def test_a_parameter_that_there_is_not_is_named() -> None:
    with pytest.raises(BadInput, match=r"masks has no parameter 'fed'\. Did you mean 'feed'"):
        Masks(SHAPE, what="masks", fed="stream")


def test_a_shorter_prompt_is_a_prompt_and_its_message_fits_no_other_cache() -> None:
    Q, K, V = triples()
    one, other = Masks(SHAPE, what="masks"), Masks(SHAPE, what="masks")
    one.extend(Q[:5], K[:5], V[:5])
    assert not hasattr(one, "K")
    assert len(one.save()) == 5 * 2 * 2 * (4 + 3) * 4
    with pytest.raises(PluginFailure) as caught:
        other.restore(one.save())
    assert str(caught.value) == (
        "A message of 560 bytes does not fit masks: build Alice and Bob from the same public "
        "parameters and package versions."
    )


def test_many_questions_are_asked_in_blocks() -> None:
    blocks = []

    class Whole(Masks):
        asks = ("mask",)

        def _ask_masked(self, Q: Any, K: Any, V: Any) -> Any:
            blocks.append(len(Q))
            return attention_over(*self._rows(), Q, K, V)

    one = Whole(SHAPE, what="whole")
    one.extend(*triples())
    asked = triples(2, 1030)
    found = one.next_outputs(*asked)
    assert blocks == [512, 512, 6]
    assert np.array_equal(found, attention_over(*one._rows(), *asked))


PINS = sorted(Path(engines.__file__).parent.glob("*/pins.txt"))
PLAYS = {"click", "filelock", "ml-dtypes", "mpmath", "msgpack", "numba", "numpy", "scipy",
         "threadpoolctl"}  # fmt: skip


@pytest.mark.parametrize("pins", PINS, ids=lambda pins: pins.parent.name)
def test_an_environment_has_what_kvbarrier_itself_plays_with(pins: Path) -> None:
    """It is installed without its dependencies there; llama.cpp's once lacked threadpoolctl."""
    lines = pins.read_text().lower().replace("_", "-").splitlines()
    assert {line.partition("==")[0] for line in lines} >= PLAYS
