"""What the answers after a schedule say: kept, lost, ghosts, moved; in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evidence.places import named
from ..evidence.record import Reading

GHOST = 0.4
"""How far from its row, in units of the values' range, an answer of a ghost is at most."""

BEYOND_CHANCE = 2.0**-12


@dataclass(frozen=True)
class Outcome:
    """What a schedule came to.

    Attributes:
        kind: ``kept``; ``refused``, an operation raised, which is no fault; ``late``, something
            raised after an operation, or an operation returned what it must not; ``moved``, tokens
            answer with the row of one some places away; ``lost``, they do not answer; ``ghosts``,
            only that tokens answer which are gone.
        sentence: the same in words, without the schedule.
        lost, ghosts: numbers of tokens, over all sequences; ``places``: how far they have moved.
        lost_bits: how many bits the reference reads right and the cache wrong.
    """

    kind: str
    sentence: str
    lost: tuple[int, ...] = ()
    ghosts: tuple[int, ...] = ()
    places: int = 0
    lost_bits: int = 0

    @property
    def is_fault(self) -> bool:
        """Whether the law is broken."""
        return self.kind not in ("kept", "refused")

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Place:
    """One sequence that was asked.

    Attributes:
        name: how a sentence calls it; "" where there is only one.
        reading, reference: of the tokens that survive in it, of the cache and of a fresh one.
        answers: float32[rows, layers, heads, d_v], the answers to questions for all tokens.
        fed: how many tokens were ever fed.
        held: which of the survivors are declared held, or None.
    """

    name: str
    reading: Reading
    reference: Reading
    answers: NDArray[np.float32]
    fed: int
    held: NDArray[np.bool_] | None = None


def judge(places: Sequence[Place], values: NDArray[np.float32]) -> Outcome:
    """The outcome of all sequences; values are the rows as fed, float32[rows, layers, heads, d_v].

    Where losses are judged by chance, all sequences are counted together.
    """
    lost, won = [], []
    for place in places:
        wrong, expected = place.reading.wrong, place.reference.wrong
        if place.held is not None:
            wrong, expected = wrong[place.held], expected[place.held]
        lost.append(int((wrong & ~expected).sum()))
        won.append(int((expected & ~wrong).sum()))
    exact = not any(place.reference.wrong.any() for place in places)
    all_lost = sum(lost)
    bad = all_lost > 0 and (exact or _beyond_chance(all_lost, sum(won)))
    of_place = [
        (
            place,
            lost_tokens(place.reading, place.reference, place.held) if bad else [],
            _ghosts(place, values),
        )
        for place in places
    ]
    parts = [_told(place, gone, ghosts, values) for place, gone, ghosts in of_place]
    told = [(text, k) for text, k in parts if text]
    if not told:
        return Outcome("kept", "kept")
    distances = {k for _, k in told}
    moved = distances.pop() if len(distances) == 1 else 0
    gone = sorted({token for _, tokens, _ in of_place for token in tokens})
    ghosts = sorted({token for _, _, tokens in of_place for token in tokens})
    kind = "moved" if moved else "lost" if gone else "ghosts"
    sentence = "; ".join(dict.fromkeys(text for text, _ in told))
    return Outcome(kind, sentence, tuple(gone), tuple(ghosts), moved, all_lost if bad else 0)


def _beyond_chance(lost: int, won: int) -> bool:
    """McNemar's exact test: whether so many losses are no chance."""
    from scipy.stats import binom

    return bool(binom.sf(lost - 1, lost + won, 0.5) < BEYOND_CHANCE)


def lost_tokens(
    reading: Reading, reference: Reading, held: NDArray[np.bool_] | None = None
) -> list[int]:
    """The tokens that are lost: read wrong here, and there without an error.

    If there is none, those with any bit that the reference reads right.
    """
    wrong = reading.wrong.any(axis=(1, 2, 3))
    clean = wrong & ~reference.wrong.any(axis=(1, 2, 3))
    some = (reading.wrong & ~reference.wrong).any(axis=(1, 2, 3))
    if held is not None:
        clean, some = clean & held, some & held
    return [int(token) for token in reading.tokens[clean if clean.any() else some]]


