"""`attack`: its JSON, its exit codes, its sentences."""

from __future__ import annotations

import csv
import json
import math
import re
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from kvbarrier.cli.attack_tables import print_report
from kvbarrier.protocols.game.instances import Index
from kvbarrier.runs import attack as attack_module
from kvbarrier.runs.attack import attack
from kvbarrier.runs.results import ResultsWarning

SMALL = ("--n", "32", "--d", "16", "--keys", "hypercube")
FIELDS = [
    "compressor", "params", "source", "reduction", "keys", "n", "d", "scale", "seed", "isolation",
    "streaming", "messages", "failed", "asked_bits", "secret_bits", "charged_bits",
    "bits_per_secret_bit", "compression_ratio", "wrong_bits", "bit_error", "error_floor", "ledger",
    "guarantee",
]  # fmt: skip


def entropy(p: float) -> float:
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p) if 0 < p < 1 else 0.0


def test_json_is_the_documented_document_and_nothing_else(kvbarrier) -> None:
    said = kvbarrier(
        "attack", "sliding-window", *SMALL, "--budget", "1/2,1", "--messages", "8", "--json"
    )
    document = json.loads(said.out)
    assert said.code == 0
    assert document["schema"] == 1
    assert document["target"] == "sliding-window"
    assert len(document["points"]) == 2
    for point in document["points"]:
        assert set(FIELDS) <= set(point)
        assert set(point["bit_error"]) == {"estimate", "low", "high", "level"}
        assert point["messages"] == 8
        assert point["secret_bits"] == 8 * 32 * 16 == point["asked_bits"]
        assert point["bits_per_secret_bit"] == point["charged_bits"] / point["secret_bits"]
        assert point["bit_error"]["estimate"] == point["wrong_bits"] / point["asked_bits"]


def test_the_ledger_can_be_recomputed_from_the_printed_sums(kvbarrier) -> None:
    said = kvbarrier(
        "attack", "covering-code", *SMALL, "--budget", "1", "--messages", "16", "--json"
    )
    [point] = json.loads(said.out)["points"]
    N, m, k = point["asked_bits"], point["charged_bits"], point["wrong_bits"]
    log2_choose = (math.lgamma(N + 1) - math.lgamma(k + 1) - math.lgamma(N - k + 1)) / math.log(2)
    surprise = N - m - math.log2(N + 1) - log2_choose
    assert point["ledger"]["surprise_bits"] == pytest.approx(surprise, abs=1e-4)
    # The floor is the inverse of Fano's curve: 1 - h(floor) is the rate.
    assert 1 - entropy(point["error_floor"]) == pytest.approx(
        point["bits_per_secret_bit"], abs=1e-9
    )


