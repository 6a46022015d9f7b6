"""Targets side by side: the same secrets, the Pareto set, what is left out."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from kvbarrier.runs import compared
from kvbarrier.runs.compared import Row, pareto

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ten_line_cache.py"
SMALL = ("-n", "32", "-d", "16", "--keys", "hypercube", "-m", "4")


def rows(said) -> list[dict]:
    assert said.code == 0, said.err
    return json.loads(said.out)["rows"]


def test_two_files_of_one_code_meet_the_same_secrets(kvbarrier, tmp_path) -> None:
    for name in ("one.py", "two.py"):
        shutil.copy(EXAMPLE, tmp_path / name)
    found = rows(kvbarrier("compare", "one.py", "two.py", *SMALL, "-b", "1", "--json"))
    assert [row["target"] for row in found] == ["one.py", "two.py"]
    # About 512 of the 1,024 bits asked in each basis are guessed: by luck they are not alike twice.
    one, two = ([p["wrong_bits"] for p in row["points"]] for row in found)
    assert one == two


def test_the_marked_rows_are_those_that_nobody_beats(kvbarrier) -> None:
    play = ("compare", "sliding-window", "quantized?bits=4", "zero", *SMALL, "-b", "1/2,1")
    found = rows(kvbarrier(*play, "--json"))
    marks = {(row["target"], row["budget"]): row["pareto"] for row in found}
    # Nothing is smaller than nothing; 4 bits lose less than half of the tokens and cost less.
    assert marks["zero", 0.5]
    assert marks["quantized?bits=4", 0.5]
    assert not marks["sliding-window", 1.0]
    # zero has one size, so its second budget is no other setting.
    assert ("zero", 1.0) not in marks
    memory = [row["bits_per_number"] for row in found]
    assert memory == sorted(memory)
    assert "* quantized?bits=4 " in kvbarrier(*play).out


def test_the_most_memory_is_held_to(kvbarrier) -> None:
    most = ("--max-bits-per-number", "5")
    found = rows(kvbarrier("compare", "sliding-window", *SMALL, *most, "--json"))
    assert found
    assert all(row["bits_per_number"] <= 5 for row in found)
    said = kvbarrier("compare", "exact", *SMALL, "-b", "free", *most)
    assert (said.code, "the smallest takes" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("zero", "zero"), "named twice"),
        (("zero", "--out", "a.txt"), "ends in .png, .svg or .pdf"),
        (("zeroo",), "Did you mean 'zero'?"),
        ((), "TARGETS"),
        (("zero", "--k", "8,x"), "must be numbers between commas"),
        (("zero", "--norm", "p50"), "only with --keys FILE"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(kvbarrier, words, says) -> None:
    said = kvbarrier("compare", *words)
    assert said.code == 2
    assert says in said.err


def test_keys_and_values_have_bits_of_their_own(kvbarrier) -> None:
    play = ("compare", "skvq", "zero", "-n", "128", "-d", "16", "-m", "4")
    said = kvbarrier(*play, "--k", "8,1.5", "--v", "8,2", "--json")
    found = {row["target"]: row for row in rows(said)}
    pairs = [(k, v) for k in (8, 1.5) for v in (8, 2)]
    assert set(found) == {"zero"} | {f"skvq k_bits={k} v_bits={v}" for k, v in pairs}
    assert "zero is played as it is, without --k and --v: zero has no parameter" in said.err
    # zero keeps nothing: half of what was hidden in keys is guessed wrong as well.
    assert found["zero"]["keys"] == pytest.approx(0.5, abs=0.05)
    assert all(row["keys"] is not None for row in found.values())


def test_short_keys_lose_what_is_hidden_in_keys_and_long_ones_do_not(kvbarrier) -> None:
    """At 2 bits a grid is too wide for a cut between levels; the values beside are as they were."""
    play = ("compare", "quantized", "-n", "64", "-d", "64", "-m", "4", "-b", "free")
    found = rows(kvbarrier(*play, "--sweep", "bits=2,8", "--json"))
    keys = {row["target"]: row["keys"] for row in found}
    assert keys["quantized bits=8"] == 0
    assert keys["quantized bits=2"] > 0.4
    assert {row["literal"] for row in found} == {0}


def test_an_uneven_split_tells_which_half_was_too_short(kvbarrier) -> None:
    """A turned value needs more than 2 bits; a payload in a key more than 2, and 3 suffice."""
    play = ("compare", "quantized", "-n", "64", "-d", "64", "-m", "4")
    said = kvbarrier(*play, "--k", "3", "--v", "2,4", "--json")
    two, four = rows(said)
    assert (two["target"], four["target"]) == (
        "quantized k_bits=3 v_bits=2", "quantized k_bits=3 v_bits=4",
    )  # fmt: skip
    # 64 numbers of a token share a scale and a zero of 16 bits each: half a bit a number.
    assert (two["bits_per_number"], four["bits_per_number"]) == (3.0, 4.0)
    assert two["rotated"] > 0.05
    assert four["rotated"] == four["literal"] == four["keys"] == two["keys"] == 0


def test_who_has_no_setting_that_is_small_enough_is_named(kvbarrier) -> None:
    said = kvbarrier("compare", "exact", "zero", *SMALL, "-b", "1", "--max-bits-per-number", "3")
    assert "exact takes more than 3 bits a number in every setting." in said.out


def test_own_keys_are_played_as_they_are(kvbarrier, tmp_path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "keys.npy", rng.standard_normal((24, 16)).astype(np.float32))
    words = ("--keys", "keys.npy", "--norm", "40", "-m", "2", "-b", "free")
    said = kvbarrier("compare", "exact", "zero", *words, "--json")
    found = {row["target"]: row for row in rows(said)}
    assert (found["exact"]["literal"], found["exact"]["rotated"]) == (0, None)
    assert found["zero"]["literal"] == pytest.approx(0.5, abs=0.15)
    assert {point["reduction"] for point in found["zero"]["points"]} == {"own-keys", "key-payload"}


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_picture_is_drawn(kvbarrier, tmp_path, kind) -> None:
    said = kvbarrier("compare", "sliding-window", *SMALL, "-b", "1/2,1", "--out", f"a.{kind}")
    assert said.code == 0
    assert f"wrote a.{kind}: 2 settings" in said.err
    assert (tmp_path / f"a.{kind}").stat().st_size > 4000


def row(bits: float, literal: float, rotated: float, keys: float | None) -> Row:
    return Row("x", None, bits, literal, rotated, keys, 0.6, 8, ())


def test_what_is_not_known_beats_nobody() -> None:
    found = pareto([row(2, 0.1, 0.1, None), row(2, 0.1, 0.1, 0.3), row(2, 0.1, 0.1, 0.2)])
    assert [one.pareto for one in found] == [True, False, True]
    assert [one.pareto for one in pareto([row(2, 0.1, 0.1, 0.5), row(3, 0.1, 0.2, None)])] == [
        True, False,
    ]  # fmt: skip


def test_natural_text_needs_the_engine_and_says_how_to_get_it(kvbarrier, monkeypatch) -> None:
    from kvbarrier.compressors.engines import environments

    monkeypatch.setattr(environments, "_folders", list)
    monkeypatch.setattr(environments.importlib.util, "find_spec", lambda name: None)
    said = kvbarrier("compare", "zero", *SMALL, "--natural")
    assert said.code == 2
    assert "make engines" in said.err


def test_what_a_setting_costs_a_model_is_the_mean_over_a_text_of_each_kind(
    kvbarrier, monkeypatch
) -> None:
    from kvbarrier.compressors.engines import environments
    from kvbarrier.experiments.natural import measure

    heard = []

    def asked(module: str, request: dict) -> dict:
        heard.append(request)
        of = {"zero": 2.0, "sliding-window": 0.5}
        losses = [{"loss": 3.0 + of[one["target"]]} for one in request["settings"]]
        more = [{"loss": one["loss"] + 1.0} for one in losses]
        return {"texts": [{"loss": 3.0, "settings": losses}, {"loss": 3.0, "settings": more}]}

    monkeypatch.setattr(measure, "asked", asked)
    monkeypatch.setattr(environments, "interpreter", lambda scheme: "python")
    play = ("compare", "zero", "sliding-window", *SMALL, "-b", "1/2", "--natural")
    found = {row["target"]: row["natural"] for row in rows(kvbarrier(*play, "--json"))}
    assert found == {"zero": 2.5, "sliding-window": 1.0}
    (request,) = heard
    assert [kind for kind, _ in request["texts"]] == list(measure.KINDS)
    # Half of 16 bits for each of 512 tokens' 2 times 64 numbers.
    assert {one["budget_bits"] for one in request["settings"]} == {8 * 512 * 128}
    assert "+2.500" in kvbarrier(*play).out


def test_a_cheat_wins_no_comparison(kvbarrier, tmp_path, monkeypatch) -> None:
    # It had a star, and the exit code was 0. Inline, where a module's global is the channel.
    (tmp_path / "cheat.py").write_text(
        EXAMPLE.read_text() + "    kept = {}\n\n"
        "    def save(self):\n"
        "        self.kept.clear()\n"
        "        self.kept.update(enumerate(self.tokens))\n"
        "        return b''\n\n"
        "    def restore(self, message):\n"
        "        self.tokens.extend(self.kept.values())\n"
    )
    inline = partial(compared.compare, isolation="inline")
    monkeypatch.setattr(compared, "compare", inline)
    said = kvbarrier("compare", "cheat.py", "zero", *SMALL[:-2], "-m", "1", "-b", "2")
    assert said.code == 4
    assert "as well as those of cheat.py" in said.err
