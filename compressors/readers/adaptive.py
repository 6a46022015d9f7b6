"""Adaptive readers: each next cell is chosen after the last one was seen.

Without a state from the stream that does not help on the hard family of Theorem 19: while nothing
was found, all answers are those of D_0, so an adaptive reader walks the path that it walks on D_0
(docs/theory-non-adaptive.md, Proposition AU). These are honest ways to search by what was seen. On
other streams they part ways.

All look at keys. A token whose key scores as the newest one's (which comes with the query), or was
not looked at, is taken to have the value of the first such token that was; of the others the value
is read too. ``share`` is the part of the n-1
earlier tokens whose keys they may look at.
"""

from __future__ import annotations

import heapq
from abc import abstractmethod
from collections.abc import Iterator

import numpy as np

from ...errors import BadInput
from .contract import Adaptive, Float32, Reader, coins
from .entry import ReaderEntry


class Look:
    """What a search has seen: keys one by one, and their scores less the newest token's.

    Attributes:
        n: earlier tokens. rng: the search's coins. scores: float64[n], NaN where unseen.
    """

    def __init__(self, q: Float32, reader: Reader) -> None:
        self.n = reader.n - 1
        self.rng = coins(reader.seed)
        self.scores = np.full(self.n, np.nan)
        self._q = q
        self._reader = reader
        self._newest = float(reader.key(self.n) @ q)
        self.seen = 0

    def at(self, i: int) -> float:
        """Read key i, and return its score less the newest token's."""
        if np.isnan(self.scores[i]):
            self.scores[i] = float(self._reader.key(i) @ self._q) - self._newest
            self.seen += 1
        return float(self.scores[i])

    def best(self) -> int:
        """The token with the highest score seen, of equals the first; at least one was seen."""
        return int(np.nanargmax(self.scores))

    def output(self) -> Float32:
        """Attention where all tokens are alike, but for the newest and those that score apart."""
        odd, plain = np.flatnonzero(np.nan_to_num(self.scores)), np.flatnonzero(self.scores == 0)
        typical = plain[:1] if len(plain) else [self.n]
        V = self._reader.values([*odd, self.n, *typical]).astype(np.float64)
        scores = np.concatenate([self.scores[odd], [0.0, 0.0]])
        weights = np.exp(scores - scores.max())
        weights[-1] *= self.n - len(odd)
        return np.asarray(weights @ V / weights.sum(), dtype=np.float32)


class Searcher(Adaptive):
    """What the adaptive readers share: a search that ends when its share is used up.

    Args:
        share: part of the n-1 earlier tokens whose keys it may look at, 0 to 1 (0.5).

    Raises:
        BadInput: ``share`` lies outside.
    """

    def __init__(self, share: float = 0.5) -> None:
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise BadInput(f"share is the part of the tokens to look at: give 0 to 1, not {share}.")
        self.share = float(share)

    @abstractmethod
    def search(self, look: Look) -> Iterator[int]:
        """The tokens in the order in which to look at them; may use all that was seen so far."""

    def answer(self, q: Float32, reader: Reader) -> Float32:
        """Look until the share is used up, then answer."""
        look = Look(q, reader)
        self.walk(look, int(np.floor(self.share * look.n + 1e-9)))
        return look.output()

    def walk(self, look: Look, most: int) -> None:
        """Look at up to ``most`` tokens."""
        tokens = self.search(look)
        while look.seen < most:
            look.at(next(tokens))


class Greedy(Searcher):
    """Looks next to the highest score seen: a hill climb from a random token.

    When the neighbours of the best are all seen, it goes on outwards from there.
    """

    def search(self, look: Look) -> Iterator[int]:
        """The nearest unseen token to the best one; of equals the older."""
        yield int(look.rng.integers(look.n))
        while True:
            unseen = np.flatnonzero(np.isnan(look.scores))
            yield int(unseen[np.abs(unseen - look.best()).argmin()])


GREEDY = ReaderEntry(
    "greedy",
    Greedy,
    "the key next to the highest score so far",
    "ours: adaptive, a hill climb from a random token",
)


