"""`attack --alphabet B`: b = log2 B bits a number, from the terminal to the ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kvbarrier.errors import BadInput
from kvbarrier.protocols.game.instances import Alphabet, Index, instance_of
from kvbarrier.reductions.bounds import error_floor
from kvbarrier.reductions.rate_bounds import requantised

CACHE = Path(__file__).resolve().parents[2] / "examples" / "ten_line_cache.py"
SMALL = ("--n", "64", "--d", "16", "--keys", "kerdock")
GRID = ("--alphabet", "16", "--gamma", "0.01")
GEOMETRIC = ("--alphabet", "16", "--eta", "0.1")


def points(said) -> list[dict]:
    assert said.code == 0, said.err
    return json.loads(said.out)["points"]


@pytest.mark.parametrize(
    ("alphabet", "b"),
    [
        (GRID, 4),
        (GEOMETRIC, 4),
        (("--alphabet", "4"), 2),
        (("--alphabet", "256", "--gamma", "0.001"), 8),
        (("--alphabet", "256", "--eta", "0.03"), 8),
    ],
)
def test_the_secret_is_b_bits_a_number(kvbarrier, alphabet: tuple[str, ...], b: int) -> None:
    """Lossless is charged exactly them and loses none; exact attention reads every level."""
    [point] = points(
        kvbarrier("attack", "lossless", *SMALL, *alphabet, "--budget", "1", "--messages", "2",
                  "--json")
    )  # fmt: skip
    N = 2 * 64 * 16 * b
    assert (point["secret_bits"], point["asked_bits"], point["charged_bits"]) == (N, N, N)
    assert (point["wrong_bits"], point["failed"]) == (0, 0)
    assert point["compression_ratio"] == pytest.approx(32 / b)
    [point] = points(
        kvbarrier("attack", "exact", *SMALL, *alphabet, "--budget", "2", "--messages", "1",
                  "--json")
    )  # fmt: skip
    assert (point["wrong_bits"], point["secret_bits"]) == (0, N // 2)


@pytest.mark.parametrize("alphabet", [GRID, GEOMETRIC])
@pytest.mark.parametrize(
    ("control", "budget", "rate", "error"),
    [
        ("time-sharing", "1/16", 0.5, 0.25),  # half of 4 bits of 16 for two numbers
        ("covering-code", "1", 12 / 23, 0.12402),
        ("trellis-code", "1", 0.5, 0.1203),
        ("zero", "1", 0.0, 0.5),
    ],
)
def test_controls_know_the_alphabet(kvbarrier, alphabet, control, budget, rate, error) -> None:
    """Their bit errors are those of their codes, whatever numbers the bits are sent as."""
    [point] = points(
        kvbarrier("attack", control, *SMALL, *alphabet, "--budget", budget, "--messages", "4",
                  "--json")
    )  # fmt: skip
    assert point["bits_per_secret_bit"] == pytest.approx(rate, abs=2e-3)
    # 4 messages of 4096 bits: three standard deviations of as many coins are .0117
    assert point["wrong_bits"] / point["asked_bits"] == pytest.approx(error, abs=0.012)
    assert point["ledger"]["verdict"] == "not-excluded"


def test_caches_of_few_bits_meet_a_curve(kvbarrier) -> None:
    """16 even levels: 8 and 4 bits a number lose nothing (4 bits: its own levels), 2 and 1 bits
    about what requantising alone loses, .25 and .375; with two levels even 2 bits lose nothing."""
    play = ("attack", "quantized", "--n", "256", "--keys", "hypercube", "--sweep", "bits=8,4,2,1",
            "--budget", "0.54", "--messages", "2", "--json")  # fmt: skip
    found = {point["params"]["bits"]: point for point in points(kvbarrier(*play, *GRID))}
    errors = {bits: point["wrong_bits"] / point["asked_bits"] for bits, point in found.items()}
    assert errors[8] == 0
    assert errors[4] < 0.02
    for bits in (2, 1):
        # min-max scales: half a level off at the ends, so a little more than whole cells lose
        assert requantised(16, bits)[2] - 0.01 < errors[bits] < requantised(16, bits)[2] + 0.06
    for bits, point in found.items():
        rate = point["charged_bits"] / point["secret_bits"]
        # K and V, b of 4 bits each, and four fp16 numbers a token beside 64 numbers of 4 bits
        assert rate == pytest.approx(2 * bits / 4 + 64 / 256, abs=1e-3)
        assert point["error_floor"] == pytest.approx(error_floor(rate), abs=1e-9)
        assert errors[bits] >= point["error_floor"]
    assert found[1]["error_floor"] > 0.04
    two = [p["wrong_bits"] for p in points(kvbarrier(*play, "--gamma", "0.01"))]
    assert two[:3] == [0, 0, 0]


def test_a_relative_guarantee_asks_more_of_low_levels(kvbarrier) -> None:
    """Levels in geometric steps: a quantiser with even steps loses the low ones first."""
    play = ("attack", "quantized?bits=4", *SMALL, "--budget", "1", "--messages", "2", "--json")
    [even] = points(kvbarrier(*play, *GRID))
    [steps] = points(kvbarrier(*play, *GEOMETRIC))
    assert even["bit_error"]["estimate"] < 0.03 < 0.08 < steps["bit_error"]["estimate"]


def test_a_foreign_cache_plays_and_results_come_back(kvbarrier, tmp_path) -> None:
    play = ("attack", CACHE, *SMALL, *GRID, "--rows", "16", "--budget", "1", "--messages", "4",
            "--resume", "r.csv", "--json")  # fmt: skip
    [point] = points(kvbarrier(*play))
    assert (point["asked_bits"], point["secret_bits"]) == (4 * 16 * 16 * 4, 4 * 64 * 16 * 4)
    before = (tmp_path / "r.csv").read_bytes()
    [again] = points(kvbarrier(*play))
    # What was read of a message is in no file, so no map is drawn of results that were read.
    assert again | {"map": None} == point | {"map": None}
    assert (tmp_path / "r.csv").read_bytes() == before
    assert b'levels""":16' in before.replace(b" ", b"") or b"levels" in before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--alphabet", "3"), "B = 2^b levels"),
        (("--alphabet", "0"), "not 0"),
        (("--alphabet", "16", "--gamma", "0.05"), "more than 2 gamma = 0.1"),
        (("--alphabet", "256"), "use fewer levels, a smaller eta, or an additive error gamma"),
        (("--alphabet", "16", "--values", "pm1"), "leave --values"),
        (("--alphabet", "16", "--layers", "2"), "--layers"),
        (("--alphabet", "16", "--queries", "decoy"), "--queries"),
        (("--alphabet", "16", "--basis", "all"), "--basis"),
        (("--alphabet", "16", "--reduction", "visual"), "--reduction index"),
        (("--alphabet", "16", "--scale", "paper"), "values 01"),
        (("--alphabet", "16", "--scale", "2"), "not separated"),
    ],
)
def test_what_cannot_be_played_is_said(kvbarrier, options: tuple[str, ...], words: str) -> None:
    said = kvbarrier("attack", "exact", "--budget", "1", "--messages", "1", *options)
    assert said.code == 2
    assert words in " ".join(said.err.split())
    assert "Traceback" not in said.err


