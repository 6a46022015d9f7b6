"""The referee's table: the caches that people run, attacked in their own environments.

Every row is somebody's published code, in the version that the table names, played with the hard
stream of the Index game (n = 512, d = 64, Kerdock keys): *literal*, and *rotated*, with keys and
values turned by public rotations that Bob undoes; prefilled, and token by token where the engine
knows both; with the Bob who asks attention queries, and with the one who only reads the message.
Four memories stand beside each other, as shares of the 16-bit K and V cache: *claimed*, *logical*,
*resident* and *wire*, and the side state that a method parks elsewhere.

``engines.csv`` has a line for every setting and Bob, ``engines-left-out.csv`` what cannot be played
offline on a CPU, with the reason. A row that fails says so in a sentence, and the table goes on.

At full scale n is 2048, as the prompts of some engines take a time that grows with its square, and
1024 token by token, where each token is a pass of a model. Of a message a sample of 512 rows is
asked, all of one Bob: one for each row would restore the message 512 times. So the ledger reads the
asked bits alone, against the whole message. Few messages are drawn, and each has many rows: this
scale shows what changes with n, not narrower intervals.
Secrets are drawn from fresh keys, as for every foreign plug-in; the lines name them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compressors.engines.rows import EngineRow
from ...compressors.engines.schemes import SCHEMES, interpreter_of, scheme_of
from ...errors import BadInput, KVBarrierError
from ...protocols.evidence.verdicts import LEVEL, judge_point
from ...protocols.game.cell import Batch, Cell
from ...protocols.game.coins import fresh_key
from ...protocols.game.index_game import BatchRecord, play_all
from ...protocols.game.instance import rows_of
from ...protocols.game.instances import instance_of
from ...protocols.players.isolation import Limits, default_isolation
from ..kit.run import Run
from ..kit.tables import Row, Tables, fill

TABLE, LEFT_OUT = "engines.csv", "engines-left-out.csv"
#: tokens of a prompt, and of a stream that comes token by token
TOKENS = {"quick": (512, 512), "full": (2048, 1024)}
D = 64
#: rows asked of a message; None: all
ROWS = {"quick": None, "full": 512}
MESSAGES = {"quick": 4, "full": 2}
#: cells that share a pair of players, each of whom imports torch twice
TOGETHER = 48
LIMITS = Limits(seconds=900.0, memory_bytes=6 << 30)


def declared_rows() -> list[EngineRow]:
    """The rows that all engines declare."""
    return [row for one in SCHEMES.values() for row in one.table().ROWS]


def left_out() -> list[Row]:
    """What cannot be played, with the reason."""
    return [
        {"target": target, "reason": reason}
        for one in SCHEMES.values()
        for target, reason in one.table().OUT_OF_REACH.items()
    ]


def cells(row: EngineRow, scale: str) -> Iterator[Cell]:
    """The games of one declared row."""
    ways: list[dict[str, Any]] = [{}, *([{"feed": "stream"}] if row.streams else [])]
    for way in ways:
        for basis in ("literal", "rotated"):
            yield _cell(row, basis, way, scale)
        if row.reads and not way:
            yield _cell(row, "literal", {"bob": "reads"}, scale)


def _cell(row: EngineRow, basis: str, way: dict[str, Any], scale: str) -> Cell:
    n = TOKENS[scale][{**row.params, **way}.get("feed") == "stream"]
    usual = {"n": n, "d": D, "keys": "kerdock", "layers": row.layers, "heads": row.heads}
    instance = instance_of({**usual, **row.game, "basis": basis, "rows": ROWS[scale]})
    params = tuple({**row.params_at(n), **way}.items())
    return Cell(instance, row.target, params, None, MESSAGES[scale])


def groups(rows: Sequence[EngineRow], scale: str) -> list[list[tuple[EngineRow, Cell]]]:
    """What is played by one pair of processes: one interpreter, and of codecs one package."""
    by_home: dict[tuple[Any, ...], list[tuple[EngineRow, Cell]]] = {}
    for row in rows:
        scheme = scheme_of(row.target)
        assert scheme is not None
        home = (scheme.name, row.target.rpartition(":")[0] if scheme.name == "codec" else "")
        by_home.setdefault(home, []).extend((row, cell) for cell in cells(row, scale))
    homes = by_home.values()
    return [one[at : at + TOGETHER] for one in homes for at in range(0, len(one), TOGETHER)]


def run(job: Run) -> None:
    """Play what the tables do not have yet.

    Raises:
        BadInput: no engine is installed.
    """
    rows = declared_rows()
    problems = [problem for row in rows if (problem := _problem(row))]
    if len(problems) == len(rows):
        raise BadInput(problems[0])
    tables: Tables = {
        TABLE: [(play_group, (tuple(group),)) for group in groups(rows, job.scale)],
        LEFT_OUT: [(left_out, ())],
    }
    fill(job, "engines", tables)


def _problem(row: EngineRow) -> str:
    """Why a row cannot be played here, or nothing."""
    try:
        interpreter_of(row.target)
    except BadInput as error:
        return str(error)
    return ""


def play_group(group: Sequence[tuple[EngineRow, Cell]]) -> list[Row]:
    """Play cells that share a pair of processes; each becomes a line of the table."""
    keys = [fresh_key() for _ in group]
    played: Sequence[BatchRecord | KVBarrierError]
    try:
        batches = [Batch(cell, key, 0) for (_, cell), key in zip(group, keys, strict=True)]
        played = play_all(batches, default_isolation(False), LIMITS, together=True)
    except KVBarrierError as error:
        played = [error for _ in group]
    return [
        _line(row, cell, key, one)
        for (row, cell), key, one in zip(group, keys, played, strict=True)
    ]


def _line(row: EngineRow, cell: Cell, key: bytes, one: BatchRecord | KVBarrierError) -> Row:
    instance, params = cell.instance, dict(cell.params)
    line: Row = {
        "target": cell.target,
        "params": json.dumps({k: v for k, v in params.items() if k not in ("feed", "bob")}),
        "distribution": row.distribution,
        "game": json.dumps(dict(row.game)) if row.game else "",
        "n": instance.n,
        "d": instance.d,
        "layers": instance.layers,
        "heads": instance.heads,
        "basis": instance.basis,
        "feed": params.get("feed", "prefill"),
        "bob": params.get("bob", "asks"),
        "keeps": row.keeps,
        "declared": row.declared,
        "shown": row.shown,
    }
    if isinstance(one, KVBarrierError):
        return line | _EMPTY | {"failed": str(one), "note": row.note, "key": key.hex()}
    verdict = judge_point(
        one.records,
        n=instance.secret_rows,
        row_bits=instance.row_bits,
        cache_bits=instance.shape.cache_bits_16,
        level=LEVEL,
        rows=None if instance.rows is None else _rows(cell, key),
        rows_apart=False,
    ).as_dict()
    cache = instance.shape.cache_bits_16 / 8
    held = one.memories or {}
    failed = [r.failed for r in one.records if r.failed]
    shares = {
        name: None if held.get(name) is None else held[name] / cache
        for name in ("claimed", "logical", "resident", "side", "constant", "beside")
    }
    return line | {
        # The engine's own default where none was asked for.
        "feed": "stream" if one.streaming else "prefill",
        "messages": verdict["messages"],
        "wrong": verdict["wrong_bits"],
        "asked": verdict["asked_bits"],
        "bit_error": verdict["bit_error"]["estimate"],
        "low": verdict["bit_error"]["low"],
        "high": verdict["bit_error"]["high"],
        "rate": verdict["bits_per_secret_bit"],
        "ledger": verdict["ledger"]["verdict"],
        "surprise": verdict["ledger"]["surprise_bits"],
        "wire": max(r.charged_bits for r in one.records) / instance.shape.cache_bits_16,
        **shares,
        "claimed_by": held.get("basis", ""),
        "beside_is": held.get("beside_is", ""),
        "isolation": one.isolation,
        "seconds": round(one.seconds, 2),
        "versions": json.dumps(dict(one.versions)),
        "failed": failed[0] if failed else "",
        "note": row.note,
        "key": key.hex(),
    }


def _rows(cell: Cell, key: bytes) -> list[NDArray[np.int64]]:
    """The rows that each message was asked for."""
    return [rows_of(cell.instance, key, number) for number in range(cell.batch_size)]


_EMPTY: Row = dict.fromkeys(
    (
        "messages", "wrong", "asked", "bit_error", "low", "high", "rate", "ledger", "surprise",
        "wire", "claimed", "logical", "resident", "side", "constant", "beside", "claimed_by",
        "beside_is", "isolation", "seconds", "versions",
    )
)  # fmt: skip
