"""Certificates: what we write is accepted, and the numbers are those derived by hand."""

from __future__ import annotations

import ast
import base64
import json
import math
import re
import struct
from collections import Counter
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.protocols.certificates import (
    counts as certificate_counts,
)
from kvbarrier.protocols.certificates import (
    index as certificate_index,
)
from kvbarrier.protocols.certificates import (
    own_keys as certificate_own_keys,
)
from kvbarrier.protocols.certificates.document import digest, parse_document
from kvbarrier.protocols.certificates.of_limit import limit_certificate
from kvbarrier.protocols.certificates.verify import (
    FalseClaim,
    verify,
    verify_document,
    write_certificate,
)
from kvbarrier.protocols.evidence import ledger
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.instance import digest as spec_digest
from kvbarrier.protocols.game.instances import Index
from kvbarrier.protocols.players import channel
from kvbarrier.reductions import exact_spectra, intervals, packed_walsh, row_interference
from kvbarrier.reductions import keys as key_sets
from kvbarrier.reductions.keys import gf2m
from kvbarrier.reductions.limit import index_limit

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "certificate.schema.json").read_text())
FLAT = [
    ("hypercube", 512, 64), ("hypercube", 2**60, 64), ("rm1", None, 64), ("rm2", None, 1024),
    ("rm2", 4096, 64), ("kerdock", None, 16), ("kerdock", None, 64), ("kerdock", 1024, 64),
    ("gold", None, 64), ("gold", 4096, 64), ("bch", None, 32), ("bch", 65536, 64),
    ("bch", 2**22, 128), ("delsarte-goethals", None, 64), ("delsarte-goethals", 2**15, 64),
    ("devore", None, 64), ("devore", None, 25), ("kissing", None, 4), ("kissing", None, 8),
    ("kissing", None, 16),
]  # fmt: skip
ROWS = [
    ("jl", 128, 64), ("jl-raw", 64, 64), ("greedy", 64, 64), ("circle", 32, 2), ("sphere", 40, 3),
    ("hypercube", 100, 8), ("rm1", 40, 32), ("kissing", 100, 8),
]  # fmt: skip
CHECKER = [
    "protocols/certificates/verify.py", "protocols/certificates/document.py",
    "protocols/certificates/counts.py", "protocols/certificates/index.py",
    "protocols/certificates/own_keys.py", "reductions/own_keys_claim.py",
    "reductions/certificate_claim.py", "reductions/exact_spectra.py", "reductions/form_ranks.py",
    "reductions/intervals.py", "reductions/packed_walsh.py", "reductions/row_interference.py",
]  # fmt: skip
GUARANTEES: list[dict[str, Any]] = [
    {"eta": 0.0}, {"eta": 0.9}, {"values": "pm1"}, {"eta": None, "gamma": 0.1},
    {"eta": None, "gamma": 0.3, "values": "pm1"}, {"success": 1.0}, {"success": 0.75},
]  # fmt: skip
TABLE = [(*keys, {}) for keys in FLAT + ROWS] + [
    (*keys, guarantee)
    for keys in (("kerdock", None, 16), ("jl", 32, 16))
    for guarantee in GUARANTEES
]


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """JSON Schema, as much of it as docs/certificate.schema.json uses; another keyword is a bug."""
    for word, what in schema.items():
        if word == "$ref":
            ok = fits(value, SCHEMA["$defs"][what.removeprefix("#/$defs/")])
        elif word == "oneOf":
            ok = sum(fits(value, one) for one in what) == 1
        elif word == "const":
            ok = type(value) is type(what) and value == what
        elif word == "enum":
            ok = any(type(value) is type(one) and value == one for one in what)
        elif word == "type":
            ok = type(value) is {"object": dict, "array": list, "string": str, "integer": int}[what]
        elif word == "properties":
            ok = all(fits(value[name], one) for name, one in what.items() if name in value)
        elif word == "required":
            ok = set(what) <= set(value)
        elif word == "additionalProperties":
            assert what is False
            ok = set(value) <= set(schema["properties"])
        elif word == "items":
            ok = all(fits(item, what) for item in value)
        elif word in ("minItems", "minimum"):
            ok = (len(value) if word == "minItems" else value) >= what
        elif word in ("maxItems", "maximum"):
            ok = (len(value) if word == "maxItems" else value) <= what
        elif word == "pattern":
            ok = re.search(what, value) is not None
        else:
            assert word in ("$schema", "$id", "title", "description", "$defs"), word
            ok = True
        if not ok:
            return False
    return True


