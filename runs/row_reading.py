"""Lines of a results file read back, within limits: a file may come from anybody.

Anybody can compute the ids of a row, so neither its spec nor its counts are trusted.

Lines are read column by column. A text that stands in many rows is read once; the counts, which
differ from row to row, are read as one array and checked together. Lists that are not written as
:mod:`.rows` writes them are read cell by cell, as JSON, to the same end.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, compress, islice
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..compressors.plugin.declaration import Declaration
from ..errors import BadInput
from ..protocols.evidence.row_counts import sums_of
from ..protocols.game.cell import LONGEST_TEXT, check_spec
from ..protocols.game.coins import AGE_BUCKETS
from ..protocols.game.instance import compact, digest, text_digest
from ..protocols.players.channel import FAILED_CHARGE, MAX_MESSAGE_BYTES, charged_bits
from .csv_columns import columns_of
from .rows import COLUMNS, SCHEMAS, BatchRow, Counts16

MOST_SECRET_BITS = 1 << 40
MOST_CHARGED_BITS = max(FAILED_CHARGE, charged_bits(MAX_MESSAGE_BYTES))
LARGEST_BATCH = 1 << 31
WRONG = (ValueError, TypeError, AttributeError, KeyError, RecursionError, csv.Error)
"""What :func:`read_lines` raises of a line that is no row."""

_REPEATED = 1 << 10
_READ = f"schemas {', '.join(map(str, SCHEMAS))}"
_YES_NO = {"yes": True, "no": False}

Field = Mapping[str, Sequence[str]]
Array = NDArray[Any]
T = TypeVar("T")


class _Tables(NamedTuple):
    """Counts by age of the messages of rows, and their sums: an item a row.

    All after one another: ``totals``, int[messages], the sums; ``ages``, int[messages, 16], or None
    if a message has other buckets.
    """

    rows: list[Counts16]
    sums: list[tuple[int, ...]]
    totals: Array
    ages: Array | None


def read_lines(data: bytes) -> list[BatchRow]:
    """Read whole lines back, of any schemas: a row of each.

    Raises one of WRONG, which says what is wrong with one of them: read a line alone to know that
    it is this one.
    """
    field = dict(zip(COLUMNS, _columns(data), strict=True))
    batch = _each(_whole, field["batch"])
    specs = _each(_spec, field["spec"])
    streaming = [_YES_NO[said] for said in field["streaming"]]
    wrong = _tables(field["wrong_by_age"])
    asked = _each(_table, field["asked_by_age"])
    secret = _each(_whole, field["secret"])
    charged = _each(_counts, field["charged"])
    payload = _each(_counts, field["payload"])
    failed = _each(_sentences, field["failed"])
    seconds = list(map(float, field["seconds"]))
    by_row = list(map(_texts, field["wrong_by_row"]))
    by_place = list(map(_three, field["wrong_by_place"]))
    instance, cell, source, key, isolation = (
        _each(_text, field[name]) for name in ("instance", "cell", "source", "key", "isolation")
    )
    versions, host = (_each(_canonical, field[name]) for name in ("versions", "host"))
    declares = _each(_words, field["declares"])
    summed = _are(field["wrong"], wrong.sums), _are(field["asked"], [t.sums[0] for t in asked])

    sizes = list(map(len, charged))
    of_messages = wrong.rows, [table.rows[0] for table in asked], payload, failed
    lengths = [list(map(len, column)) for column in of_messages]
    lengths.append([n if t is None else len(t) for t, n in zip(by_row, sizes, strict=True)])
    if any(found != sizes for found in lengths) or 0 in sizes:
        raise ValueError("its lists differ in length")
    if not all(summed):
        raise ValueError("its totals are not the sums over age buckets")
    _check_asked(wrong, asked, np.repeat(secret, sizes))
    _check_texts(by_row, by_place, specs, failed, wrong.totals)
    if [spec.ids for spec in specs] != list(zip(cell, instance, strict=True)):
        raise ValueError("its ids do not match its spec")
    if max(batch) >= LARGEST_BATCH:
        raise ValueError(f"its batch must be below {LARGEST_BATCH}")
    if max(secret) > MOST_SECRET_BITS:
        raise ValueError(f"its secret must have at most {MOST_SECRET_BITS} bits")
    if max(map(max, charged)) > MOST_CHARGED_BITS or max(map(max, payload)) > MAX_MESSAGE_BYTES:
        raise ValueError(f"its messages must have at most {MAX_MESSAGE_BYTES} bytes")
    if not (np.isfinite(seconds).all() and min(seconds) >= 0):
        raise ValueError("its seconds are not a length of time")
    # This checks only kinds and sizes; points.cell_of reads the meaning of a spec.
    for cell_spec, size in set(zip(field["spec"], sizes, strict=True)):
        _check_spec(cell_spec, size)
    return list(
        map(
            BatchRow, instance, cell, source, batch, [spec.text for spec in specs], key, isolation,
            streaming, wrong.rows, of_messages[1], secret, charged, payload, failed, seconds,
            versions, host, by_row, declares, by_place,
        )
    )  # fmt: skip


def _each(read: Callable[[str], T], cells: Sequence[str]) -> list[T]:
    """What is read in each cell; cells in sequence that are the same are read once."""
    found: list[T] = []
    last = None
    for cell in cells:
        if cell != last:
            last, value = cell, read(cell)
        found.append(value)
    return found


def _columns(data: bytes) -> list[Sequence[str]]:
    """The fields of lines by column, inner quotes doubled, and ``null`` for what is not there."""
    columns = columns_of(data) or [[""]]
    lengths = [len(names) for schema, names in SCHEMAS.items() if {str(schema)} == set(columns[0])]
    if lengths != [len(columns)]:
        lines = data.decode().split("\n")[:-1]
        table = list(csv.reader(lines, strict=True))
        for values in table:
            if not any(values):
                raise ValueError("it is empty")
            names = SCHEMAS.get(_whole(values[0]))
            if names is None:
                raise ValueError(f"its schema is {values[0]}, and this version reads {_READ}")
            if len(values) != len(names):
                raise ValueError(f"it has {len(values)} fields instead of {len(names)}")
            values += ["null"] * (len(COLUMNS) - len(names))
        if len(table) != len(lines):
            raise ValueError("a quoted field does not end in its line")
        doubled = [[value.replace('"', '""') for value in values] for values in table]
        columns = list(zip(*doubled, strict=True))
    missing = ["null"] * len(columns[0])
    return columns + [missing] * (len(COLUMNS) - len(columns))


def _check_asked(wrong: _Tables, asked: Sequence[_Tables], secret: Array) -> None:
    ages = [table.ages for table in (wrong, *asked) if table.ages is not None]
    if len(ages) != 1 + len(asked) or np.any(ages[0] > np.concatenate(ages[1:])):
        raise ValueError("a message does not have 16 age buckets with wrong <= asked")
    totals = np.concatenate([table.totals for table in asked])
    if np.any(totals <= 0) or np.any(totals > secret):
        raise ValueError("a message was asked for no bits, or for more than the secret has")


def _check_texts(
    by_row: Sequence[tuple[str, ...] | None],
    by_place: Sequence[tuple[str, str, str] | None],
    specs: Sequence[_Spec],
    failed: Sequence[tuple[str | None, ...]],
    totals: Array,
) -> None:
    sizes = list(map(len, failed))
    counted = totals[np.repeat([texts is not None for texts in by_row], sizes)]
    every = chain.from_iterable(filter(None, chain(by_row, by_place)))
    sums, lengths = sums_of(list(every))
    if np.any(sums[: len(counted)] != counted):
        raise ValueError("its totals are not the sums over rows")
    placed = [texts is not None for texts in by_place]
    told = totals * np.concatenate(list(map(_read_back, failed)))
    told = np.add.reduceat(told, np.cumsum([0, *sizes])[:-1])[placed]
    if np.any(sums[len(counted) :].reshape(-1, 3) != told[:, None]):
        raise ValueError("its totals are not the sums over channels, heads and values")
    found = lengths[len(counted) :].reshape(-1, 3)[:, 1:].tolist()
    for spec, (heads, values) in zip(compress(specs, placed), found, strict=True):
        instance = spec.said["instance"]
        wanted = instance.get("layers", 1) * instance.get("heads", 1)
        if (heads, values) != (wanted, 2):
            raise ValueError(f"its counts by place are not those of {wanted} heads and two values")


def _json(cell: str) -> Any:
    return json.loads(cell.replace('""', '"'))


@lru_cache(_REPEATED)
def _text(cell: str) -> str:
    return cell.replace('""', '"')


@lru_cache(_REPEATED)
def _canonical(cell: str) -> str:
    """What the rows of a host say of it: the same in thousands of rows."""
    return compact(_json(cell))


class _Spec(NamedTuple):
    """A spec, what it holds, and the ids of its cell and instance."""

    text: str
    said: Any
    ids: tuple[str, str]


@lru_cache(_REPEATED)
def _spec(cell: str) -> _Spec:
    said = _json(cell)
    text = compact(said)
    return _Spec(text, said, (text_digest(text), digest(said["instance"])))


@lru_cache(_REPEATED)
def _check_spec(cell: str, size: int) -> None:
    spec = _spec(cell).said
    check_spec(spec)
    if spec["batch_size"] != size:
        raise ValueError("it does not have as many messages as its spec says")


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(f"'{text[:40]}' is not a whole number below 10^18")
    return int(text)


def _items(values: Any, item: Callable[[Any], Any]) -> tuple[Any, ...]:
    if not isinstance(values, list):
        raise ValueError(f"{str(values)[:40]!r} is not a list")
    return tuple(item(value) for value in values)


def _tables(cells: Sequence[str]) -> _Tables:
    sizes = [(cell.count(",") + 1) // AGE_BUCKETS for cell in cells]
    flat = _numbers(cells, sizes)
    if flat is not None:
        ages = flat.reshape(-1, AGE_BUCKETS)
        totals = ages.sum(axis=1)
        messages, sums = (
            zip(*[iter(_shared(flat).tolist())] * AGE_BUCKETS, strict=True),
            iter(totals.tolist()),
        )
        rows = [tuple(islice(messages, n)) for n in sizes]
        return _Tables(rows, [tuple(islice(sums, n)) for n in sizes], totals, ages)
    rows = [_items(_json(cell), lambda message: _items(message, _count)) for cell in cells]
    every = list(chain.from_iterable(rows))
    even = set(map(len, every)) == {AGE_BUCKETS}
    return _Tables(
        rows,
        [tuple(map(sum, row)) for row in rows],
        np.array(list(map(sum, every)), dtype=object),
        np.array(every, dtype=object) if even else None,
    )


def _shared(counts: Array) -> Array:
    """Counts as integers, equal ones as one, where that is less memory than one for each."""
    most = int(counts.max(initial=0))
    return np.arange(most + 1).astype(object)[counts] if most <= counts.size else counts


@lru_cache(_REPEATED)
def _table(cell: str) -> _Tables:
    """What was asked: the same of every row of a cell, and so kept once."""
    return _tables([cell])


def _are(cells: Sequence[str], counts: Sequence[tuple[int, ...]]) -> bool:
    """Whether cells list these counts; a cell is read only if it is not as these are written.

    Every cell is looked at: one that is no list is another fault than a wrong sum.
    """
    pairs = set(zip(cells, counts, strict=True))
    wrong = [row for cell, row in pairs if cell != _written(row) and _counts(cell) != row]
    return not wrong


def _written(counts: tuple[int, ...]) -> str:
    return "[" + ",".join(map(str, counts)) + "]"


@lru_cache(_REPEATED)
def _counts(cell: str) -> tuple[int, ...]:
    """What was asked or charged: often the same in every row."""
    return _items(_json(cell), _count)


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{str(value)[:40]!r} is not a count")
    return value


@lru_cache(_REPEATED)
def _table_without_numbers(messages: int) -> str:
    return "[" + ",".join(["[" + "," * (AGE_BUCKETS - 1) + "]"] * messages) + "]"


def _numbers(cells: Sequence[str], messages: Sequence[int]) -> Array | None:
    """The numbers of tables written without a space, int64, or None if they are not so written.

    ``messages``: how many each table has. A number's value is found at its last digit, from those
    of its halves: with v_w(i) what the w characters up to i say, as far as they are digits of one
    number, v_2w(i) = v_w(i) + 10^w v_w(i - w) if they all are.
    """
    said = ",".join(cells).encode()
    if (
        said.translate(None, b"0123456789")
        != ",".join(map(_table_without_numbers, messages)).encode()
    ):
        return None
    code = np.frombuffer(said, dtype=np.uint8)
    value = code - np.uint8(ord("0"))
    digit = value < 10
    inside, opens = digit[:-1] & digit[1:], (code == ord("[")) | (code == ord(","))
    # A number or a list begins after [ and after a comma, and nowhere else; a zero only alone.
    begins = digit | (code == ord("["))
    begins[1:] &= ~inside
    if np.any(opens[:-1] != begins[1:]) or np.any(inside & begins[:-1] & (value[:-1] == 0)):
        return None
    value, full = value * digit, digit
    for width, kind in ((1, np.uint8), (2, np.uint16), (4, np.uint32), (8, np.uint64)):
        if not np.any(full[width:] & digit[:-width]):
            break
        value = value.astype(kind)
        value[width:] += value[:-width] * kind(10**width) * full[width:]
        full = np.append(full[:width] & False, full[width:] & full[:-width])
    else:
        if np.any(full[16:] & digit[:-16]):
            return None
    return value[:-1][digit[:-1] & ~digit[1:]].astype(np.int64)


@lru_cache(_REPEATED)
def _sentences(cell: str) -> tuple[str | None, ...]:
    return _items(_json(cell), _sentence)


@lru_cache(_REPEATED)
def _read_back(failed: tuple[str | None, ...]) -> Array:
    """Which messages did not fail, bool[messages]."""
    return np.array([sentence is None for sentence in failed])


def _sentence(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{str(value)[:40]!r} is not a sentence")
    return value


def _three(cell: str) -> tuple[str, str, str] | None:
    found = _texts(cell)
    if found is None:
        return None
    if len(found) != 3:
        raise ValueError("it does not count by channel, by layer and head, and by value")
    return found[0], found[1], found[2]


def _texts(cell: str) -> tuple[str, ...] | None:
    if cell == "null":
        return None
    texts = tuple(cell[3:-3].split('"",""'))
    whole = len(cell) > 5 and cell[:3] + cell[-3:] == '[""""]'
    if whole and '"' not in "".join(texts) and "\\" not in cell:
        return texts
    found = _json(cell)
    return None if found is None else _items(found, str)


@lru_cache(_REPEATED)
def _words(cell: str) -> tuple[str, ...] | None:
    """The words of a declaration, which must be one."""
    found = _json(cell)
    return None if found is None else Declaration.of_words(_items(found, _word)).words()


def _word(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise ValueError(f"{str(value)[:40]!r} is not a word of a declaration")
    return value


def bad_line(name: str, number: int, why: object) -> BadInput:
    """The sentence for a line that cannot be read."""
    return BadInput(
        f"{name}, line {number}, is not a results row ({why}): restore the file or use a new one."
    )