def _distances(answers: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[m, rows, layers, heads]: how far answers are from every row, in the worst channel."""
    spread = np.float32(values.max() - values.min()) or np.float32(1)
    return np.asarray(np.abs(answers[:, None] - values[None]).max(axis=-1) / spread)


def _ghosts(place: Place, values: NDArray[np.float32]) -> list[int]:
    """The tokens that were fed, are not held here, and answer in some head."""
    spread = float(values.max() - values.min()) or 1.0
    answers, rows = place.answers[: place.fed], values[: place.fed]
    near = (np.abs(answers - rows).max(axis=-1) < GHOST * spread).any(axis=(1, 2))
    near[place.reading.tokens] = False
    return [int(token) for token in np.flatnonzero(near)]


def _told(
    place: Place, lost: list[int], ghosts: list[int], values: NDArray[np.float32]
) -> tuple[str, int]:
    """A sentence on one sequence, and how many places its lost tokens have moved."""
    where = f" of {place.name}" if place.name else ""
    row = place.reading.tokens.tolist()
    parts, moved = [], 0
    if lost:
        who = ("all tokens" if lost == row else named("token", lost)) + where
        moved = _moved(place, lost, values)
        if moved:
            away = f"{abs(moved)} place{'s' if abs(moved) > 1 else ''} away"
            answer = "answers" if len(lost) == 1 and lost != row else "answer"
            parts.append(f"{who} {answer} {away}")
        else:
            are = "is" if len(lost) == 1 and lost != row else "are"
            other = _answers_as(place, lost, values)
            parts.append(f"{who} {are} lost" + other)
    if ghosts:
        where = f" in {place.name}" if place.name else ""
        still = "still answers" if len(ghosts) == 1 else "still answer"
        gone = "it is gone" if len(ghosts) == 1 else "they are gone"
        parts.append(f"{named('token', ghosts)} {still}{where}, though {gone}")
    return ", and ".join(parts), moved


def _moved(place: Place, lost: list[int], values: NDArray[np.float32]) -> int:
    """k if most lost tokens answer with the row that is k places after their own; else 0.

    Places are those of the sequence; then those in the order of feeding, for rows that are gone.
    """
    near = [np.flatnonzero(one).tolist() for one in _near(place, lost, values)]
    row = place.reading.tokens.tolist()
    at = {token: p for p, token in enumerate(row)}
    lines = [[{at[o] - at[t] for o in one if o in at} for t, one in zip(lost, near, strict=True)]]
    if not place.name:  # with other sequences, a token fed next to it may be another one's
        lines.append([{o - t for o in one} for t, one in zip(lost, near, strict=True)])
    for found in lines:
        for k in sorted({k for one in found for k in one}, key=abs):
            if 2 * sum(k in one for one in found) > len(lost) and (len(lost) > 1 or len(row) == 1):
                return int(k)
    return 0


def _answers_as(place: Place, lost: list[int], values: NDArray[np.float32]) -> str:
    """`` , they answer with the row of token 4`` where that is so of each."""
    near = _near(place, lost, values)
    others = [np.flatnonzero(one).tolist() for one in near]
    if not all(others):
        return ""
    rows = sorted({one[0] for one in others})
    says = "it answers" if len(lost) == 1 < len(place.reading.tokens) else "they answer"
    return f": {says} with the row{'s' if len(rows) > 1 else ''} of {named('token', rows)}"


def _near(place: Place, lost: list[int], values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """bool[lost, fed]: where an answer is, in every head, within reach of another token's row."""
    at = np.array(lost)
    near = np.asarray(_distances(place.answers[at], values[: place.fed]) < GHOST).all(axis=(2, 3))
    near &= at[:, None] != np.arange(place.fed)
    return np.asarray(near)
