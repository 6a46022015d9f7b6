"""Who does what a schedule says: live instances, and beside them the lists of what they hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...compressors.plugin.contract import Float32, plain_bytes
from ...compressors.plugin.operations import OPERATIONS, operate
from .oracle import Oracle
from .schedule import Operation

Triples = tuple[Float32, Float32, Float32]


class Actor:
    """The instances of one performance.

    Args:
        fresh: builds an instance; all are equal.
        triples: Q, K and V of every token, [n, .., d]; token t of a schedule is row t.
        sequences: with how many a batch begins, or None.

    Attributes:
        live: the instances, as they are numbered in the schedule.
        oracle: what they must hold.
    """

    def __init__(self, fresh: Callable[[], Any], triples: Triples, sequences: int | None) -> None:
        self.oracle = Oracle(sequences)
        self.live: list[Any] = [fresh()]
        self._fresh = fresh
        self._triples = triples

    def do(self, operation: Operation) -> None:
        """Perform a legal operation; ``ask`` is for whoever can ask.

        Raises:
            PluginFailure: it returned what it must not return.
            TypeError: ``save`` returned no bytes.
            Exception: whatever the compressor raises.
        """
        name, at = operation.name, self.oracle.at
        width = None if self.oracle.sequences is None else len(self.oracle.batch)
        cache = self.live[at]
        if name in OPERATIONS:
            # Only what did not raise has happened.
            self._operate(cache, operation)
            self.oracle.apply(operation)
            return
        steps = [step_of(self._triples, tokens, width) for tokens in self.oracle.apply(operation)]
        if name.startswith("append"):
            for step in steps:
                cache.append(*step)
        elif name.startswith("extend"):
            cache.extend(*(np.stack(part) for part in zip(*steps, strict=True)))
        elif name == "save":
            self.live[at] = self._copied(cache)
        elif name == "copy":
            self.live.append(self._copied(cache))

    def _operate(self, cache: Any, operation: Operation) -> None:
        name, numbers = operation.name, operation.arguments
        if name == "fork":
            self.live.append(operate(cache, name))
        elif name == "select":
            operate(cache, name, list(numbers))
        else:
            operate(cache, name, *numbers)

    def _copied(self, cache: Any) -> Any:
        message = plain_bytes(cache.save())
        twin = self._fresh()
        twin.restore(message)
        return twin


def step_of(triples: Triples, tokens: Sequence[int], width: int | None) -> tuple[Float32, ...]:
    """q, k and v of one step: one token for all ``width`` sequences, or each its own.

    Copies, so that a compressor may keep and change them.
    """
    if width is None:
        return tuple(part[tokens[0]].copy() for part in triples)
    at = np.resize(np.array(tokens), width)
    return tuple(part[at] for part in triples)
