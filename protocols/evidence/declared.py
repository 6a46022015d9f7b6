"""Does a cache hold what its author declares? Counterexamples, by counting.

**A held bit read wrong is a counterexample, and no statistics are needed.** At a certified scale
(``tight`` or above) every answer within the tolerance of the instance reads its bit right (Theorem
8; for an additive tolerance and for alphabets by the same comparison of the worst cases): if row i
is asked, and the answer's coordinate is within the tolerance of the true one, the bit is right. So
of a cache that holds token i, which is to say that answers about it are within the tolerance, *no*
bit of token i is wrong, in no message, for no secret. One wrong bit refutes it. Which other tokens
are held does not matter: exact attention over any of them that include i reads its bits as well,
because the interference S_i, a sum over the others, is only smaller there.

**What rounding explains.** A declaration of b bits a number, b < ``STRICT_BITS`` = 8, allows the
answers to leave the tolerance by rounding, and an honest quantiser does: one that rotates before it
rounds errs with 2 bits in some percent of all bits here. Rounding spreads: it errs everywhere alike
and by little. So with b < 8 no single bit is held against the cache but a *lost token*, in one
message of m bits a token (m >= 32), judged by (a) or (b):

(a) at least 3/4 of the held tokens have no wrong bit, and this one has max(16, d_v/4) or more.
    If rounding flips each bit of a token with probability p, 3/4 of the tokens without one means
    (1-p)^m >= 1/2 even if a third of those 3/4 were kept apart in full precision, so m p <= ln 2,
    and 16 flips have probability at most (m p)^16 / 16! < 2e-16.
(b) more than 1/8 of the held tokens have 3/8 of their bits wrong or more, as a token has that is
    not there (half of them), and either a quarter of them have at most m/16 wrong, or 3/8 of all
    held bits are wrong. Rounding errs alike everywhere, and no p makes 1/8 of the tokens so bad and
    1/4 of them so good: for m = 32 and 16 tokens, the fewest of a game, the chance of both is below
    4e-6 whatever p is, for 64 tokens below 1e-15 (a test computes it). Nor does rounding reach 3/8:
    even one bit, turned first, errs in .26 of them here. Who lost more than 3/4 of the tokens does.

Below 2 bits nothing is held against a token: there rounding explains everything.

**As declared is only what was judged.** If nothing refutes a declaration, but a word of it was not
held against anything (its bits or its memory cannot be judged here, or a message failed and says
nothing), the verdict is ``undecided``: else one that nothing can refute would be the safest.

**A share.** Of ``keeps=share:f`` at least h = ceil(f (n+a)) - a of n tokens are held, nobody says
which. With one head a token counts as *lost* if a quarter of its bits are wrong, and held tokens
have none wrong; so more than n - h lost tokens refute it. (A lost token is read right by chance in
half of its bits and counts as lost nearly always: the chance of fewer than m/4 wrong of m = 64 is
2e-5. Undercounting is to the cache's advantage.) Heads may hold different tokens: a token's k wrong
bits need at least ceil(k/d_v) heads that lost it, and if these add up to more than heads (n - h)
pairs, the share is refuted. With few bits declared, n/16 more tokens may be lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...compressors.plugin.contract import Shape
from ...compressors.plugin.declaration import STRICT_BITS, Declaration
from .declared_memory import Memory, Shorter
from .record import MessageRecord
from .row_counts import counts_of

Int64 = NDArray[np.int64]
DeclaredWord = Literal["as-declared", "not-as-declared", "undecided"]

LEAST_BITS = 2.0
"""Fewer bits a number promise no token anything."""
LEAST_ROW = 32
"""Bits of a token below which a lost one is not told from a rounded one."""
LEAST_FLIPS = 16
SHOWN = 8
"""How many places are kept of all that are wrong."""


@dataclass(frozen=True)
class Place:
    """A held token with wrong bits in one message: ``wrong`` of its ``asked`` bits."""

    message: int
    token: int
    wrong: int
    asked: int


@dataclass(frozen=True)
class Share:
    """How many tokens a share allows to be lost, and the message that lost most."""

    message: int
    lost: int
    allowed: int

    @property
    def over(self) -> bool:
        """Whether more were lost than the share allows."""
        return self.lost > self.allowed


@dataclass(frozen=True)
class Declared:
    """A declaration held against the messages of one cell.

    Attributes:
        declaration: what was declared.
        unjudged: why its bits were not judged, a sentence without its end; "" if they were.
        places: the first counterexamples; ``wrong_places`` is how many there are.
        held_bits, held_wrong: asked bits of held tokens and the wrong ones of them; of a
            declaration that names its tokens.
        share: of a share, the message that lost most.
        memory: None if none is declared, or no message came.
        strict: whether single bits were judged, and not lost tokens.
        failed: how many messages failed; ``messages`` is how many there are.
    """

    declaration: Declaration
    unjudged: str
    places: tuple[Place, ...]
    wrong_places: int
    held_bits: int
    held_wrong: int
    share: Share | None
    memory: Memory | None
    strict: bool
    failed: int
    messages: int

    @property
    def verdict(self) -> DeclaredWord:
        """``not-as-declared`` if anything refutes it; ``undecided`` if a part was not judged."""
        over = [part for part in (self.share, self.memory) if part is not None and part.over]
        if self.places or over:
            return "not-as-declared"
        return "undecided" if self.open else "as-declared"

    @property
    def open(self) -> tuple[str, ...]:
        """What was declared and not judged, and why: sentences without their ends."""
        said = []
        if self.unjudged and self.declaration.keeps is not None:
            said.append(f"bits are not judged here: {self.unjudged}")
        if self.failed:
            said.append(f"{self.failed} of {self.messages} messages failed, which say nothing")
        if self.memory is not None and self.memory.unjudged:
            said.append("memory is not judged here: no shorter stream tells its constant part")
        return tuple(said)

    @property
    def refuting(self) -> int | None:
        """The first message that refutes it by its bits; None if none does."""
        if self.places:
            return self.places[0].message
        return self.share.message if self.share is not None and self.share.over else None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as in ``attack --json``."""
        return {
            "verdict": self.verdict,
            "words": list(self.declaration.words()),
            "unjudged": self.unjudged or None,
            "open": list(self.open),
            "judged": None if self.unjudged else "bits" if self.strict else "tokens",
            "wrong_places": self.wrong_places,
            "places": [vars(place) for place in self.places],
            "held_bits": self.held_bits,
            "held_wrong_bits": self.held_wrong,
            "share": None if self.share is None else vars(self.share),
            "memory": None if self.memory is None else self.memory.as_dict(),
        }

    @property
    def sentence(self) -> str:
        """The verdict in words, and what it rests on."""
        said = f"{self.verdict}: {self.declaration}"
        parts = list(self.open)
        if self.unjudged and self.declaration.keeps is None:
            parts.append(f"bits are not judged here: {self.unjudged}")
        elif self.share is not None:
            lost = f"{self.share.lost} tokens lost in message {self.share.message}"
            parts.append(f"{lost}, {self.share.allowed} allowed")
        elif self.held_bits:
            parts.append(self._bits())
        if self.memory is not None:
            parts.append(self.memory.sentence)
        return f"{'; '.join([said, *parts])}."

    def _bits(self) -> str:
        counts = f"{self.held_wrong:,} of {self.held_bits:,} held bits wrong"
        if self.places:
            tokens = "token" if self.wrong_places == 1 else "tokens"
            kind = "with a wrong bit" if self.strict else "lost"
            return f"{counts}, {self.wrong_places:,} held {tokens} {kind}"
        return counts if self.strict else f"{counts}, which rounding explains; no token lost"