@pytest.mark.parametrize(("family", "n", "d", "guarantee"), TABLE)
def test_every_bound_that_is_certified_is_accepted(family, n, d, guarantee, tmp_path) -> None:
    limit = index_limit(family, n, d, **guarantee)
    document = limit_certificate(limit)
    written = write_certificate(tmp_path / "c.json", document)
    text = (tmp_path / "c.json").read_text()
    assert parse_document(text.encode()) == document
    assert fits(document, SCHEMA)
    verdict = verify(tmp_path / "c.json")
    assert verdict == written
    assert verdict.facts["bound_bits"] == pytest.approx(limit.bound_bits, abs=1, rel=1e-12)
    assert verdict.facts["bound_bits"] <= limit.bound_bits * (1 + 1e-12)
    # The float32 query's scale is within half a unit of the last place of the limit's.
    assert float(Fraction(document["scale"])) == pytest.approx(limit.scale, rel=2**-23)
    assert 0 <= float(Fraction(document["logit_range"])) - limit.logit_range < 0.002
    sentence = verdict.sentence
    assert sentence.isascii()
    assert "\n" not in sentence
    assert f"at least {document['bound_bits']} bits of entropy" in sentence
    assert ("rows" in document["keys"]) == ("(rounded to float32)" in sentence)


