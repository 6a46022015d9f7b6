"""A failure of ours ends the run: no compressor is charged with it, whoever's it is."""

from __future__ import annotations

import sys
import textwrap
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
from kvbarrier.cli import main
from kvbarrier.compressors.plugin import blame
from kvbarrier.compressors.zoo.baseline.exact import Exact
from kvbarrier.errors import BadInput, HarnessFault
from kvbarrier.protocols.check.ladder import check
from kvbarrier.protocols.game import coins, index_game
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.instances import Index
from kvbarrier.protocols.players import play, seats
from kvbarrier.protocols.players.isolation import Limits
from kvbarrier.protocols.players.play import PlayerFault

INSTANCE = Index(16, 8, keys="hypercube")
KEY = coins.COMMITTED_KEYS["regress"]
LIMITS = Limits(30, 512 << 20)


def broken(*_: object, **__: object) -> None:
    raise IndexError("list index out of range")


@pytest.mark.parametrize("door", ["extend", "save", "restore", "next_bits", "__init__"])
def test_a_built_in_that_raises_is_not_a_failed_message(
    door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Exact, door, broken)
    with pytest.raises(HarnessFault, match=r"kvbarrier itself failed while .*list index out of"):
        index_game.play_batch(Cell(INSTANCE, "exact"), KEY, 0, "inline")


def test_what_a_built_in_says_on_purpose_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def save(_: object) -> bytes:
        raise BadInput("A sum overflowed float32.")

    monkeypatch.setattr(Exact, "save", save)
    record = index_game.play_batch(Cell(INSTANCE, "exact", batch_size=1), KEY, 0, "inline")
    assert "overflowed" in str(record.records[0].failed)


def test_the_command_line_ends_with_the_documented_code(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Exact, "next_bits", broken)
    with pytest.raises(SystemExit) as stop:
        main(["attack", "exact", "--n", "32", "--d", "16", "--keys", "hypercube",
              "--messages", "2", "--budget", "1"])  # fmt: skip
    assert stop.value.code == 70
    said = capfd.readouterr()
    assert "kvbarrier itself failed while Bob played: IndexError" in said.err
    assert "failed:" not in said.err
    assert said.out == ""


PLUGIN = """
    import numpy as np
    class Mine:
        def __init__(self, shape, when="never"):
            self.kept, self._when = [], when
            if when == "built": self._break()
        def append(self, q, k, v):
            if self._when == "appended": self._break()
            self.kept.append(v)
        def attend(self, q):
            if self._when == "asked": self._break()
            return self.kept[-1]
        def _break(self):
            import broken_room
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plug-in that imports, late, a module of ours which cannot be imported."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    (tmp_path / "mine.py").write_text(textwrap.dedent(PLUGIN))
    (tmp_path / "broken_room.py").write_text("raise RuntimeError('no locator available')\n")
    return tmp_path / "mine.py"


def played(file: Path, when: str, isolation: str) -> index_game.BatchRecord:
    cell = Cell(INSTANCE, f"{file}:Mine", (("when", when),), Fraction(2), 1)
    return index_game.play_batch(cell, coins.fresh_key(), 0, isolation, LIMITS)


@pytest.mark.parametrize("when", ["appended", "asked"])
@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_their_module_that_does_not_import_is_their_failed_message(
    mine: Path, when: str, isolation: str
) -> None:
    assert "no locator" in str(played(mine, when, isolation).records[0].failed)


@pytest.mark.parametrize("when", ["built", "appended", "asked"])
def test_our_module_that_does_not_import_is_no_message_of_theirs(
    mine: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = mine.parent / "broken_room.py"
    ours = blame.is_ours
    monkeypatch.setattr(blame, "is_ours", lambda file: file == str(room) or ours(file))
    with pytest.raises(HarnessFault, match="RuntimeError: no locator available"):
        played(mine, when, "inline")


def raised_while_importing(tmp_path: Path) -> BaseException:
    (tmp_path / "m.py").write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError) as caught:
        exec(compile((tmp_path / "m.py").read_text(), str(tmp_path / "m.py"), "exec"), {})
    return caught.value


def test_whose_fault_an_exception_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = raised_while_importing(tmp_path)
    assert isinstance(play.fault_of(error, "Bob"), PlayerFault)
    assert isinstance(play.fault_of(error, "Bob", builtin=True), HarnessFault)
    assert isinstance(play.fault_of(MemoryError(), "Bob", builtin=True), PlayerFault)
    assert isinstance(play.fault_of(SystemExit(1), "Bob", builtin=True), PlayerFault)
    assert isinstance(play.fault_of(PlayerFault("no"), "Bob", builtin=True), PlayerFault)
    monkeypatch.setattr(blame, "is_ours", lambda file: True)
    assert isinstance(play.fault_of(error, "Bob"), HarnessFault)
    assert isinstance(blame.our_fault(error, "x"), HarnessFault)
    with pytest.raises(HarnessFault):
        blame.blame(error, "importing m.py")


def test_a_host_that_our_code_ends_is_not_ended_by_the_player(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A module of ours that is not there stands for one that cannot be imported in a player.
    prepare = seats.Place.prepare
    monkeypatch.setattr(
        seats.Place, "prepare", lambda *a, **k: prepare(*a, **{**k, "host": "no_such_host"})
    )
    with pytest.raises(HarnessFault, match="No module named"):
        played(mine, "never", "process")


@pytest.mark.parametrize(("builtin", "kind"), [(True, HarnessFault), (False, PlayerFault)])
def test_a_frame_that_says_it_is_ours_is_believed_of_our_own_alone(
    monkeypatch: pytest.MonkeyPatch, builtin: bool, kind: type[Exception]
) -> None:
    # Whoever could end the runs that go badly would be judged by the others alone.
    seat = seats.HostSeat(SimpleNamespace(role="Bob"), LIMITS)  # type: ignore[arg-type]
    seat._builtin = builtin
    frame = {"error": "HarnessFault", "text": "kvbarrier itself failed"}
    monkeypatch.setattr(seat, "_exchange", lambda *_: frame)
    with pytest.raises(kind, match="itself failed"):
        seat._ask({"op": "answer"}, lambda said: said)


def test_a_user_without_a_home_can_play(monkeypatch: pytest.MonkeyPatch) -> None:
    from kvbarrier.protocols.players import isolation

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    monkeypatch.setattr(isolation, "_kernels_cached_in_tree", lambda: False)
    assert "HF_HOME" not in isolation.allowed_environment({})


def test_a_check_that_our_code_ends_finds_nothing_in_the_plug_in(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the child's own process: there a module of ours is made one that cannot be imported."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import sys\n"
        "class Broken:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'kvbarrier.compressors.plugin.packing':\n"
        "            raise RuntimeError('no locator available')\n"
        "sys.meta_path.insert(0, Broken())\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(site))
    with pytest.raises(HarnessFault, match="no locator available"):
        check(f"{mine}:Mine")
