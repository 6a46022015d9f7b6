"""Certificates of an attack (kind ``attack-counts``), checked: counts and their surprise.

**What is proved.** N bits asked, m charged, k wrong, summed over the first t messages of a cell:

    s = N - m - log2(N+1) - log2 C(N,k)

exceeds b bits at any t with probability at most 2^-b (``ledger``, where the proof is), times
(1 + 2^-64)^{2T} for messages that fail, which is below 1 + 2^-50 for T <= 4096; for the largest of
c cells, c times that. ``surprise_bits`` is an integer at most s (``reductions.intervals``).

**What is not proved.** The counts are a statement of the person who played. ``kvbarrier replay FILE
CELL BATCH`` plays them again with the keys in the certificate. The message at the peak has its
SHA-256 here; certifying the same results again must give the same hash (``runs.certificate``). The
surprise is evidence against the charged memory only if the secrets were drawn after the
compressor's code and coins were fixed.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from itertools import accumulate
from typing import Any

from ...errors import BadInput
from ...reductions.certificate_claim import FalseClaim
from ...reductions.intervals import surprise_bits_floor
from .document import Fields, shown

KIND = "attack-counts"
NAMES = ("format", "version", "kind", "made_by", "results", "cells", "sha256")
CELL = (
    "cell", "instance", "source", "spec", "isolation", "secret_bits", "batches", "messages",
    "asked_bits", "charged_bits", "wrong_bits", "surprise_bits", "peak",
)  # fmt: skip
PEAK = ("message", "surprise_bits", "sha256")
BATCH = ("batch", "key", "asked", "charged", "wrong", "failed")
MOST_CELLS = 64
MOST_MESSAGES = 4096
MOST_BITS = 1 << 48
FAILED_CHARGE = 64
#: as in ``ledger``: what an honest compressor shows with probability at most 2^-40
LINE_BITS = 40


def check_counts(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The sentence that the certificate proves, and the facts in it as plain data.

    Raises BadInput for what cannot be checked, FalseClaim for a false claim.
    """
    fields = Fields(document, "the certificate", NAMES)
    results = fields.text("results", "[ -~]{1,255}", "the name of a results file")
    cells = [_check_cell(item) for item in fields.items("cells", MOST_CELLS)]
    if len({(cell["cell"], cell["source"]) for cell in cells}) < len(cells):
        raise BadInput("'cells' of the certificate has a cell twice.")
    best = max(cells, key=lambda cell: int(cell["peak_bits"]))
    surprise, count = best["peak_bits"], len(cells)
    needed = LINE_BITS + (count - 1).bit_length()
    convicts = surprise >= needed
    chance = f"{f'{count} ' if count > 1 else ''}(1 + 2^-50) 2^-{surprise}"
    without = max(int(cell["errorless_bits"]) for cell in cells)
    if surprise <= 0:
        meaning = "excludes nothing"
    else:
        meaning = (
            f"has probability at most {chance} for any compressor whose secrets were drawn after "
            "its code and coins were fixed, "
            + (
                "so the memory that was charged is impossible"
                if convicts
                else "which is too much to exclude the memory that was charged"
            )
        )
    if not convicts:
        meaning += (
            f" (without a wrong bit the largest would be {without} bits, and {needed} exclude a "
            "memory)"
        )
    sentence = (
        f"In {sum(cell['messages'] for cell in cells)} messages of {count} "
        f"{'cells' if count > 1 else 'cell'} the counts add up, and the largest surprise, "
        f"{surprise} bits after message {best['message']} of cell {best['cell']} "
        f"({shown(best['target'])}: {best['asked']} bits asked, {best['charged']} charged, "
        f"{best['wrong']} wrong), {meaning}; that the counts were played so is not proved here: "
        f"`kvbarrier replay {shlex.quote(results)} {best['cell']} BATCH` plays them again."
    )
    facts = {
        "cells": count,
        "messages": sum(cell["messages"] for cell in cells),
        "verdict": "impossible" if convicts else "not-excluded",
        "largest": best,
        "errorless_bits": without,
        "results": results,
    }
    return sentence, facts


