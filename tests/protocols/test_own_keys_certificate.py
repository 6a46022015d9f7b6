"""Certificates of own keys: what is written is accepted, by numbers derived by hand, in time."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.protocols.certificates.document import digest
from kvbarrier.protocols.certificates.of_own_keys import own_keys_certificate
from kvbarrier.protocols.certificates.verify import (
    FalseClaim,
    verify,
    verify_document,
    write_certificate,
)
from kvbarrier.reductions.own_keys import own_limit, own_tokens
from kvbarrier.reductions.own_keys_claim import check_own_sizes, own_bits

from .test_certificate import SCHEMA, fits

GUARANTEES: list[dict[str, Any]] = [
    {}, {"eta": 0.0}, {"eta": 0.9}, {"values": "pm1"}, {"eta": None, "gamma": 0.01},
    {"eta": None, "gamma": 0.3, "values": "pm1"}, {"eta": None, "gamma": 0.0},
]  # fmt: skip


def keys(n: int, d: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) + rng.normal(size=d)).astype(np.float32)


def again(document: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Changed, with the bits and the digest that belong to it."""
    other = document | changed
    secret, bound = own_bits(other["levels"], other["d_v"], Fraction(other["success"]))
    other |= {"secret_bits": secret, "bound_bits": bound}
    return other | {"sha256": digest(other)}


@pytest.mark.parametrize("guarantee", GUARANTEES)
@pytest.mark.parametrize("success", [0.9, 1.0])
def test_what_is_written_is_accepted(guarantee: Any, success: float, tmp_path: Path) -> None:
    found = own_tokens(keys(96, 24), 2.0, **guarantee)
    limit = own_limit(found, success, 10)
    document = own_keys_certificate(found, success, 10)
    assert fits(document, SCHEMA)
    written = write_certificate(tmp_path / "c.json", document)
    assert verify(tmp_path / "c.json") == written
    assert 0 <= limit.bound_bits - written.facts["bound_bits"] < 1 + 1e-6
    assert written.facts["certified_tokens"] == limit.certified_tokens > 20
    assert json.loads((tmp_path / "c.json").read_text())["tokens"] == (
        np.flatnonzero(found.certified).tolist()
    )


def test_bits_by_hand() -> None:
    """50 levels at success 9/10: log2 50 - h(1/10) - log2(49)/10 = 4.6133 bits."""
    expected = math.log2(50) + 0.1 * math.log2(0.1) + 0.9 * math.log2(0.9) - 0.1 * math.log2(49)
    assert own_bits([50] * 1000, 1, Fraction(9, 10)) == (
        math.floor(1000 * math.log2(50)), math.floor(1000 * expected),
    )  # fmt: skip


def test_a_level_more_is_refused() -> None:
    document = own_keys_certificate(own_tokens(keys(64, 16), 3.0, eta=None, gamma=0.01), 0.9, 16)
    assert max(document["levels"]) > 8
    for at in range(0, len(document["levels"]), 7):
        levels = list(document["levels"])
        levels[at] += 1
        with pytest.raises(FalseClaim, match="levels of token"):
            verify_document(again(document, levels=levels))
        levels[at] -= 2
        if levels[at] > 1:
            verify_document(again(document, levels=levels))


def test_a_token_that_is_not_certified_is_refused() -> None:
    found = own_tokens(keys(64, 12), 1.5)
    left = np.flatnonzero(~found.certified)
    assert len(left) > 3
    for at in left[:8]:
        queries = found.queries.copy()
        pushed = replace(found, interference=np.where(np.arange(64) == at, 0.0, found.interference))
        assert pushed.certified[at]
        with pytest.raises(FalseClaim, match=r"key|token"):
            own_keys_certificate(replace(pushed, queries=queries), 0.9, 12)


def test_nothing_certified_and_too_many_tokens() -> None:
    with pytest.raises(BadInput, match="nothing to certify"):
        own_keys_certificate(own_tokens(keys(32, 8), 0.01), 0.9, 8)
    with pytest.raises(BadInput, match="first so many tokens"):
        check_own_sizes(5000, 4, 1)


def test_512_tokens_of_64_numbers_take_two_seconds() -> None:
    found = own_tokens(keys(512, 64), 1.5)
    assert found.certified.sum() > 400
    document = own_keys_certificate(found, 0.9, 64)
    start = time.process_time()
    verify_document(document)
    assert time.process_time() - start < 2
