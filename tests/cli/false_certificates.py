"""Certificates whose claim is false, and files that are none: what `verify` must refuse."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from kvbarrier.protocols.certificates.document import LARGEST_FILE
from kvbarrier.reductions.own_keys_claim import own_bits

Document = dict[str, Any]


def false_flat(document: Document) -> Iterator[tuple[str, Document]]:
    claim = document["interference"]
    more = Fraction(1, 10**12)
    half = str(Fraction(document["scale"]) / 2)
    for name, value in [
        ("bound_bits", document["bound_bits"] + 1), ("bound_bits", document["bound_bits"] - 1),
        ("secret_bits", document["secret_bits"] + 1), ("d_v", 17), ("success", "1"),
        ("success", "99/100"), ("tolerance", {"eta": "9/10"}), ("tolerance", {"eta": "51/100"}),
        ("tolerance", {"gamma": "2/5"}), ("scale", half),
        ("logit_range", str(Fraction(document["logit_range"]) + Fraction(1, 1000))),
        ("logit_range", str(Fraction(document["logit_range"]) - Fraction(1, 1000))),
        ("interference", claim | {"key": 1}),
        ("interference", claim | {"at_least": str(Fraction(claim["at_least"]) - more)}),
        ("interference", claim | {"at_most": str(Fraction(claim["at_most"]) - more)}),
        ("interference", claim | {"at_most": "1"}),
    ]:  # fmt: skip
        yield name, document | {name: value}
    spectrum = document["keys"]["spectrum"]
    for name, value in [
        ("family", "rm2"), ("family", "hypercube"), ("n", 128), ("d", 8), ("norm", 15),
        ("entry", "1/5"), ("spectrum", spectrum[:-1]), ("spectrum", spectrum[::-1]),
        ("spectrum", [*spectrum, [16, 1]]), ("spectrum", [[p, c + 1] for p, c in spectrum]),
        ("spectrum", [[-p, c] for p, c in spectrum]),
    ]:  # fmt: skip
        yield name, document | {"keys": document["keys"] | {name: value}}


def false_rows(document: Document) -> Iterator[tuple[str, Document]]:
    data = bytearray(base64.b64decode(document["keys"]["rows"]))
    opposite = bytearray(data)
    opposite[3] ^= 128
    twin = bytearray(data)
    twin[24:48] = twin[:24]
    large = bytearray(data)
    large[:4] = struct.pack("<f", 1e30)
    broken = bytearray(data)
    broken[:4] = struct.pack("<f", float("nan"))
    for name, rows in [("opposite", opposite), ("twin", twin), ("large", large),
                       ("broken", broken), ("short", data[:-4]), ("long", data + data[:4]),
                       ("zero", bytes(len(data)))]:  # fmt: skip
        text = base64.b64encode(rows).decode()
        yield name, document | {"keys": document["keys"] | {"rows": text}}
    for name, value in [("n", 15), ("n", 1025), ("d", 7), ("d", 65536), ("seed", 2**200),
                        ("rows", document["keys"]["rows"] + "\n")]:  # fmt: skip
        yield name, document | {"keys": document["keys"] | {name: value}}
    for name, value in [("scale", "1/3"), ("scale", "0"), ("scale", "1"), ("scale", "9" * 50),
                        ("success", "1/2"), ("success", "2"), ("tolerance", {"gamma": "1/2"}),
                        ("tolerance", {"eta": "1"}), ("bound_bits", 96)]:  # fmt: skip
        yield name, document | {name: value}


def false_attack(document: Document) -> Iterator[tuple[str, Document]]:
    def changed(**fields: Any) -> Document:
        return document | {"cells": [document["cells"][0] | fields, document["cells"][1]]}

    cell = document["cells"][0]
    for name in ("messages", "asked_bits", "charged_bits", "wrong_bits", "surprise_bits"):
        for step in (1, -1):
            yield name, changed(**{name: cell[name] + step})
    for name in ("cell", "instance"):
        yield name, changed(**{name: "0" * 16})
    spec = json.loads(cell["spec"])
    for part in ({"target": "zero"}, {"budget": "1/3"}, {"params": {"a": 1}}, {"instance": {}}):
        yield "spec", changed(spec=json.dumps(spec | part))
    for text in ("[1]", "null", '{"target": 1}', "[" * 9999, '{"target":"x","instance":1e999}'):
        yield "spec", changed(spec=text)
    peak = cell["peak"]
    for part in (
        {"surprise_bits": peak["surprise_bits"] + 1}, {"message": 20}, {"message": 21},
        {"message": peak["message"] + 1}, {"sha256": "failed"}, {"sha256": "0" * 63},
    ):  # fmt: skip
        yield "peak", changed(peak=peak | part)
    first, second = cell["batches"]
    for part in (
        {"wrong": [0, *first["wrong"][1:]]}, {"charged": [0, *first["charged"][1:]]},
        {"asked": [1, *first["asked"][1:]]}, {"wrong": [513, *first["wrong"][1:]]},
        {"failed": [1] * 16}, {"failed": [2, *first["failed"][1:]]}, {"wrong": first["wrong"][1:]},
        {"batch": 1}, {"key": "a b"}, {"key": ""},
    ):  # fmt: skip
        yield "batches", changed(batches=[first | part, second])
    yield "batches", changed(batches=[second, first])
    yield "batches", changed(batches=[first, first])
    yield "batches", changed(batches=[first])
    # Whoever lowers the wrong bits in all sums has the surprise to raise as well.
    fewer = [first | {"wrong": [0] * 16}, second]
    yield "sums", changed(batches=fewer, wrong_bits=sum(second["wrong"]))
    for words in (["process", "inline"], ["inline", "inline"], ["nowhere"], [[]]):
        yield "isolation", changed(isolation=words)
    yield "cells", document | {"cells": [cell, cell]}
    yield "cells", document | {"cells": [cell] * 65}
    yield "secret", changed(secret_bits=511)


def false_own(document: Document) -> Iterator[tuple[str, Document]]:
    keys, claim = document["keys"], document["interference"]
    for name in ("rows", "queries"):
        data = base64.b64decode(keys["rows"] if name == "rows" else document["queries"])
        for change in ("opposite", "nan", "large", "short", "long", "twin", "zero"):
            changed = bytearray(data)
            if change == "opposite":
                changed[3] ^= 128
            elif change == "twin":
                changed[24:48] = changed[:24]
            elif change in ("nan", "large"):
                changed[:4] = struct.pack("<f", float("nan") if change == "nan" else 1e30)
            elif change == "zero":
                changed = bytearray(len(data))
            else:
                changed = changed[:-4] if change == "short" else changed + changed[:4]
            text = base64.b64encode(changed).decode()
            yield (
                name,
                document
                | ({"keys": keys | {"rows": text}} if name == "rows" else {"queries": text}),
            )
    norm = Fraction(document["norm"])
    tokens, levels = document["tokens"], document["levels"]
    for name, value in [
        ("norm", str(norm * (1 - Fraction(1, 10**6)))), ("norm", str(norm / 2)), ("norm", "0"),
        ("tokens", tokens[::-1]), ("tokens", tokens[1:]), ("tokens", [*tokens[:-1], 16]),
        ("tokens", [tokens[0], *tokens[:-1]]), ("tokens", [tokens[1], *tokens[1:]]),
        ("levels", levels[1:]), ("levels", [3, *levels[1:]]), ("levels", [1, *levels[1:]]),
        ("bound_bits", document["bound_bits"] + 1), ("bound_bits", document["bound_bits"] - 1),
        ("secret_bits", document["secret_bits"] + 1), ("d_v", 7), ("success", "1/2"),
        ("success", "1"), ("tolerance", {"eta": "99/100"}), ("tolerance", {"gamma": "49/100"}),
        ("keys", keys | {"n": 15}), ("keys", keys | {"d": 5}), ("keys", keys | {"n": 5000}),
        ("interference", claim | {"key": (claim["key"] + 1) % 16}),
        ("interference", claim | {"at_most": claim["at_least"]}),
        ("logit_range", str(Fraction(document["logit_range"]) + Fraction(1, 1000))),
    ]:  # fmt: skip
        yield name, document | {name: value}
    # Whoever claims more levels of a token has the bits to raise as well.
    more = [*levels[:-1], levels[-1] * 2]
    secret, bound = own_bits(more, document["d_v"], Fraction(document["success"]))
    yield "levels", document | {"levels": more, "secret_bits": secret, "bound_bits": bound}


FALSE = {"flat": false_flat, "rows": false_rows, "own": false_own, "attack": false_attack}


HOSTILE: list[str | bytes] = [
    b"", b"\x00" * 100, b"\xff\xfe{}", "\ufeff{}", "{", "[]", "null", "1", '"x"', "{}", "NaN",
    '{"format": NaN}', '{"format": -Infinity}', '{"format": 1e400}', '{"format": 1.0}',
    '{"a": ' + "9" * 100_000 + "}", '{"a": -' + "9" * 61 + "}", "[" * 500_000, '{"a":' * 100_000,
    "[" * 9 + "]" * 9, '{"a":' * 9 + "1" + "}" * 9, b" " * (LARGEST_FILE + 1),
    '{"a": [' + "[]," * 340_000 + "[]]}", "{" + '"a":1,' * 100_000 + '"b":1}',
    '{"format": "kvbarrier-certificate", "version": 2}',
    '{"format": "kvbarrier-certificate", "version": true}',
    '{"format": "kvbarrier-certificate", "version": 1, "sha256": []}',
    '{"\\ud800": 1}', '{"a": "\\u0000"}', "\u2028", "{'format': 1}", '{"a": 1} x',
    "__import__('os')", b"\x80\x04\x95", b"PK\x03\x04",
]  # fmt: skip