class Bisection(Searcher):
    """Looks at the middle of a gap between seen tokens: where it is wide, and its ends unlike.

    A gap counts by its length times 1 + the difference of its ends' scores. It begins at a random
    token, on the circle of positions.
    """

    def search(self, look: Look) -> Iterator[int]:
        """The middle of the heaviest gap."""
        n, start = look.n, int(look.rng.integers(look.n))
        yield start
        gaps = [(-float(n), start, start + n)]
        while gaps:
            _, low, high = heapq.heappop(gaps)
            middle = (low + high) // 2
            yield middle % n
            for a, b in ((low, middle), (middle, high)):
                if b - a > 1:
                    unlike = abs(look.at(b % n) - look.at(a % n))
                    heapq.heappush(gaps, (-(b - a) * (1 + unlike), a, b))


BISECTION = ReaderEntry(
    "bisection",
    Bisection,
    "the key in the middle of the widest gap, or of the one with the most unlike ends",
    "ours: adaptive, a binary search for where scores change",
)


class Bandit(Searcher):
    """Sixteen blocks of tokens are the arms of a bandit: UCB1 on scores (Auer et al. 2002).

    Inside a block the order is random. The reward is the score, in units of the largest seen.
    """

    def search(self, look: Look) -> Iterator[int]:
        """A token of the block with the highest upper confidence bound."""
        blocks = [list(look.rng.permutation(part)) for part in np.array_split(range(look.n), 16)]
        pulls, sums = np.zeros(len(blocks)), np.zeros(len(blocks))
        top = 1.0
        while True:
            open_ = np.array([bool(block) for block in blocks])
            pulled = np.maximum(pulls, 1)
            width = np.sqrt(2 * np.log(max(pulls.sum(), 1)) / pulled)
            bound = np.where(pulls > 0, sums / top / pulled + width, np.inf)
            arm = int(np.where(open_, bound, -np.inf).argmax())
            token = int(blocks[arm].pop())
            yield token
            score = look.at(token)
            top = max(top, abs(score))
            pulls[arm] += 1
            sums[arm] += score


BANDIT = ReaderEntry(
    "bandit",
    Bandit,
    "a key of the block whose scores have the highest upper confidence bound",
    "Auer, Cesa-Bianchi, Fischer 2002, UCB1, over sixteen blocks; adaptive",
)


class LearnedOrder(Searcher):
    """Learns as it reads which positions have high scores: a weight a binary digit of the index.

    It looks where the prediction is highest, of equals in a random order, and takes a step of least
    mean squares after each key.
    """

    def search(self, look: Look) -> Iterator[int]:
        """The unseen token with the highest predicted score."""
        digits = max(1, int(look.n - 1).bit_length())
        bits = (np.arange(look.n)[:, None] >> np.arange(digits) & 1) * 2.0 - 1.0
        weights, ties = np.zeros(digits), look.rng.random(look.n) * 1e-9
        while True:
            predicted = np.where(np.isnan(look.scores), bits @ weights + ties, -np.inf)
            token = int(predicted.argmax())
            yield token
            weights += bits[token] * (look.at(token) - bits[token] @ weights) / (2 * digits)


LEARNED_ORDER = ReaderEntry(
    "learned-order",
    LearnedOrder,
    "the key whose score a linear model of its position predicts to be highest",
    "ours: adaptive, least mean squares on the digits of the index, learned while reading",
)


class EarlyStopping(Searcher):
    """Looks in a random order, and stops when it has seen nothing new for a while.

    ``share`` is its patience: it stops after that part of the tokens without a new score. So it
    reads more where it finds something; only what it reads on D_0 counts.
    """

    def search(self, look: Look) -> Iterator[int]:
        """A random order."""
        yield from (int(i) for i in look.rng.permutation(look.n))

    def walk(self, look: Look, most: int) -> None:
        """Look until ``most`` tokens in sequence said nothing new."""
        known, last = {0.0}, 0
        for token in self.search(look):
            if look.seen - last >= most:
                return
            score = look.at(token)
            if score not in known:
                known.add(score)
                last = look.seen


EARLY_STOPPING = ReaderEntry(
    "early-stopping",
    EarlyStopping,
    "keys in a random order, until a share of them in sequence says nothing new",
    "ours: adaptive, a stopping rule",
)
