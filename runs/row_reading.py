"""A line of a results file read back, within limits: a file may come from anybody.

Anybody can compute the ids of a row, so neither its spec nor its counts are trusted.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from functools import lru_cache
from itertools import chain
from operator import gt
from typing import Any

from ..compressors.plugin.declaration import Declaration
from ..errors import BadInput
from ..protocols.evidence.row_counts import length_of, totals_of
from ..protocols.game.cell import LONGEST_TEXT, check_spec
from ..protocols.game.coins import AGE_BUCKETS
from ..protocols.game.instance import digest
from ..protocols.players.channel import FAILED_CHARGE, MAX_MESSAGE_BYTES, charged_bits
from .rows import COLUMNS, SCHEMAS, BatchRow, Counts16, compact

MOST_SECRET_BITS = 1 << 40
MOST_CHARGED_BITS = max(FAILED_CHARGE, charged_bits(MAX_MESSAGE_BYTES))
LARGEST_BATCH = 1 << 31

_REPEATED = 1 << 10
_MISSING = dict.fromkeys(set(COLUMNS) - set(SCHEMAS[1]), "null")
_READ = f"schemas {', '.join(map(str, SCHEMAS))}"


def parse_line(line: str) -> BatchRow:
    """Read one line back, of any schema. Raises ValueError that says what is wrong with it."""
    values = next(csv.reader([line], strict=True))
    columns = SCHEMAS.get(_whole(values[0]) if values else 0)
    if columns is None:
        raise ValueError(f"its schema is {values[0]}, and this version reads {_READ}")
    if len(values) != len(columns):
        raise ValueError(f"it has {len(values)} fields instead of {len(columns)}")
    field = _MISSING | dict(zip(columns, values, strict=True))
    row = BatchRow(
        instance=field["instance"],
        cell=field["cell"],
        source=field["source"],
        batch=_whole(field["batch"]),
        spec=_canonical(field["spec"]),
        key=field["key"],
        isolation=field["isolation"],
        streaming={"yes": True, "no": False}[field["streaming"]],
        wrong_by_age=_table(field["wrong_by_age"]),
        asked_by_age=_same_table(field["asked_by_age"]),
        secret=_whole(field["secret"]),
        charged=_same_counts(field["charged"]),
        payload=_same_counts(field["payload"]),
        failed=_sentences(field["failed"]),
        seconds=float(field["seconds"]),
        versions=_canonical(field["versions"]),
        host=_canonical(field["host"]),
        wrong_by_row=_texts(field["wrong_by_row"]),
        wrong_by_place=_three(field["wrong_by_place"]),
        declares=_words(field["declares"]),
    )
    _check(row, _counts(field["wrong"]), _same_counts(field["asked"]))
    return row


def _check(row: BatchRow, wrong: tuple[int, ...], asked: tuple[int, ...]) -> None:
    lengths = {
        len(row.wrong_by_age),
        len(row.asked_by_age),
        row.size,
        len(row.payload),
        len(row.failed),
        row.size if row.wrong_by_row is None else len(row.wrong_by_row),
    }
    if len(lengths) != 1 or row.size == 0:
        raise ValueError("its lists differ in length")
    if wrong != row.wrong or asked != row.asked:
        raise ValueError("its totals are not the sums over age buckets")
    buckets = {*map(len, row.wrong_by_age), *map(len, row.asked_by_age)}
    flat = map(gt, chain.from_iterable(row.wrong_by_age), chain.from_iterable(row.asked_by_age))
    if buckets != {AGE_BUCKETS} or any(flat):
        raise ValueError("a message does not have 16 age buckets with wrong <= asked")
    if min(asked) <= 0 or max(asked) > row.secret:
        raise ValueError("a message was asked for no bits, or for more than the secret has")
    if row.wrong_by_row is not None and totals_of(row.wrong_by_row) != wrong:
        raise ValueError("its totals are not the sums over rows")
    if _ids(row.spec) != (row.cell, row.instance):
        raise ValueError("its ids do not match its spec")
    _check_places(row, wrong)
    _check_limits(row)


@lru_cache(_REPEATED)
def _canonical(text: str) -> str:
    """A spec, or what the rows of a host say of it: the same in thousands of rows."""
    return compact(json.loads(text))


@lru_cache(_REPEATED)
def _ids(spec: str) -> tuple[str, str]:
    """The ids of the cell and of its instance."""
    said = json.loads(spec)
    return digest(said), digest(said["instance"])


@lru_cache(_REPEATED)
def _heads(spec: str) -> int:
    """How many heads there are, of all layers."""
    instance = json.loads(spec)["instance"]
    heads: int = instance.get("layers", 1) * instance.get("heads", 1)
    return heads


def _check_places(row: BatchRow, wrong: tuple[int, ...]) -> None:
    if row.wrong_by_place is None:
        return
    told = sum([w for w, failed in zip(wrong, row.failed, strict=True) if failed is None])
    if set(totals_of(row.wrong_by_place)) != {told}:
        raise ValueError("its totals are not the sums over channels, heads and values")
    heads = _heads(row.spec)
    if [length_of(text) for text in row.wrong_by_place[1:]] != [heads, 2]:
        raise ValueError(f"its counts by place are not those of {heads} heads and two values")


def _check_limits(row: BatchRow) -> None:
    # This checks only kinds and sizes; points.cell_of reads the meaning of a spec.
    if row.batch >= LARGEST_BATCH:
        raise ValueError(f"its batch must be below {LARGEST_BATCH}")
    if row.secret > MOST_SECRET_BITS:
        raise ValueError(f"its secret must have at most {MOST_SECRET_BITS} bits")
    if max(row.charged) > MOST_CHARGED_BITS or max(row.payload) > MAX_MESSAGE_BYTES:
        raise ValueError(f"its messages must have at most {MAX_MESSAGE_BYTES} bytes")
    if not (math.isfinite(row.seconds) and row.seconds >= 0):
        raise ValueError("its seconds are not a length of time")
    _check_spec(row.spec, row.size)


@lru_cache(_REPEATED)
def _check_spec(text: str, size: int) -> None:
    spec = json.loads(text)
    check_spec(spec)
    if spec["batch_size"] != size:
        raise ValueError("it does not have as many messages as its spec says")


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(f"'{text[:40]}' is not a whole number below 10^18")
    return int(text)


def _list(text: str, item: Callable[[Any], Any]) -> tuple[Any, ...]:
    return _items(json.loads(text), item)


def _items(values: Any, item: Callable[[Any], Any]) -> tuple[Any, ...]:
    if not isinstance(values, list):
        raise ValueError(f"{str(values)[:40]!r} is not a list")
    return tuple(item(value) for value in values)


def _counts(text: str) -> tuple[int, ...]:
    return _counts_of([json.loads(text)], text)[0]


def _counts_of(lists: list[Any], text: str) -> tuple[tuple[int, ...], ...]:
    """Lists of counts, looked at together: most of the time of a file is spent here.

    JSON of brackets, commas and digits alone holds lists and counts alone, and with no further
    bracket no further list.
    """
    if set(map(type, lists)) - {list}:
        wrong = next(values for values in lists if type(values) is not list)
        raise ValueError(f"{str(wrong)[:40]!r} is not a list")
    if text.count("[") <= len(lists) + 1 and not text.encode().translate(None, b"[],0123456789"):
        return tuple(map(tuple, lists))
    flat = list(chain.from_iterable(lists))
    if set(map(type, flat)) - {int} or min(flat, default=0) < 0:
        wrong = next(v for v in flat if type(v) is not int or v < 0)
        raise ValueError(f"{str(wrong)[:40]!r} is not a count")
    return tuple(map(tuple, lists))


@lru_cache(_REPEATED)
def _sentences(text: str) -> tuple[str | None, ...]:
    return _list(text, _sentence)


def _sentence(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{str(value)[:40]!r} is not a sentence")
    return value


def _three(text: str) -> tuple[str, str, str] | None:
    found = _texts(text)
    if found is None:
        return None
    if len(found) != 3:
        raise ValueError("it does not count by channel, by layer and head, and by value")
    return found[0], found[1], found[2]


def _texts(text: str) -> tuple[str, ...] | None:
    found = json.loads(text)
    return None if found is None else _items(found, str)


@lru_cache(_REPEATED)
def _words(text: str) -> tuple[str, ...] | None:
    """The words of a declaration, which must be one."""
    found = json.loads(text)
    return None if found is None else Declaration.of_words(_items(found, _word)).words()


def _word(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise ValueError(f"{str(value)[:40]!r} is not a word of a declaration")
    return value


def _table(text: str) -> Counts16:
    table = json.loads(text)
    if not isinstance(table, list):
        raise ValueError(f"{str(table)[:40]!r} is not a list")
    return _counts_of(table, text)


@lru_cache(_REPEATED)
def _same_table(text: str) -> Counts16:
    """What was asked: the same of every row of a cell, and so kept once."""
    return _table(text)


@lru_cache(_REPEATED)
def _same_counts(text: str) -> tuple[int, ...]:
    """What was asked or charged: often the same in every row."""
    return _counts(text)


def bad_line(name: str, number: int, why: object) -> BadInput:
    """The sentence for a line that cannot be read."""
    return BadInput(
        f"{name}, line {number}, is not a results row ({why}): restore the file or use a new one."
    )