def judge_declared(
    declaration: Declaration,
    records: Sequence[MessageRecord],
    *,
    shape: Shape,
    unjudged: str = "",
    after: int = 1,
    bits_a_number: int = 1,
    rows: Sequence[Int64] | None = None,
    shorter: Shorter | tuple[()] | None = (),
) -> Declared:
    """Hold a declaration against messages whose row i is token i.

    Args:
        declaration: the author's.
        records: the messages, in order; those that failed say nothing here.
        shape: of the stream.
        unjudged: why bits are not judged (a scale that is not certified, say), or "".
        after: tokens appended before a question is answered.
        bits_a_number: secret bits of one number of a value.
        rows: the tokens that each message was asked for; None: all of them.
        shorter: tokens that a shorter stream may hold and its charge in bits, for the
            slope of memory; (): there is none; None: it is not known.

    Raises:
        BadInput: ``bits`` and ``bytes`` contradict each other at this shape.
    """
    n, heads = shape.tokens, shape.layers * shape.kv_heads
    row_bits = heads * shape.d_v * bits_a_number
    strict = declaration.strict(shape)
    bits = declaration.bits_per_number(shape)
    if not unjudged:
        unjudged = _unjudged(declaration, records, bits, row_bits, heads)
    held = declaration.held(n, after)
    places: list[Place] = []
    held_bits = held_wrong = number = 0
    share: Share | None = None
    for t, record in enumerate(records):
        if unjudged or record.failed is not None or record.wrong_by_row is None:
            continue
        tokens = np.arange(n) if rows is None else rows[t]
        wrong = counts_of(record.wrong_by_row)
        if held is None:
            lost = _lost_pairs(wrong, row_bits, heads, shape.d_v * bits_a_number)
            allowed = heads * (n - declaration.least_held(n, after))
            allowed += 0 if strict else n // 16
            if share is None or lost > share.lost:
                share = Share(t, lost, allowed)
            continue
        here = held[tokens]
        held_bits += row_bits * int(here.sum())
        held_wrong += int(wrong[here].sum())
        bad = here & (wrong > 0 if strict else _lost(wrong, here, row_bits, shape.d_v))
        number += int(bad.sum())
        places += [
            Place(t, int(tokens[i]), int(wrong[i]), row_bits)
            for i in np.flatnonzero(bad)[: max(0, SHOWN - len(places))]
        ]
    charged = [record.charged_bits for record in records if record.failed is None]
    memory = None
    if charged:
        memory = Memory.of(declaration, shape, float(np.mean(charged)), shorter)
    return Declared(
        declaration, unjudged, tuple(places), number, held_bits, held_wrong, share, memory, strict,
        failed=len(records) - len(charged), messages=len(records),
    )  # fmt: skip


