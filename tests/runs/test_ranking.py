"""The ranking at a given memory; expected values are counted by hand."""

from __future__ import annotations

from kvbarrier.runs.ranking import rank_rows


def point(name: str, bits: float, error: float, half: float, **other: object) -> dict:
    """A point at ``bits`` a number: of n = 32 tokens and d = 16, M/N is twice that."""
    return {
        "compressor": name, "params": {}, "reduction": "index", "keys": "jl", "n": 32, "d": 16,
        "layers": 1, "heads": 1, "queries": "zero", "basis": "literal", "bob": "threshold",
        "budget": bits / 16, "bits_per_secret_bit": 2 * bits, "compression_ratio": 16 / bits,
        "charged_bits": int(1024 * bits), "wrong_bits": 1, "asked_bits": 512, "messages": 8,
        "bit_error": {"estimate": error, "low": max(0, error - half), "high": error + half,
                      "level": 0.95},
        "guarantee": {"verdict": "undecided", "null": {"name": "coordinate"}},
        "ledger": {"verdict": "not-excluded"},
    } | other  # fmt: skip


def ranks(rows: list[dict], memory: str) -> list[tuple]:
    return [(row["rank"], row["compressor"]) for row in rows if row["memory"] == memory]


def test_each_memory_has_its_own_order() -> None:
    # a is best at its best setting, 8 bits; at 2 and 4 bits b is: the order of the old report.
    points = [
        point("a", 2, 0.4, 0.01), point("a", 8, 0.0, 0.01),
        point("b", 2, 0.2, 0.01), point("b", 8, 0.1, 0.01), point("c", 5, 0.3, 0.01),
    ]  # fmt: skip
    rows = rank_rows(points)
    assert ranks(rows, "1/8") == [(1, "b"), (2, "a"), (None, "c")]
    assert ranks(rows, "1/4") == [(1, "b"), (2, "a"), (None, "c")]
    assert ranks(rows, "1/2") == [(1, "a"), (2, "b"), (3, "c")]
    first = next(row for row in rows if row["memory"] == "1/2")
    assert (first["bits_per_number"], first["budget"]) == (8, 0.5)


def test_equal_errors_share_a_rank_and_the_smaller_stands_first() -> None:
    rows = rank_rows([point("a", 2, 0, 0), point("b", 1, 0, 0), point("c", 1, 0.5, 0)])
    assert ranks(rows, "1/8") == [(1, "b"), (1, "a"), (3, "c")]


def test_of_settings_that_measure_the_same_the_least_is_taken() -> None:
    rows = rank_rows([point("a", 1, 0, 0, budget=0.5), point("a", 1, 0, 0, budget=0.25)])
    assert {row["budget"] for row in rows} == {0.25}


def test_what_messages_do_not_tell_apart_is_said() -> None:
    rows = rank_rows([point("a", 1, 0.1, 0.05), point("b", 1, 0.18, 0.05), point("c", 1, 0.3, 0.1)])
    apart = {row["compressor"]: row["told_apart"] for row in rows}
    # a ends at .15; b begins at .13, c at .2.
    assert apart == {"a": False, "b": False, "c": True}


def test_streams_are_not_compared() -> None:
    rows = rank_rows([point("a", 1, 0, 0), point("b", 1, 0.5, 0, basis="rotated")])
    assert {row["rank"] for row in rows} == {1}
    assert len({row["stream"] for row in rows}) == 2