def test_a_game_that_counts_reads_has_no_alphabet(kvbarrier) -> None:
    said = kvbarrier("attack", "fixed-reads", "--reduction", "indistinguishability",
                     "--alphabet", "16")  # fmt: skip
    assert said.code == 2
    assert "--alphabet has no meaning with --reduction indistinguishability" in said.err


def test_ids_without_an_alphabet_are_what_they_were() -> None:
    """The id is of the fields that there were (by hand: tests/protocols/test_instance.py)."""
    plain = Index(n=32, d=16)
    assert "levels" not in plain.spec()
    assert instance_of({"n": 32, "d": 16, "levels": None}) == plain
    many = Alphabet(n=32, d=16, levels=16)
    assert many.spec() == plain.spec() | {"levels": 16}
    assert many.id != plain.id != Alphabet(n=32, d=16, levels=4).id
    assert (many.row_bits, plain.row_bits, many.secret_rows) == (64, 16, 32)
    assert many.shape == plain.shape
    assert (many.coordinates, plain.coordinates) == (False, True)
    assert many.build().width == many.row_bits
    with pytest.raises(BadInput, match="An alphabet of several levels has no --heads 2"):
        instance_of({"n": 32, "d": 16, "levels": 16, "heads": 2})


def test_the_list_names_the_option(kvbarrier) -> None:
    said = json.loads(kvbarrier("list", "reductions", "--json").out)
    [index] = [row for row in said["reductions"] if row["name"] == "index"]
    assert "--alphabet" in index["options"]
