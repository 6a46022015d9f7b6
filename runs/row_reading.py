"""Lines of a results file read back, within limits: a file may come from anybody.

Anybody can compute the ids of a row, so neither its spec nor its counts are trusted.

Lines are read column by column. A text that stands in many rows is read once; the counts, which
differ from row to row, are read as one array and checked together. Lists that are not written as
:mod:`.rows` writes them are read cell by cell, as JSON, to the same end.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    """Counts by age of the messages of rows: an item a row, and all of them after one another.

    ``totals``: int[messages]. ``ages``: int[messages, 16], or None if one has other buckets.
    """

    rows: list[Counts16]
    totals: Array
    ages: Array | None


def read_lines(data: bytes) -> list[BatchRow]:
    """Read whole lines back, of any schemas: a row of each.

    Raises one of WRONG, which says what is wrong with one of them: read a line alone to know that
    it is this one.
    """
    field = dict(zip(COLUMNS, _columns(data.decode()), strict=True))
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
    said = _lists(field["wrong"]), _lists(field["asked"])

    sizes = list(map(len, charged))
    of_messages = wrong.rows, [table.rows[0] for table in asked], payload, failed
    lengths = [list(map(len, column)) for column in of_messages]
    lengths.append([n if t is None else len(t) for t, n in zip(by_row, sizes, strict=True)])
    if any(found != sizes for found in lengths) or 0 in sizes:
        raise ValueError("its lists differ in length")
    _check_totals(said, sizes, wrong, asked, secret)
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


def _columns(text: str) -> list[Sequence[str]]:
    """The fields of lines by column, inner quotes doubled, and ``null`` for what is not there."""
    columns = columns_of(text) or [[""]]
    lengths = [len(names) for schema, names in SCHEMAS.items() if {str(schema)} == set(columns[0])]
    if lengths != [len(columns)]:
        lines = text.split("\n")[:-1]
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


def _check_totals(
    said: Iterable[tuple[list[int], Array]],
    sizes: list[int],
    wrong: _Tables,
    asked: Sequence[_Tables],
    secret: list[int],
) -> None:
    totals = wrong.totals, np.concatenate([table.totals for table in asked])
    for (lengths, counts), sums in zip(said, totals, strict=True):
        if lengths != sizes or np.any(counts != sums):
            raise ValueError("its totals are not the sums over age buckets")
    ages = [table.ages for table in (wrong, *asked) if table.ages is not None]
    if len(ages) != 1 + len(asked) or np.any(ages[0] > np.concatenate(ages[1:])):
        raise ValueError("a message does not have 16 age buckets with wrong <= asked")
    if np.any(totals[1] <= 0) or np.any(totals[1] > np.repeat(secret, sizes)):
        raise ValueError("a message was asked for no bits, or for more than the secret has")


def _check_texts(
    by_row: Sequence[tuple[str, ...] | None],
    by_place: Sequence[tuple[str, str, str] | None],
    specs: Sequence[_Spec],
    failed: Sequence[Sequence[str | None]],
    totals: Array,
) -> None:
    sizes = list(map(len, failed))
    counted = totals[np.repeat([texts is not None for texts in by_row], sizes)]
    every = chain.from_iterable(filter(None, chain(by_row, by_place)))
    sums, lengths = sums_of(list(every))
    if np.any(sums[: len(counted)] != counted):
        raise ValueError("its totals are not the sums over rows")
    placed = [texts is not None for texts in by_place]
    told = totals * [sentence is None for sentences in failed for sentence in sentences]
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
    flat = _numbers(cells, map(_table_without_numbers, sizes))
    if flat is not None:
        messages = zip(*[iter(flat.tolist())] * AGE_BUCKETS, strict=True)
        ages = flat.reshape(-1, AGE_BUCKETS)
        return _Tables([tuple(islice(messages, n)) for n in sizes], ages.sum(axis=1), ages)
    rows = [_items(_json(cell), lambda message: _items(message, _count)) for cell in cells]
    every = list(chain.from_iterable(rows))
    even = set(map(len, every)) == {AGE_BUCKETS}
    return _Tables(rows, _array(map(sum, every)), np.array(every, dtype=object) if even else None)


@lru_cache(_REPEATED)
def _table(cell: str) -> _Tables:
    """What was asked: the same of every row of a cell, and so kept once."""
    return _tables([cell])


def _lists(cells: Sequence[str]) -> tuple[list[int], Array]:
    """The lengths of lists of counts, and the counts of all of them."""
    sizes = [cell.count(",") + 1 for cell in cells]
    flat = _numbers(cells, ("[" + "," * (n - 1) + "]" for n in sizes))
    if flat is not None:
        return sizes, flat
    lists = [_items(_json(cell), _count) for cell in cells]
    return list(map(len, lists)), _array(chain.from_iterable(lists))


@lru_cache(_REPEATED)
def _counts(cell: str) -> tuple[int, ...]:
    """What was asked or charged: often the same in every row."""
    return _items(_json(cell), _count)


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{str(value)[:40]!r} is not a count")
    return value


def _array(counts: Iterable[int]) -> Array:
    """Integers of any size, exactly."""
    return np.array(list(counts), dtype=object)


@lru_cache(_REPEATED)
def _table_without_numbers(messages: int) -> str:
    return "[" + ",".join(["[" + "," * (AGE_BUCKETS - 1) + "]"] * messages) + "]"


def _numbers(cells: Sequence[str], without: Iterable[str]) -> Array | None:
    """The numbers of lists written without a space, int64, or None if they are not so written.

    ``without``: what each cell must be when its digits are left out.
    """
    said = ",".join(cells).encode()
    if said.translate(None, b"0123456789") != ",".join(without).encode():
        return None
    code = np.frombuffer(said, dtype=np.uint8)
    digit, opens, comma = code - np.uint8(ord("0")) < 10, code == ord("["), code == ord(",")
    # A number or a list begins after [ and after a comma, and nowhere else.
    begins = opens | digit
    begins[1:] &= ~(digit[:-1] & digit[1:])
    if np.any((opens | comma)[:-1] != begins[1:]):
        return None
    numbers = np.fromstring(said.translate(None, b"[]"), dtype=np.int64, sep=",")
    largest = int(numbers.max(initial=0))
    digits = numbers.size + sum(
        np.count_nonzero(numbers >= 10**k) for k in range(1, len(str(largest)))
    )
    # As many digits as were written: no zero before a number, and none beyond an int64.
    return numbers if largest < 10**15 and digits == np.count_nonzero(digit) else None


@lru_cache(_REPEATED)
def _sentences(cell: str) -> tuple[str | None, ...]:
    return _items(_json(cell), _sentence)


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
    if cell[:3] + cell[-3:] == '[""""]' and cell.count('"') == 4 * len(texts) and "\\" not in cell:
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