def test_all_key_families_are_certified() -> None:
    assert {family for family, *_ in FLAT + ROWS} == set(key_sets.names())
    assert {family for family, *_ in FLAT} == set(exact_spectra.DERIVED) == set(exact_spectra.TAKEN)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("jl", 2048, 64), "use a smaller n"),
        (("bch", 2**26, 128), "too large for verify to count again"),
    ],
)
def test_what_cannot_be_certified_is_told_with_a_way_out(arguments, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        limit_certificate(index_limit(*arguments))


def test_a_certificate_too_large_to_be_read_is_not_written(tmp_path, monkeypatch) -> None:
    from kvbarrier.protocols.certificates import verify as certificate

    monkeypatch.setattr(certificate, "LARGEST_FILE", 500)
    with pytest.raises(BadInput, match="at most 500 are read"):
        write_certificate(tmp_path / "c.json", limit_certificate(index_limit("rm1", None, 16)))
    assert list(tmp_path.iterdir()) == []


def test_the_schema_names_what_verify_expects_and_nothing_else() -> None:
    kinds = {
        "index-bound": certificate_index.NAMES, "flat-keys": certificate_index.FLAT,
        "key-rows": certificate_index.ROWS, "attack-counts": certificate_counts.NAMES,
        "own-keys-bound": certificate_own_keys.NAMES, "own-rows": ("n", "d", "rows"),
        "cell": certificate_counts.CELL, "batch": certificate_counts.BATCH,
    }  # fmt: skip
    for kind, names in kinds.items():
        schema = SCHEMA["$defs"][kind]
        assert set(schema["properties"]) == set(schema["required"]) == set(names)
    peak = SCHEMA["$defs"]["cell"]["properties"]["peak"]
    assert set(peak["properties"]) == set(peak["required"]) == set(certificate_counts.PEAK)
    families = SCHEMA["$defs"]["flat-keys"]["properties"]["family"]["enum"]
    assert set(families) == set(exact_spectra.DERIVED)

    def strict(part: Any) -> bool:
        parts = part.values() if isinstance(part, dict) else part if isinstance(part, list) else []
        is_object = isinstance(part, dict) and part.get("type") == "object"
        if is_object and (
            part["additionalProperties"] is not False
            or set(part["required"]) != set(part["properties"])
        ):
            return False
        return all(map(strict, parts))

    assert strict(SCHEMA)


def test_the_schema_refuses_what_is_no_certificate() -> None:
    document = limit_certificate(index_limit("rm1", None, 16))
    assert fits(document, SCHEMA)
    for name, value in (
        ("version", 2), ("scale", 1.5), ("scale", "1e3"), ("d_v", True), ("values", "10"),
        ("tolerance", {}), ("keys", {}), ("more", 1),
    ):  # fmt: skip
        assert not fits({**document, name: value}, SCHEMA)
    assert not fits({k: v for k, v in document.items() if k != "sha256"}, SCHEMA)


# ---------------------------------------------------------------------- by hand


def hypercube_16(scale: Fraction) -> dict[str, Any]:
    """The 16 sign vectors of dimension 4, eta = 1/2, with whatever interference that claims."""
    document = limit_certificate(index_limit("hypercube", 16, 4))
    with mpmath.workdps(60):
        S = (1 + mpmath.exp(-mpmath.mpf(scale.numerator) / scale.denominator / 2)) ** 4 - 1
        low = int(mpmath.floor(S * 10**12))
    document |= {
        "scale": str(scale),
        "interference": {
            "key": 0,
            "at_least": str(Fraction(low, 10**12)),
            "at_most": str(Fraction(low + 1, 10**12)),
        },
        "logit_range": str(Fraction(math.ceil(scale * 1000), 1000)),
    }
    return document | {"sha256": digest(document)}


def test_the_hypercube_is_separated_from_its_exact_scale_on() -> None:
    """k in {-1/2,1/2}^4 differ in w places in C(4,w) ways, then <k_l,k_i> - 1 = -w/2. So

    S' = sum_w C(4,w) e^{-Cw/2} - 1 = (1 + e^{-C/2})^4 - 1, and 3 S' < 1 iff C > C*,
    C* = -2 ln((4/3)^{1/4} - 1).
    """
    with mpmath.workdps(50):
        threshold = -2 * mpmath.log(mpmath.root(mpmath.mpf(4) / 3, 4) - 1)
        below = Fraction(int(mpmath.floor(threshold * 2**20)), 2**20)
    above = below + Fraction(1, 2**20)
    verdict = verify_document(hypercube_16(above))
    assert verdict.facts["condition"] == "M01"
    with pytest.raises(FalseClaim, match="condition M01 asks 1"):
        verify_document(hypercube_16(below))
    # One bound of S' off by its last digit is another number.
    wrong = hypercube_16(above)
    at_most = Fraction(wrong["interference"]["at_most"]) + Fraction(1, 10**12)
    wrong["interference"] = {**wrong["interference"], "at_most": str(at_most)}
    with pytest.raises(FalseClaim, match="'interference'"):
        verify_document(wrong | {"sha256": digest(wrong)})


#: weight distributions from MacWilliams & Sloane (1977): how many words have which weight
WEIGHTS = {
    ("rm1", 32, 16): {0: 1, 8: 30, 16: 1},
    ("kerdock", 256, 16): {0: 1, 6: 112, 8: 30, 10: 112, 16: 1},  # Nordstrom-Robinson
    ("bch", 128, 16): {0: 1, 6: 48, 8: 30, 10: 48, 16: 1},
    ("rm2", 2048, 16): {0: 1, 4: 140, 6: 448, 8: 870, 10: 448, 12: 140, 16: 1},
    ("delsarte-goethals", 2048, 16): {0: 1, 4: 140, 6: 448, 8: 870, 10: 448, 12: 140, 16: 1},
    ("bch", 2**16, 32): {0: 1, 8: 620, 12: 13888, 16: 36518, 20: 13888, 24: 620, 32: 1},
    ("rm2", 2**16, 32): {0: 1, 8: 620, 12: 13888, 16: 36518, 20: 13888, 24: 620, 32: 1},
    ("bch", 2**11, 32): {0: 1, 12: 496, 16: 1054, 20: 496, 32: 1},
}


@pytest.mark.parametrize("which", WEIGHTS)
def test_spectra_of_codes_are_the_published_weight_distributions(which) -> None:
    d = which[2]
    expected = {d - 2 * w: count for w, count in WEIGHTS[which].items() if w}
    assert dict(exact_spectra.flat_spectrum(*which).counts) == expected


@pytest.mark.parametrize(
    ("d", "cosines"),
    [  # Conway & Sloane (1999), ch. 4 and 14
        (8, {"-1": 1, "-1/2": 56, "0": 126, "1/2": 56}),
        (16, {"-1": 1, "-1/2": 280, "-1/4": 1024, "0": 1710, "1/4": 1024, "1/2": 280}),
        (24, {"-1": 1, "-1/2": 4600, "-1/4": 47104, "0": 93150, "1/4": 47104, "1/2": 4600}),
    ],
)
def test_kissing_spectra_are_the_published_ones(d: int, cosines: dict[str, int]) -> None:
    found = exact_spectra.flat_spectrum("kissing", sum(cosines.values()) + 1, d)
    assert {str(Fraction(p, found.norm)): c for p, c in found.counts} == cosines


def test_devore_counts_the_roots_of_polynomials() -> None:
    roots = Counter(
        sum((a + b * x + c * x * x) % 3 == 0 for x in range(3))
        for a, b, c in product(range(3), repeat=3)
    )
    roots[3] -= 1  # the key itself
    assert dict(exact_spectra.flat_spectrum("devore", 27, 9).counts) == +roots


@pytest.mark.parametrize(
    ("family", "n", "d"),
    [key for key in FLAT if (key[1] or key_sets.default_n(key[0], key[2])) * key[2] <= 1 << 22],
)
def test_every_key_sees_the_spectrum(family: str, n: int | None, d: int) -> None:
    keys = key_sets.make(family, n, d)
    found = exact_spectra.flat_spectrum(family, keys.n, d)
    rows = np.asarray(keys.rows, dtype=np.float64)
    for i in np.random.default_rng(1).choice(keys.n, 8):
        seen = Counter(np.rint(rows @ rows[i] / float(found.entry) ** 2).astype(int).tolist())
        seen[found.norm] -= 1
        assert dict(found.counts) == +seen


def test_fields_are_those_of_the_key_sets() -> None:
    for m, polynomial in packed_walsh.POLYNOMIALS.items():
        field = packed_walsh.Field(m)
        assert len(set(field.powers)) == 2**m - 1  # primitive
        if m in gf2m.POLYNOMIALS:
            assert gf2m.POLYNOMIALS[m] == polynomial


def test_the_bits_are_the_floor_exactly() -> None:
    """N (1 - h(1/10)) = log2 of 2^N 9^{9N/10} / 10^N, in integers for N = 10 j."""
    for j in (1, 7, 100, 333):
        bits = intervals.fano_bits(10 * j, Fraction(9, 10))
        exact = Fraction(2 ** (10 * j) * 9 ** (9 * j), 10 ** (10 * j))
        assert 2**bits <= exact < 2 ** (bits + 1)


@pytest.mark.parametrize(
    ("N", "k"), [(2049, 65), (2049, 1024), (4096, 100), (20000, 5000), (20000, 9999), (99999, 300)]
)
def test_surprise_is_never_overstated(N: int, k: int) -> None:
    """log2((N+1) C(N,k)) between its integers, exactly; Robbins' bounds give away below 1e-5."""
    assert N > intervals._EXACT_N
    exact = N - 777 - ((N + 1) * math.comb(N, k) - 1).bit_length()
    for wrong in (k, N - k):
        assert intervals.surprise_bits_floor(N, 777, wrong) == exact
    assert exact <= float(ledger.surprise_bits(N, 777, k)) + 1e-5 < exact + 1 + 2e-5


def test_rows_are_bounded_from_both_sides() -> None:
    rows = key_sets.make("jl", 24, 5).rows.tolist()
    queries = row_interference.sent_queries(rows, Fraction(9))
    found = row_interference.row_interference(rows, queries)
    for i, q in enumerate(queries):
        exact = [sum(Fraction(a) * Fraction(b) for a, b in zip(q, k, strict=True)) for k in rows]
        with mpmath.workdps(40):
            values = [mpmath.mpf(x.numerator) / x.denominator for x in exact]
            S = sum(mpmath.exp(v - values[i]) for l, v in enumerate(values) if l != i)
            assert float(found.below[i]) <= S <= float(found.above[i]) * (1 + 1e-15)
            assert mpmath.exp(-values[i]) <= float(found.zero[i]) * (1 + 1e-15)
        assert found.above[i] - found.below[i] < found.above[i] / 10**6
        assert max(map(abs, exact)) <= found.logit_range


def test_keys_that_do_not_stand_out_prove_nothing() -> None:
    document = limit_certificate(index_limit("circle", 16, 2))
    data = bytearray(base64.b64decode(document["keys"]["rows"]))
    data[8:16] = data[:8]  # key 1 is key 0
    document["keys"]["rows"] = base64.b64encode(data).decode()
    with pytest.raises(
        FalseClaim, match="key 0 does not stand out: key 1 has an equal or larger score"
    ):
        verify_document(document | {"sha256": digest(document)})


def test_the_checker_agrees_with_the_rest_of_the_house() -> None:
    assert certificate_counts.FAILED_CHARGE == channel.FAILED_CHARGE
    assert certificate_counts.LINE_BITS == ledger.LINE_BITS
    spec = Cell(Index(n=32, d=16, keys="hypercube"), "exact").spec()
    assert certificate_counts._digest(spec) == spec_digest(spec)
    assert intervals.PRECISION > 64
    for norm in range(1, 300):
        rounded = struct.unpack("<f", struct.pack("<f", float(1 / np.sqrt(norm))))[0]
        assert abs(exact_spectra.nearest_inverse_root(norm) - Fraction(rounded)) == 0


def test_the_checker_has_no_way_to_run_what_it_reads() -> None:
    for path in CHECKER:
        tree = list(ast.walk(ast.parse((ROOT / path).read_text())))
        names = {node.id for node in tree if isinstance(node, ast.Name)}
        imports = [node for node in tree if isinstance(node, ast.Import)]
        imported = {alias.name.split(".")[0] for node in imports for alias in node.names}
        imported |= {
            str(node.module).split(".")[0]
            for node in tree
            if isinstance(node, ast.ImportFrom) and not node.level
        }
        assert not names & {"eval", "exec", "compile", "__import__"}
        assert imported <= {
            "__future__", "base64", "binascii", "collections", "dataclasses", "fractions",
            "functools", "hashlib", "itertools", "json", "math", "mpmath", "operator", "os",
            "pathlib", "re", "shlex", "stat", "struct", "sys", "typing",
        }  # fmt: skip
