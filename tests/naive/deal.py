"""Rows dealt to age buckets with Python's integers: dictionaries of what was swapped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise


def deal(words: Sequence[int], starts: Sequence[int], rows: int) -> list[int]:
    """As ``protocols.game.deal.deal``; StopIteration's RuntimeError if words run out."""
    coins = iter(words)

    def below(bound: int) -> int:
        while True:
            word = next(coins)
            if word < (1 << 64) // bound * bound:
                return word % bound

    def shuffled(size: int) -> Iterator[int]:
        moved: dict[int, int] = {}
        for i in range(size):
            j = i + below(size - i)
            yield moved.get(j, j)
            moved[j] = moved.get(i, i)

    left = [b - a for a, b in pairwise(starts)]
    decks = [shuffled(size) for size in left]
    asked: list[int] = []
    while len(asked) < rows:
        waiting = [b for b, size in enumerate(left) if size]
        for place in shuffled(len(waiting)):
            if len(asked) < rows:
                b = waiting[place]
                left[b] -= 1
                asked.append(starts[b] + next(decks[b]))
    return asked