def test_not_excluded_says_what_could_have_been(kvbarrier) -> None:
    # 512 secret bits a message, 4 messages: at 1/32 of the cache as many are charged, at 1/64 half.
    play = ("attack", "time-sharing", *SMALL, "--budget", "1/64,1/32", "--messages", "4")
    said = kvbarrier(*play, "-v")
    assert "at 1 of 2 points no cheat could be caught, not even one without errors" in said.out
    # 1 - (log2(2049) + 40)/2048 = .9750995
    assert "to catch one takes a message of at most 0.975 bits per secret bit" in said.out
    half, whole = json.loads(kvbarrier(*play, "--json").out)["points"]
    assert whole["ledger"]["could_catch"]["error"] is None
    error = half["ledger"]["could_catch"]["error"]
    N, k = 2048, 0
    while 2**40 * (N + 1) * math.comb(N, k + 1) <= 2 ** (N // 2):
        k += 1
    assert k <= error * N + 0.01 < k + 1
    down = math.floor(1000 * error) / 10
    assert f"at 1 of 2 points a cheat is caught if its error is at most {down:g} %" in said.out


def test_lossless_is_charged_one_bit_a_secret_bit(kvbarrier) -> None:
    said = kvbarrier("attack", "lossless", *SMALL, "--budget", "1", "--messages", "4", "--json")
    [point] = json.loads(said.out)["points"]
    assert (point["charged_bits"], point["wrong_bits"]) == (point["secret_bits"], 0)


def test_eviction_errs_half_of_what_it_drops(kvbarrier) -> None:
    said = kvbarrier(
        "attack", "sliding-window", *SMALL, "--budget", "1/4", "--messages", "32", "--json"
    )
    [point] = json.loads(said.out)["points"]
    assert point["bit_error"]["low"] <= 0.375 <= point["bit_error"]["high"]
    assert point["guarantee"]["verdict"] == "broken"
    assert point["guarantee"]["worst_bucket"] < 12


def test_a_budget_too_small_is_a_gap_with_the_smallest_that_works(kvbarrier) -> None:
    said = kvbarrier("attack", "exact", *SMALL, "--budget", "1/4,1", "--messages", "4", "--json")
    document = json.loads(said.out)
    assert [p["budget"] for p in document["points"]] == [1.0]
    [gap] = document["gaps"]
    # fp8 rows of a key and a value: 8 * 32 * (16 + 16) bits.
    assert (gap["budget"], gap["minimum_bits"]) == (0.25, 8192)
    alone = kvbarrier("attack", "exact", *SMALL, "--budget", "1/4")
    assert alone.code == 2
    assert "at least 8192 bits" in alone.err


def test_gates_decide_the_exit_code(kvbarrier) -> None:
    play = ("attack", "sliding-window", *SMALL, "--budget", "1/2", "--messages", "8", "--json")
    assert kvbarrier(*play, "--gate", "bit_error.estimate>=0.2 @ budget=0.5").code == 0
    # Half of the tokens are kept, a quarter of the bits is wrong; 8 messages cannot tell .2 yet.
    undecided = kvbarrier(*play[:-1], "--gate", "bit_error>=0.2 @ budget=0.5")
    assert undecided.code == 1
    assert "gate failed: bit_error>=0.2 @ budget=0.5: undecided: measured 0.2" in undecided.err
    failed = kvbarrier(*play, "--gate", "bit_error.estimate<=0.1 @ budget=0.5")
    assert failed.code == 1
    assert "gate failed: bit_error.estimate<=0.1" in failed.err
    json.loads(failed.out)


def test_resume_adds_nothing_to_a_finished_file(kvbarrier, tmp_path) -> None:
    play = ("attack", "zero", *SMALL, "--budget", "1", "--messages", "8", "--resume", "r.csv")
    assert kvbarrier(*play).code == 0
    before = (tmp_path / "r.csv").read_bytes()
    assert kvbarrier(*play).code == 0
    assert (tmp_path / "r.csv").read_bytes() == before


def test_out_keeps_results_verdict_and_a_picture(kvbarrier, tmp_path) -> None:
    assert (
        kvbarrier("attack", "zero", *SMALL, "--budget", "1", "--messages", "4", "--out", "o").code
        == 0
    )
    assert {p.name for p in (tmp_path / "o").iterdir()} >= {
        "results.csv",
        "verdict.json",
        "plot.png",
    }
    assert (tmp_path / "o" / "plot.png").read_bytes().startswith(b"\x89PNG")


PLUG_IN = """
    import numpy as np

    class Mine:
        def __init__(self, shape):
            self.kept = []

        def append(self, q, k, v):
            self.kept.append(np.concatenate([k, v]))

        def attend(self, q):
            kv = np.stack(self.kept)
            s = kv[:, : len(q)] @ q
            w = np.exp(s - s.max())
            return (w @ kv[:, len(q) :] / w.sum()).astype(np.float32)
"""


def test_what_other_code_played_is_told_apart_in_one_sentence(kvbarrier, tmp_path) -> None:
    play = ("attack", "mine.py:Mine", *SMALL, "--isolation", "inline", "--budget", "1,2",
            "--messages", "8", "--resume", "r.csv")  # fmt: skip
    (tmp_path / "mine.py").write_text(textwrap.dedent(PLUG_IN))
    assert kvbarrier(*play).code == 0
    (tmp_path / "mine.py").write_text(textwrap.dedent(PLUG_IN) + "# edited\n")
    with pytest.warns(ResultsWarning, match="from other code .source ") as said:
        assert kvbarrier(*play).code == 0
    assert len(said) == 1
    assert "r.csv holds 2 batches of 'mine.py:Mine'" in str(said[0].message)
    assert "they stay in the file and are not counted" in str(said[0].message)


def test_a_baseline_notices_a_plug_in_that_got_worse(kvbarrier, tmp_path) -> None:
    source = """
        import numpy as np
        KEEP = {keep}

        class Mine:
            def __init__(self, shape):
                self.kept = []

            def append(self, q, k, v):
                if len(self.kept) < KEEP:
                    self.kept.append(np.concatenate([k, v]))

            def attend(self, q):
                kv = np.stack(self.kept)
                s = kv[:, : len(q)] @ q
                w = np.exp(s - s.max())
                return (w @ kv[:, len(q) :] / w.sum()).astype(np.float32)
    """
    play = (
        "attack",
        "mine.py:Mine",
        *SMALL,
        "--isolation",
        "inline",
        "--budget",
        "1",
        "--messages",
        "32",
    )
    (tmp_path / "mine.py").write_text(textwrap.dedent(source.format(keep=32)))
    assert kvbarrier(*play, "--resume", "base.csv").code == 0
    assert kvbarrier(*play, "--baseline", "base.csv").code == 0
    (tmp_path / "mine.py").write_text(textwrap.dedent(source.format(keep=16)))
    worse = kvbarrier(*play, "--baseline", "base.csv")
    assert worse.code == 1
    assert kvbarrier(*play, "--resume", "worse.csv").code == 0
    (tmp_path / "mine.py").write_text(textwrap.dedent(source.format(keep=32)))
    # Back again the errors fall, which is no failure; the message grows, which is one.
    back = kvbarrier(*play, "--baseline", "worse.csv")
    assert back.code == 1
    assert "the charged bits rose in 32 of 32 messages and fell in none" in back.err
    assert "wrong bits" not in back.err.split("gate failed")[1]
    assert "gate failed: baseline base.csv: mine.py:Mine" in worse.err


BASELINE = ("attack", "mine.py:Mine", *SMALL, "--isolation", "inline", "--budget", "2",
            "--messages", "8")  # fmt: skip


def test_eight_messages_catch_a_lost_token_and_name_every_message(kvbarrier, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(textwrap.dedent(PLUG_IN))
    assert kvbarrier(*BASELINE, "--resume", "base.csv").code == 0
    same = kvbarrier(*BASELINE, "--baseline", "base.csv", "--json")
    assert same.code == 0
    said = json.loads(same.out)["baseline"]
    assert (said["messages"], said["smallest_shift_caught"], said["different"]) == (8, 0.0, [])
    assert "8 messages replayed, none with a different result; one bit in one message" in same.err
    # The same bytes, one token of them overwritten: the memory is as before, its bits are lost.
    lost = PLUG_IN.replace("kv = np.stack(self.kept)", "kv = np.stack(self.kept); kv[3] = kv[4]")
    (tmp_path / "mine.py").write_text(textwrap.dedent(lost))
    moved = kvbarrier(*BASELINE, "--baseline", "base.csv", "--json")
    assert moved.code == 1
    (cell,) = json.loads(moved.out)["baseline"]["different"]
    assert [one["message"] for one in cell["messages"]] == list(range(8))
    # Of 16 bits of the token a guess has about half wrong, and each message says how many.
    assert all(one["wrong_bits"][0] == 0 < one["wrong_bits"][1] <= 16 for one in cell["messages"])
    assert "the wrong bits rose in 8 of 8 messages and fell in none: message 0 from 0" in moved.err


def test_code_that_differs_from_itself_needs_more_messages(kvbarrier, tmp_path) -> None:
    noisy = PLUG_IN.replace("kv = np.stack(self.kept)",
        "kv = np.stack(self.kept); kv[np.random.default_rng().integers(len(kv))] = 0")  # fmt: skip
    (tmp_path / "mine.py").write_text(textwrap.dedent(noisy))
    assert kvbarrier(*BASELINE, "--resume", "base.csv").code == 0
    said = kvbarrier(*BASELINE, "--baseline", "base.csv")
    assert said.code == 2
    assert "code that is not deterministic" in said.err
    assert "at least 12 messages per cell" in said.err


@pytest.mark.parametrize(
    ("change", "sentence"),
    [(lambda text: "", "base.csv is empty"),
     (lambda text: text.splitlines(keepends=True)[0], "base.csv is empty"),
     (lambda text: text.replace("mine.py:Mine", "mine.py:Other"), "is not a results row"),
     (lambda text: re.sub(r'""cpu"":""[^"]*""', '""cpu"":""another""', text),
      "at least 12 messages per cell")],
)  # fmt: skip
def test_a_baseline_that_cannot_fail_is_told_before_the_attack(
    kvbarrier, tmp_path, monkeypatch: pytest.MonkeyPatch, change, sentence: str
) -> None:
    (tmp_path / "mine.py").write_text(textwrap.dedent(PLUG_IN))
    assert kvbarrier(*BASELINE, "--resume", "base.csv").code == 0
    (tmp_path / "base.csv").write_text(change((tmp_path / "base.csv").read_text()))

    def play(*_: object, **__: object) -> None:
        raise AssertionError("the attack was played")

    monkeypatch.setattr(attack_module, "play", play)
    said = kvbarrier(*BASELINE, "--baseline", "base.csv")
    assert said.code == 2
    assert sentence in said.err


@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_a_batch_algorithm_may_refuse_its_budget_when_it_compresses(
    kvbarrier, tmp_path, isolation: str
) -> None:
    (tmp_path / "batch.py").write_text(
        textwrap.dedent("""
            from kvbarrier import BudgetTooSmall

            def compress(Q, K, V, budget_bits, seed):
                need = 16 * (K.size + V.size)
                if need > budget_bits:
                    raise BudgetTooSmall("batch", budget_bits, need)
                return K.astype("float16"), V.astype("float16")
        """)
    )
    game = ("--n", "128", "--d", "16", "--keys", "hypercube", "--messages", "4")
    said = kvbarrier(
        "attack", "batch.py", *game, "--budget", "1/2,1", "--isolation", isolation, "--json"
    )
    document = json.loads(said.out)
    assert said.code == 0
    assert [point["budget"] for point in document["points"]] == [1.0]
    assert [gap["minimum_bits"] for gap in document["gaps"]] == [16 * 2 * 128 * 16]


def test_a_file_that_names_our_class_is_not_ours(kvbarrier, tmp_path) -> None:
    line = "from kvbarrier.compressors.zoo.baseline.exact import Exact\n"
    (tmp_path / "half.py").write_text(line)
    play = ("attack", "half.py:Exact", *SMALL, "--budget", "1", "--messages", "4")
    assert kvbarrier(*play, "--resume", "half.csv").code == 0
    with open("half.csv", newline="") as file:
        row = next(csv.DictReader(file))
    assert row["isolation"] != "inline"
    # A fresh key, 32 bytes in hex: the committed one is in every plug-in's reach.
    assert len(row["key"]) == 64


BAD = [
    (("attack", "exat"), 2, "Did you mean 'exact'"),
    (("attack", "nowhere.py:Mine"), 2, "nowhere.py"),
    (("attack", "no_such_module:Mine"), 2, "no_such_module"),
    (("attack", "exact", "--n", "8"), 2, "16"),
    (("attack", "exact", "--d", "1"), 2, "2"),
    (("attack", "exact", "--budget", "3"), 2, "must be in (0, 2]"),
    (("attack", "exact", "--budget", "-1"), 2, "must be in (0, 2]"),
    (("attack", "exact", "--budget", "x"), 2, "not a number"),
    (("attack", "exact", "--eta", "1"), 2, "eta"),
    (("attack", "exact", "--eta", "0.5", "--gamma", "0.1"), 2, "not both"),
    (("attack", "exact", "--scale", "tigt"), 2, "must be tight, closed, paper"),
    (("attack", "exact", "--keys", "kerdok"), 2, "Did you mean 'kerdock'"),
    (("attack", "exact", "--keys", "kerdock", "--d", "60"), 2, "64"),
    (("attack", "exact", "--reduction", "indx"), 2, "Did you mean 'index'"),
    (("attack", "exact", "--param", "dtyp=fp16"), 2, "Did you mean 'dtype'"),
    (("attack", "exact", "--param", "dtype"), 2, "name=value"),
    (("attack", "exact", "--gate", "bit_eror<=1"), 2, "Did you mean 'bit_error'"),
    (("attack", "exact", "--resume", "a.csv", "--out", "b"), 2, "not both"),
    (("attack", "exact", "--messages", "0"), 2, "messages"),
    (("attack", "exact", "--memory", "0"), 2, "memory limit"),
    (("bound", "--success", "0.4"), 2, "success"),
    (("bound", "--eta", "0.1", "--gamma", "0.1"), 2, "not both"),
    (("list", "compressor"), 2, "compressors"),
    (("atack", "exact"), 2, "Did you mean 'attack'"),
    (("experiments", "run", "spik"), 2, "Did you mean 'spike'"),
    (("new", "missing/folder.py"), 2, "does not exist"),
    (("plot", "nothing.csv"), 2, "nothing.csv"),
]


@pytest.mark.parametrize(
    ("argv", "code", "part"), BAD, ids=lambda v: " ".join(v) if isinstance(v, tuple) else None
)
def test_bad_input_is_one_sentence(kvbarrier, argv: tuple[str, ...], code: int, part: str) -> None:
    said = kvbarrier(*argv)
    assert said.code == code, said.err
    assert part in said.err
    assert said.out == ""
    assert "Traceback" not in said.err


def test_what_changes_while_it_is_played_is_told_and_exits_with_3(kvbarrier) -> None:
    plugin = Path(__file__).parents[1] / "experiments" / "unsteady.py"
    said = kvbarrier(
        "attack", f"{plugin}:ChangesWhilePlayed", *SMALL, "--budget", "free", "--messages", "128",
        "--isolation", "inline",
    )  # fmt: skip
    assert said.code == 3
    assert "changed" in said.out
    # Fresh keys: now and then a wrong bit of the second half is counted with the first.
    assert re.search(r"changed during the attack: error 0\.0\d+ at M/N = ", said.out)
    # The table's M/N is of all 128 messages; the verdict's is of those that it rests on.
    assert re.search(r"broken rests on the first \d+ messages, at M/N = ", said.out)


def test_a_table_tells_few_wrong_bits_as_a_count(capsys) -> None:
    report = attack("lossless", instance=Index(n=32, d=16, keys="hypercube"), messages=4)
    [point, *_] = report.points
    error = point["bit_error"] | {"estimate": 1 / 2048}
    played = tuple(one for one in report.outcomes if one.rows)[:1]
    points = (point | {"wrong_bits": 1, "bit_error": error},)
    print_report(replace(report, points=points, outcomes=played))
    # Four decimals would say .0005.
    assert "1 of 2,048" in " ".join(capsys.readouterr().out.split())


def test_zero_names_no_bucket(kvbarrier) -> None:
    said = kvbarrier("attack", "zero", *SMALL, "--budget", "1", "--json")
    [point] = json.loads(said.out)["points"]
    assert point["guarantee"]["verdict"] == "broken"
    assert point["guarantee"]["worst_bucket"] is None


def test_what_an_inline_plug_in_prints_is_no_part_of_the_document(kvbarrier, tmp_path) -> None:
    (tmp_path / "talks.py").write_text(
        "import numpy as np\n"
        "class Talks:\n"
        "    def __init__(self, shape, budget_bits=None, seed=0, public=None): self.d = shape.d_v\n"
        "    def append(self, q, k, v): print('a token')\n"
        "    def attend(self, q):\n"
        "        print('a query')\n"
        "        return np.zeros(self.d, np.float32)\n"
    )
    game = ("--n", "16", "--d", "8", "--budget", "free", "--messages", "1", "--isolation", "inline")
    said = kvbarrier("attack", "talks.py:Talks", *game, "--resume", "r.csv", "--json")
    assert len(json.loads(said.out)["points"]) == 1
    assert "a query" in said.err
    again = ("r.csv", "", "0", "--target", "talks.py:Talks", "--isolation", "inline")
    assert json.loads(kvbarrier("replay", *again, "--json").out)["equal"]


def test_replay_names_the_cells_of_a_file_and_needs_no_name_where_there_is_one(kvbarrier) -> None:
    play = ("attack", "zero", "--n", "32", "--d", "16", "--keys", "hypercube", "--messages", "4")
    kvbarrier(*play, "--budget", "1/2", "--resume", "r.csv")
    said = kvbarrier("replay", "r.csv")
    assert (said.code, said.out.splitlines()[-1]) == (0, "equal")
    kvbarrier(*play, "--budget", "1/4", "--resume", "r.csv")
    said = kvbarrier("replay", "r.csv")
    assert said.code == 2
    assert "r.csv has 2 cells: name one of " in said.err
    assert "(zero at 1/2)" in said.err
    assert "(zero at 1/4)" in said.err


def test_replay_says_that_the_code_is_another(kvbarrier, tmp_path) -> None:
    body = (
        "import numpy as np\n"
        "class Ones:\n"
        "    def __init__(self, shape, budget_bits=None): self.d = shape.d_v\n"
        "    def append(self, q, k, v): pass\n"
        "    def attend(self, q): return np.ones(self.d, np.float32)\n"
    )
    (tmp_path / "ones.py").write_text(body)
    game = ("--n", "16", "--d", "8", "--budget", "free", "--messages", "1", "--isolation", "inline")
    kvbarrier("attack", "ones.py:Ones", *game, "--resume", "r.csv")
    again = ("replay", "r.csv", "--target", "ones.py:Ones", "--isolation", "inline")
    assert kvbarrier(*again).out.splitlines()[-1] == "equal"
    (tmp_path / "ones.py").write_text(body.replace("ones(self", "zeros(self"))
    said = kvbarrier(*again)
    assert said.code == 1
    assert said.out.splitlines()[-1].startswith("the code is not that of the row: its digest was ")


@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_a_class_that_takes_no_budget_is_one_point(kvbarrier, tmp_path: Path, isolation) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy as np\n"
        "class Mine:\n"
        "    def __init__(self): self.kept = []\n"
        "    def append(self, k, v): self.kept.append((k, v))\n"
        "    def attend(self, q):\n"
        "        K, V = map(np.stack, zip(*self.kept))\n"
        "        w = np.exp(K @ q)\n"
        "        return w @ V / w.sum()\n"
    )
    word = ("attack", str(path), *SMALL, "--messages", "2", "--isolation", isolation, "--json")
    said = kvbarrier(*word)
    [point] = json.loads(said.out)["points"]
    assert (point["budget"], point["wrong_bits"]) == (None, 0)
    asked = json.loads(kvbarrier(*word, "--budget", "1/4,1").out)["points"]
    assert [point["budget"] for point in asked] == [0.25, 1.0]
    taking = path.read_text().replace("(self):", "(self, budget_bits):")
    path.write_text(taking)
    assert len(json.loads(kvbarrier(*word).out)["points"]) == 7