def _unjudged(
    declaration: Declaration,
    records: Sequence[MessageRecord],
    bits: float | None,
    row_bits: int,
    heads: int,
) -> str:
    """Why the counts cannot tell, whatever they are; "" if they can."""
    if declaration.keeps is None:
        return "no token is declared held"
    if all(record.wrong_by_row is None for record in records):
        return "wrong bits were not counted by row"
    if bits is not None and bits < LEAST_BITS and not declaration.exact:
        return f"with fewer than {LEAST_BITS:g} bits a number rounding explains every loss"
    if bits is not None and bits < STRICT_BITS:
        if row_bits < LEAST_ROW:
            return f"a token of {row_bits} bits is too short to tell a lost one from a rounded one"
        if declaration.held(1) is None and heads > 1:
            return "of several heads a share is judged without rounding only"
    return ""


def _lost(wrong: Int64, held: NDArray[np.bool_], row_bits: int, d_v: int) -> NDArray[np.bool_]:
    """Which rows rounding does not explain, rules (a) and (b) above."""
    of_held = wrong[held]
    most = 8 * wrong >= 3 * row_bits
    good = 16 * of_held <= row_bits
    nothing = 8 * int(of_held.sum()) >= 3 * row_bits * len(of_held)
    apart = 8 * int(most[held].sum()) > len(of_held) and 4 * int(good.sum()) >= len(of_held)
    many = most if nothing or apart else np.zeros_like(most)
    if 4 * int((of_held == 0).sum()) < 3 * len(of_held):
        return many
    return many | (wrong >= max(LEAST_FLIPS, d_v // 4))


def _lost_pairs(wrong: Int64, row_bits: int, heads: int, head_bits: int) -> int:
    """How many (token, head) pairs are lost at least; with one head, tokens lost by a quarter."""
    if heads == 1:
        return int((4 * wrong >= row_bits).sum())
    return int((-(-wrong // head_bits)).sum())
