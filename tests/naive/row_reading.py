"""A line of a results file read by itself, cell by cell: what ``runs/row_reading.py`` must find."""

from __future__ import annotations

import csv
import json
import math
from typing import Any

from kvbarrier.compressors.plugin.declaration import Declaration
from kvbarrier.protocols.evidence.row_counts import counts_of
from kvbarrier.protocols.game.cell import LONGEST_TEXT, check_spec
from kvbarrier.protocols.game.instance import digest
from kvbarrier.runs.row_reading import LARGEST_BATCH, MOST_CHARGED_BITS, MOST_SECRET_BITS
from kvbarrier.runs.rows import COLUMNS, SCHEMAS, BatchRow


def parse_line(line: str) -> BatchRow:
    values = next(csv.reader([line], strict=True))
    if not any(values):
        raise ValueError("it is empty")
    columns = SCHEMAS.get(whole(values[0]))
    if columns is None:
        raise ValueError(f"its schema is {values[0]}, and this version reads schemas 1, 2, 3")
    if len(values) != len(columns):
        raise ValueError(f"it has {len(values)} fields instead of {len(columns)}")
    field = dict.fromkeys(COLUMNS, "null") | dict(zip(columns, values, strict=True))
    row = BatchRow(
        instance=field["instance"],
        cell=field["cell"],
        source=field["source"],
        batch=whole(field["batch"]),
        spec=canonical(field["spec"]),
        key=field["key"],
        isolation=field["isolation"],
        streaming={"yes": True, "no": False}[field["streaming"]],
        wrong_by_age=tuple(counts(message) for message in listed(field["wrong_by_age"])),
        asked_by_age=tuple(counts(message) for message in listed(field["asked_by_age"])),
        secret=whole(field["secret"]),
        charged=counts(json.loads(field["charged"])),
        payload=counts(json.loads(field["payload"])),
        failed=tuple(sentence(value) for value in listed(field["failed"])),
        seconds=float(field["seconds"]),
        versions=canonical(field["versions"]),
        host=canonical(field["host"]),
        wrong_by_row=texts(field["wrong_by_row"]),
        wrong_by_place=three(field["wrong_by_place"]),
        declares=words(field["declares"]),
    )
    check(row, counts(json.loads(field["wrong"])), counts(json.loads(field["asked"])))
    return row


def check(row: BatchRow, wrong: tuple[int, ...], asked: tuple[int, ...]) -> None:
    lists = [row.wrong_by_age, row.asked_by_age, row.payload, row.failed]
    lists += [] if row.wrong_by_row is None else [row.wrong_by_row]
    if any(len(found) != row.size for found in lists) or row.size == 0:
        raise ValueError("its lists differ in length")
    if wrong != row.wrong or asked != row.asked:
        raise ValueError("its totals are not the sums over age buckets")
    for w, a in zip(row.wrong_by_age, row.asked_by_age, strict=True):
        if (len(w), len(a)) != (16, 16) or any(x > y for x, y in zip(w, a, strict=True)):
            raise ValueError("a message does not have 16 age buckets with wrong <= asked")
    if min(asked) <= 0 or max(asked) > row.secret:
        raise ValueError("a message was asked for no bits, or for more than the secret has")
    if row.wrong_by_row is not None and [total(text) for text in row.wrong_by_row] != list(wrong):
        raise ValueError("its totals are not the sums over rows")
    spec = json.loads(row.spec)
    if (digest(spec), digest(spec["instance"])) != (row.cell, row.instance):
        raise ValueError("its ids do not match its spec")
    if row.wrong_by_place is not None:
        told = sum(w for w, failed in zip(wrong, row.failed, strict=True) if failed is None)
        if any(total(text) != told for text in row.wrong_by_place):
            raise ValueError("its totals are not the sums over channels, heads and values")
        heads = spec["instance"].get("layers", 1) * spec["instance"].get("heads", 1)
        if [len(counts_of(text)) for text in row.wrong_by_place[1:]] != [heads, 2]:
            raise ValueError(f"its counts by place are not those of {heads} heads and two values")
    if row.batch >= LARGEST_BATCH:
        raise ValueError(f"its batch must be below {LARGEST_BATCH}")
    if row.secret > MOST_SECRET_BITS:
        raise ValueError(f"its secret must have at most {MOST_SECRET_BITS} bits")
    if max(row.charged) > MOST_CHARGED_BITS or max(row.payload) > 1 << 30:
        raise ValueError(f"its messages must have at most {1 << 30} bytes")
    if not (math.isfinite(row.seconds) and row.seconds >= 0):
        raise ValueError("its seconds are not a length of time")
    check_spec(spec)
    if spec["batch_size"] != row.size:
        raise ValueError("it does not have as many messages as its spec says")


def whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(f"'{text[:40]}' is not a whole number below 10^18")
    return int(text)


def canonical(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), allow_nan=False)


def listed(text: str) -> list[Any]:
    return a_list(json.loads(text))


def a_list(found: Any) -> list[Any]:
    if not isinstance(found, list):
        raise ValueError(f"{str(found)[:40]!r} is not a list")
    return found


def counts(values: Any) -> tuple[int, ...]:
    for value in a_list(values):
        if type(value) is not int or value < 0:
            raise ValueError(f"{str(value)[:40]!r} is not a count")
    return tuple(values)


def sentence(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{str(value)[:40]!r} is not a sentence")
    return value


def texts(text: str) -> tuple[str, ...] | None:
    found = json.loads(text)
    return None if found is None else tuple(str(value) for value in a_list(found))


def three(text: str) -> tuple[str, str, str] | None:
    found = texts(text)
    if found is not None and len(found) != 3:
        raise ValueError("it does not count by channel, by layer and head, and by value")
    return found  # type: ignore[return-value]


def words(text: str) -> tuple[str, ...] | None:
    found = json.loads(text)
    if found is None:
        return None
    for word in a_list(found):
        if not isinstance(word, str) or len(word) > LONGEST_TEXT:
            raise ValueError(f"{str(word)[:40]!r} is not a word of a declaration")
    return Declaration.of_words(tuple(found)).words()


def total(text: str) -> int:
    return sum(counts_of(text).tolist())
