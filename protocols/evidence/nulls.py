"""The null hypotheses: which guarantee an instance's bit errors are judged against (ours).

A verdict tests "every bit that Bob reads is wrong with probability at most 1/10". That follows from
a guarantee on *answers*, and not from the same one for every Bob and every basis:

* ``coordinate``. With probability at least 9/10 each, every coordinate of every answer is within
  the tolerance. *One* coordinate of *one* answer reads one bit (Theorems C, AJ and (T) of
  ``key_payload``), so its error is at most 1/10. This is the guarantee of the paper's Theorem 8,
  index by index.

* ``euclidean``. The rotated basis: an answer o R + e is turned back into o + e R^T, and the error
  of a coordinate is at most |e R^T|_2 = |e|_2, the bound for which is the guarantee. It is not the
  one before: an e with |e_j| <= eta |(o R)_j| for all j may be long.

* ``all-at-once``. The linear Bob reads a bit off all n answers of a message, so all of them have to
  be within the tolerance *together*, with probability at least 9/10; then every bit is right with
  that probability (Proposition AF). The guarantee index by index gives him 1 - n/10 only (the union
  bound): of exact attention that answers 0 to a random 5 % of the questions each answer is right
  with probability .95, and all 64 of them with .95^64 = .04. *No decoder helps.* One that reads a
  bit off s > 1 answers, each of which can spoil it, may err with probability s/10: an algorithm is
  free to let them fail one at a time. One that survives a share a of bad answers still loses the
  messages in which more are bad, with probability up to 1/(10 a) (Markov's inequality, attained).

* ``average``. The average case: with probability at least 9/10 over keys, token and secret
  together. It promises nothing of a single key set or token, so it is weaker than ``coordinate``
  (:mod:`.average`).

Breaking one null does not break another. So adversaries are combined within a null, never across
(:func:`.verdicts.judge_adversaries`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ..game.instance import Instance


@dataclass(frozen=True)
class Null:
    """A guarantee that ``broken`` refutes: its ``name``, and what it says as one ``sentence``."""

    name: str
    sentence: str

    def as_dict(self) -> dict[str, str]:
        """Plain data."""
        return asdict(self)


def null_of(instance: Instance) -> Null:
    """The guarantee from which it follows that this instance's bits are wrong in at most 1/10.

    >>> from kvbarrier.protocols.game.instances import Index, LinearIndex
    >>> null_of(Index(n=64, d=16, eta=None, gamma=0.01)).sentence
    'with probability at least 9/10 for each coordinate of each answer, it is within 0.01 of exact'
    >>> null_of(LinearIndex(n=64, d=16, eta=None, gamma=0.01)).name
    'all-at-once'
    """
    often = "with probability at least 9/10"
    eta, gamma = instance.eta, instance.gamma
    near = f"within {gamma:g} of exact" if eta is None else f"within a factor 1 ± {eta:g} of exact"
    if instance.bob == "linear":
        return Null(
            "all-at-once", f"{often} all n = {instance.n} answers to a message are at once {near}"
        )
    if instance.reduction == "gaussian":
        return Null(
            "average",
            f"{often}, over keys, tokens and secrets together, each coordinate of an answer is "
            f"{near}",
        )
    if instance.basis == "rotated":
        least = "times its smallest coordinate in size, before rotation"
        most = f"{gamma:g}" if eta is None else f"{eta:g} {least}"
        return Null(
            "euclidean",
            f"{often} for each answer, the Euclidean norm of its error is at most {most}",
        )
    return Null("coordinate", f"{often} for each coordinate of each answer, it is {near}")
