"""A slip on the command line is one sentence of ours, not a parser's."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("attack", "zero", "-m", "0"),
         "--messages must be a whole number from 1 to 1048576, not '0'."),
        (("attack", "zero", "--workers", "x"),
         "--workers must be a whole number of at least 1, not 'x'."),
        (("attack", "zero", "--n", "1.5"),
         "--n must be a whole number of at most 1099511627776, not '1.5'."),
        (("attack", "zero", "--seed", "x"), "--seed must be a whole number, not 'x'."),
        (("attack", "zero", "--eta", "x"), "--eta must be a number, not 'x'."),
        (("attack", "zero", "--values", "pm"),
         "--values must be 01 or pm1, not 'pm'. Did you mean 'pm1'?"),
        (("attack", "zero", "--isolation", "none"),
         "--isolation must be auto, inline, process or namespaces, not 'none'."),
        (("list", "compressor"),
         "KIND must be compressors, readers, engines, reductions, keys or experiments, "
         "not 'compressor'. Did you mean 'compressors'?"),
        (("list",),
         "KIND is missing, one of compressors, readers, engines, reductions, keys or "
         "experiments: write kvbarrier list KIND."),
        (("list", "keys", "more"), "more is one argument too many: write kvbarrier list KIND."),
        (("attack",), "TARGET is missing: write kvbarrier attack TARGET..."),
        (("attack", "zero", "--verbos"),
         "attack has no option --verbos. Did you mean '--verbose'?"),
        (("attack", "zero", "--qqqqqq"),
         "attack has no option --qqqqqq. kvbarrier attack --help shows all."),
        (("attack", "zero", "--budget"), "--budget needs a value: give one after it."),
        (("report", "a.csv"), "'a.csv' does not exist: give another path as FILES."),
        (("attack", "zero", "--out", "here.txt"),
         "'here.txt' is a file: give another path as --out."),
        (("frob",), "there is no verb 'frob'. Known: "),
    ],
)  # fmt: skip
def test_a_slip_is_one_sentence(kvbarrier, tmp_path, words, says) -> None:
    (tmp_path / "here.txt").touch()
    said = kvbarrier(*words)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"kvbarrier: {says}")
    assert said.err.count("\n") == 1
    told = json.loads(kvbarrier(*words, "--json").out)
    assert told["exit_code"] == 2
    assert "Usage" not in told["error"]


def test_no_verb_at_all_shows_the_verbs(kvbarrier) -> None:
    said = kvbarrier()
    assert said.code == 2
    assert said.err.startswith("Usage: kvbarrier ")
    assert "attack" in said.err


def test_a_share_has_three_digits(kvbarrier) -> None:
    play = ("-n", "64", "-d", "16", "--keys", "hypercube", "-m", "4", "-b", "1/2")
    said = kvbarrier("attack", "reservoir", *play)
    (line,) = [line for line in said.out.splitlines() if "keeps=share:" in line]
    share = line.partition("keeps=share:")[2].split()[0].rstrip(";")
    assert len(share) <= len("0.497")