def _check_cell(value: Any) -> dict[str, Any]:
    fields = Fields(value, "a cell", CELL)
    ids = {
        name: fields.text(name, "[0-9a-f]{16}", "16 hexadecimal digits")
        for name in ("cell", "instance")
    }
    source = fields.text("source", "[ -~]{1,200}", "a text of at most 200 printable characters")
    target = _check_spec(fields.text("spec", "[ -~]{2,20000}", "a cell's spec as JSON text"), ids)
    words = ("inline", "process", "namespaces")
    isolation = fields.items("isolation", len(words))
    if isolation != sorted(set(words) & {x for x in isolation if isinstance(x, str)}):
        raise BadInput(f"'isolation' of a cell is a sorted list of {', '.join(sorted(words))}.")
    secret = fields.integer("secret_bits", 1, MOST_BITS)
    asked, charged, wrong, failed = _check_batches(fields, secret)
    sums = [list(accumulate(x)) for x in (asked, charged, wrong)]
    totals = dict(zip(("asked_bits", "charged_bits", "wrong_bits"), sums, strict=True))
    for name, path in {**totals, "messages": [len(asked)]}.items():
        if fields.integer(name, 0, MOST_BITS * MOST_MESSAGES) != path[-1]:
            raise FalseClaim(
                f"the claim is false: '{name}' of cell {ids['cell']} is {fields[name]}, where its "
                f"batches give {path[-1]}."
            )
    peak = Fields(fields["peak"], "'peak'", PEAK)
    at = peak.integer("message", 1, len(asked)) - 1
    message_hash = peak.text("sha256", "[0-9a-f]{64}|failed", "64 hexadecimal digits, or 'failed'")
    if (message_hash == "failed") != bool(failed[at]):
        raise FalseClaim(
            f"the claim is false: message {at + 1} of cell {ids['cell']} has the hash "
            f"'{message_hash}', and its batch says that it {'failed' if failed[at] else 'did not'}."
        )
    for part, t in ((fields, len(asked) - 1), (peak, at)):
        limit = MOST_BITS * MOST_MESSAGES
        claimed = part.integer("surprise_bits", -limit, limit)
        found = surprise_bits_floor(*(path[t] for path in sums))
        if claimed != found:
            raise FalseClaim(
                f"the claim is false: the surprise of cell {ids['cell']} after message {t + 1} is "
                f"given as {claimed} bits, where its counts give {found}."
            )
    names = ("asked", "charged", "wrong")
    return {
        "cell": ids["cell"],
        "source": source,
        "target": target,
        "messages": len(asked),
        "message": at + 1,
        "peak_bits": peak["surprise_bits"],
        "errorless_bits": max(
            surprise_bits_floor(asked, charged, 0) for asked, charged in zip(*sums[:2], strict=True)
        ),
        "message_sha256": message_hash,
        **{name: path[at] for name, path in zip(names, sums, strict=True)},
    }


def _check_batches(fields: Fields, secret: int) -> list[list[int]]:
    """Asked, charged and wrong bits and the failed flags of all messages in order."""
    columns: list[list[int]] = [[], [], [], []]
    for index, item in enumerate(fields.items("batches", MOST_MESSAGES)):
        batch = Fields(item, "a batch", BATCH)
        batch.integer("batch", index, index)
        batch.text("key", "[A-Za-z0-9._-]{1,128}", "the name or the digits of a key")
        a = batch.integers("asked", 1, secret, MOST_MESSAGES)
        m = batch.integers("charged", 0, MOST_BITS, MOST_MESSAGES)
        k = batch.integers("wrong", 0, secret, MOST_MESSAGES)
        failed = batch.integers("failed", 0, 1, MOST_MESSAGES)
        if not len(a) == len(m) == len(k) == len(failed):
            raise BadInput(f"The lists of batch {index} are not of one length.")
        if any(x > y for x, y in zip(k, a, strict=True)):
            raise FalseClaim(
                f"the claim is false: a message of batch {index} has more bits wrong than asked."
            )
        if any(f and x < FAILED_CHARGE for f, x in zip(failed, m, strict=True)):
            raise FalseClaim(
                f"the claim is false: a failed message of batch {index} is charged fewer than "
                f"{FAILED_CHARGE} bits."
            )
        for column, items in zip(columns, (a, m, k, failed), strict=True):
            column += items
        if len(columns[0]) > MOST_MESSAGES:
            raise BadInput(f"A cell has at most {MOST_MESSAGES} messages.")
    return columns


def _check_spec(text: str, ids: dict[str, str]) -> str:
    """The target named in a cell's spec, once the ids are those of the spec."""
    try:
        spec = json.loads(text)
        instance = spec["instance"]
        target = spec["target"]
        found = {"cell": _digest(spec), "instance": _digest(instance)}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadInput("'spec' of a cell is not a cell's spec as JSON text.") from None
    for name, digits in found.items():
        if ids[name] != digits:
            raise FalseClaim(
                f"the claim is false: '{name}' is {ids[name]}, where its spec gives {digits}."
            )
    return str(target)[:200]


def _digest(spec: Any) -> str:
    """As ``instance.digest``, which needs NumPy's company (a test compares them)."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
