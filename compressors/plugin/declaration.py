"""What an author says that a cache holds: the words of a declaration, and what they mean.

    keeps=all                      every token
    keeps=last:256                 the last 256 tokens
    keeps=first:4,last:252         the first 4 tokens and the last 252
    keeps=share:0.25               at least a quarter of the tokens, whichever they are
    bits=3                         bits for each number of K and V (bytes=96: bytes for each token)
    exact                          answers equal exact attention over what is held

Tokens are counted when a question is answered, **the newest token included**: a cache that declares
``last:W`` answers a question that comes with token t from the tokens t-W+1, ..., t. In the game Bob
appends one token before he asks, so of n data tokens the last W-1 are held, and token n-W, which
has just left, is not. A share counts the same way: of n tokens and the a that came after them,
ceil(f (n+a)) are held, the a newest among them.

``bits`` are those of one more token (:meth:`Declaration.bits_allowed`); what a cache holds once,
whatever the length, is its constant part and is shown apart. Beside ``keeps``, fewer than
:data:`STRICT_BITS` bits allow the loss of rounding, and no token may be lost to it
(``protocols.evidence.declared`` has the rule and its proof). A quantiser that promises no token
anything declares ``bits`` alone.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput, did_you_mean
from .contract import Shape

STRICT_BITS = 8.0
"""From this many bits a number on, rounding explains no wrong bit."""
EXACT_BITS = 16.0
"""Fewer bits a number than this cannot be exact."""
MOST_BITS = 64.0

WORDS = ("keeps", "bits", "bytes", "exact")
_FORMS = "all, last:W, first:S,last:W or share:f"


@dataclass(frozen=True)
class Declaration:
    """What should hold. Nothing declared is nothing held against the cache.

    Attributes:
        keeps: which tokens are held: ``all``, ``last:W``, ``first:S,last:W``, ``share:f``, or None:
            none is promised. ``exact`` alone means all.
        bits: bits for each number of K and V of a held token, or None.
        bytes: bytes for each held token, all its layers and heads together, or None.
        exact: answers equal exact attention over the held tokens, up to float32 rounding.

    Raises:
        BadInput: a word has no meaning, or two of them contradict each other.

    >>> Declaration(keeps="last:3").held(5).tolist()
    [False, False, True, True, True]
    >>> Declaration(keeps="last:3").held(5, after=1).tolist()
    [False, False, False, True, True]
    """

    keeps: str | None = None
    bits: float | None = None
    bytes: float | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.exact, bool | np.bool_):
            raise BadInput(f"exact is true or false, not {self.exact!r}.")
        if self.exact and self.keeps is None:
            object.__setattr__(self, "keeps", "all")
        for name in ("bits", "bytes"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _positive(name, value))
        if self.bits is not None and self.bits > MOST_BITS:
            raise BadInput(
                f"bits={self.bits:g} is more than a number can have: declare at most "
                f"{MOST_BITS:g} bits for each number of K and V."
            )
        if self.keeps is not None:
            object.__setattr__(self, "keeps", _canonical(self.keeps))
        if self.exact and self.bits is not None and self.bits < EXACT_BITS:
            raise BadInput(
                f"exact and bits={self.bits:g} contradict each other: {self.bits:g} bits for each "
                f"number lose something of it. Declare one of them, or at least {EXACT_BITS:g} "
                "bits."
            )
        if self.exact and self.share is not None and self.share < 1:
            raise BadInput(
                f"exact and keeps={self.keeps} contradict each other: exact attention over tokens "
                "that nobody names promises nothing. Declare keeps=all, last:W or first:S,last:W."
            )

    @classmethod
    def of_words(cls, words: Sequence[str]) -> Self:
        """The declaration in words, as ``--expect`` has them; BadInput for another word.

        >>> Declaration.of_words(["keeps=first:4,last:252", "bits=3"]).words()
        ('keeps=first:4,last:252', 'bits=3')
        """
        said: dict[str, Any] = {}
        for text in words:
            name, equals, value = (part.strip() for part in text.partition("="))
            if name not in WORDS:
                raise BadInput(
                    f"a declaration has no word '{name or text}'."
                    f"{did_you_mean(name, WORDS)} Write keeps=..., bits=..., bytes=... or exact."
                )
            if name in said:
                raise BadInput(f"'{name}' is declared twice, at last by '{text}': declare it once.")
            if name == "exact":
                if equals and value.lower() not in ("true", "false"):
                    raise BadInput(f"exact stands alone: write exact, not '{text}'.")
                said[name] = value.lower() != "false"
                continue
            if not value:
                raise BadInput(f"'{text}' declares nothing: write {name}=VALUE.")
            said[name] = value if name == "keeps" else _number(name, value)
        return cls(**said)

    @classmethod
    def of_mapping(cls, said: Mapping[str, Any]) -> Self:
        """The declaration of a class: ``declares = {"keeps": "last:256", "bits": 3.0}``.

        Raises BadInput for another name, or a value of another type.

        >>> Declaration.of_mapping({"keeps": "all", "exact": True}).words()
        ('keeps=all', 'exact')
        """
        for name in said:
            if name not in WORDS:
                raise BadInput(
                    f"a declaration has no word '{name}'.{did_you_mean(str(name), WORDS)}"
                )
        return cls(**said)

    @classmethod
    def of(cls, said: Any) -> Self | None:
        """A declaration, a mapping, words, one word, or None; BadInput for anything else.

        None where no word is said: that declares nothing, and nothing is held against it.
        """
        if isinstance(said, Mapping):
            said = cls.of_mapping(said)
        elif isinstance(said, str):
            said = cls.of_words([said])
        elif isinstance(said, list | tuple) and all(isinstance(word, str) for word in said):
            said = cls.of_words(said)
        if said is None or isinstance(said, cls):
            return said if said is not None and said.words() else None
        raise BadInput(
            f"declares has the type {type(said).__name__}: write declares = "
            '{"keeps": "last:256", "bits": 3}, with some of keeps, bits, bytes and exact.'
        )

    def words(self) -> tuple[str, ...]:
        """The words that :meth:`of_words` reads."""
        said = [] if self.keeps is None else [f"keeps={self.keeps}"]
        said += [] if self.bits is None else [f"bits={_short(self.bits)}"]
        said += [] if self.bytes is None else [f"bytes={_short(self.bytes)}"]
        return (*said, *(["exact"] if self.exact else []))

    def __str__(self) -> str:
        """For people: a share in three digits."""
        words = self.words()
        if self.share is not None:
            words = (f"keeps=share:{self.share:.3g}", *words[1:])
        return " ".join(words) or "nothing"

    @property
    def first(self) -> int:
        """S: how many tokens from the first on are held, of ``first:S,last:W``; else 0."""
        return _parts(self.keeps).get("first", 0)

    @property
    def last(self) -> int | None:
        """W: how many of the newest tokens are held; None unless a window is declared."""
        return _parts(self.keeps).get("last")

    @property
    def share(self) -> float | None:
        """f of ``share:f``; else None."""
        if self.keeps is None or not self.keeps.startswith("share:"):
            return None
        return float(self.keeps.partition(":")[2])

    @property
    def sizes(self) -> tuple[int, ...]:
        """The lengths at which something changes: S, W and S+W, as far as declared.

        >>> Declaration(keeps="first:4,last:252").sizes
        (4, 252, 256)
        """
        if self.last is None:
            return ()
        sizes = (self.first, self.last, self.first + self.last)
        return tuple(sorted({size for size in sizes if size}))

    def strict(self, shape: Shape) -> bool:
        """Whether one wrong bit of a held token is a counterexample: rounding does not explain it.

        Raises BadInput as :meth:`bits_per_number`.
        """
        bits = self.bits_per_number(shape)
        return self.exact or bits is None or bits >= STRICT_BITS

    def held(self, n: int, after: int = 0) -> NDArray[np.bool_] | None:
        """bool[n]: which of n tokens are declared held once ``after`` more came, Bob's included.

        None where it is not said which tokens: a share, or nothing.
        """
        if self.keeps is None or (self.share is not None and self.share < 1):
            return None
        token = np.arange(n)
        if self.last is None:
            return np.ones(n, dtype=bool)
        held: NDArray[np.bool_] = (token < self.first) | (token >= n + after - self.last)
        return held

    def least_held(self, n: int, after: int = 0) -> int:
        """How many of n tokens are at least held once ``after`` more came; 0 if none is promised.

        >>> Declaration(keeps="share:0.5").least_held(9, after=1), Declaration().least_held(9)
        (4, 0)
        """
        held = self.held(n, after)
        if held is not None:
            return int(held.sum())
        if self.share is None:
            return 0
        # 0.1 (n+a) may lie a rounding above the whole number that it is.
        return max(0, math.ceil(self.share * (n + after) - 1e-9) - after)

    def bits_allowed(self, shape: Shape) -> float | None:
        """Bits that a stream of this shape may take, apart from a constant part; None: undeclared.

        ``bits`` for each of the layers kv_heads (d_k + d_v) numbers, or 8 ``bytes``, of every token
        that may be held: min(n, S+W) of them in a window; else n, for a share is only a least one.

        Raises:
            BadInput: ``bits`` and ``bytes`` contradict each other at this shape, or ``bytes`` and
                ``exact`` do.

        >>> shape = Shape(tokens=100, d_k=64, d_v=64)
        >>> Declaration(bits=3).bits_allowed(shape), Declaration(bytes=48).bits_allowed(shape)
        (38400.0, 38400.0)
        """
        per_number = self.bits_per_number(shape)
        if per_number is None:
            return None
        return per_number * numbers_of_a_token(shape) * self.tokens_at_most(shape.tokens)

    def tokens_at_most(self, n: int) -> int:
        """How many of n tokens the declared memory is for: min(n, S+W) in a window, else n."""
        return n if self.last is None else min(n, self.first + self.last)

    def bits_per_number(self, shape: Shape) -> float | None:
        """The declared bits for each number, whichever word says so; BadInput as above."""
        numbers = numbers_of_a_token(shape)
        of_bytes = None if self.bytes is None else 8 * self.bytes / numbers
        if of_bytes is None:
            return self.bits
        if self.bits is not None and not math.isclose(of_bytes, self.bits, rel_tol=1e-3):
            raise BadInput(
                f"bits={_short(self.bits)} and bytes={_short(self.bytes or 0)} contradict each "
                f"other: a token has {numbers} numbers here, so {_short(self.bits)} bits each are "
                f"{_short(self.bits * numbers / 8)} bytes. Declare one of them."
            )
        if self.exact and of_bytes < EXACT_BITS:
            raise BadInput(
                f"exact and bytes={_short(self.bytes or 0)} contradict each other: a token has "
                f"{numbers} numbers here, so that is {of_bytes:.3g} bits for each. Declare one of "
                "them."
            )
        return of_bytes


def numbers_of_a_token(shape: Shape) -> int:
    """layers kv_heads (d_k + d_v): the numbers of K and V of one token."""
    return shape.layers * shape.kv_heads * (shape.d_k + shape.d_v)


def declared_by(compressor_or_class: Any) -> Declaration | None:
    """The declaration of an instance or a class, its attribute ``declares``; None without one.

    Raises:
        BadInput: the attribute says something that no declaration can.
    """
    said = getattr(compressor_or_class, "declares", None)
    # On a class, a property: it depends on the parameters of an instance.
    return None if isinstance(said, property) else Declaration.of(said)


def of_heads(heads: Sequence[Any]) -> Declaration | None:
    """What single-head instances say of the whole token: what all of them say.

    ``bytes`` are added up. Heads that declare different things declare nothing together.

    >>> class Head: declares = {"keeps": "all", "bytes": 32}
    >>> of_heads([Head(), Head()]).words()
    ('keeps=all', 'bytes=64')
    """
    said = {declared_by(head) for head in heads}
    one = said.pop() if len(said) == 1 else None
    if one is None or one.bytes is None:
        return one
    return replace(one, bytes=one.bytes * len(heads))


def _canonical(keeps: Any) -> str:
    """One spelling of every ``keeps``; BadInput for another form."""
    if not isinstance(keeps, str):
        raise BadInput(f"keeps is {keeps!r}: write {_FORMS}.")
    parts = [part.strip() for part in keeps.split(",")]
    if parts == ["all"]:
        return "all"
    names = [part.partition(":")[0].strip() for part in parts]
    if names == ["share"]:
        share = _number("share", parts[0].partition(":")[2])
        if not 0 < share <= 1:
            raise BadInput(
                f"keeps={keeps} is not a share: write share:f with f above 0, at most 1."
            )
        return f"share:{_short(share)}"
    if names not in (["last"], ["first", "last"], ["last", "first"]):
        hint = " Only one of them may be given." if len(parts) > 1 else ""
        raise BadInput(f"keeps={keeps} is not understood: write {_FORMS}.{hint}")
    sizes = {
        name: _whole(keeps, part.partition(":")[2], least=int(name == "last"))
        for name, part in zip(names, parts, strict=True)
    }
    sinks = f"first:{sizes['first']}," if sizes.get("first") else ""
    return f"{sinks}last:{sizes['last']}"


def _parts(keeps: str | None) -> dict[str, int]:
    if keeps is None or "last:" not in keeps:
        return {}
    return {name: int(size) for name, _, size in (p.partition(":") for p in keeps.split(","))}


def _whole(keeps: str, text: str, least: int) -> int:
    text = text.strip()
    # int() would read the digits of other scripts, and signs, as well.
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not least <= number <= sys.maxsize:
        raise BadInput(
            f"keeps={keeps} must have a number of tokens where '{text}' is: give a whole number "
            f"from {least} on."
        )
    return number


def _number(name: str, text: str) -> float:
    """A decimal or a quotient, as 1/4."""
    above, slash, below = text.partition("/")
    try:
        return float(above) / (float(below) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        raise BadInput(f"{name}={text} is not a number: write a decimal, as 2.5, or 5/2.") from None


def _positive(name: str, value: Any) -> float:
    number = isinstance(value, int | float | np.integer | np.floating)
    if not number or isinstance(value, bool) or not (math.isfinite(value) and value > 0):
        raise BadInput(f"{name} is {value!r}: declare a positive number of {name}.")
    return float(value)


def _short(value: float) -> str:
    """The shortest decimal that reads back as the number."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(float(value))
