"""Declarations: the words, what they hold, and how they reach the harness."""

import sys

import numpy as np
import pytest
from kvbarrier.compressors.plugin.adapters import adapt
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.plugin.declaration import Declaration, declared_by
from kvbarrier.errors import BadInput

SHAPE = Shape(tokens=16, d_k=4, d_v=4)
HEADS = Shape(tokens=16, d_k=4, d_v=4, layers=2, heads=3, kv_heads=3)


def held(keeps, n, after=0):
    return np.flatnonzero(Declaration(keeps=keeps).held(n, after)).tolist()


def test_a_window_counts_the_newest_token_bobs_own_included():
    # With Bob's token as number 8 the last three are 6, 7 and his: 5 has just left.
    assert held("last:3", 8) == [5, 6, 7]
    assert held("last:3", 8, after=1) == [6, 7]
    assert held("last:1", 8, after=1) == []
    assert held("last:9", 8, after=1) == list(range(8))
    assert held("last:8", 8, after=1) == list(range(1, 8))


def test_sinks_and_a_window_that_overlap_hold_everything():
    assert held("first:2,last:3", 8, after=1) == [0, 1, 6, 7]
    assert held("first:6,last:3", 8, after=1) == list(range(8))
    assert held("first:5,last:3", 8, after=1) == [0, 1, 2, 3, 4, 6, 7]
    assert held("last:3, first:2", 8, after=1) == [0, 1, 6, 7]


def test_no_sinks_are_a_window_and_no_limit_is_everything():
    assert Declaration(keeps="first:0,last:3").keeps == "last:3"
    assert held(f"first:4,last:{sys.maxsize - 4}", 8, after=1) == list(range(8))


def test_a_deque_of_w_holds_what_is_declared():
    from collections import deque

    for window in (1, 2, 5, 8, 9, 12):
        for n in (1, 5, 8, 9):
            ring = deque(maxlen=window)
            ring.extend(range(n + 1))  # Bob's token is number n
            assert held(f"last:{window}", n, after=1) == [t for t in ring if t < n]


def test_a_share_counts_the_newest_token_too():
    # Half of 10 tokens with Bob's is 5, one of them his.
    assert Declaration(keeps="share:0.5").least_held(9, after=1) == 4
    assert Declaration(keeps="share:0.5").held(9) is None
    # A tenth of 30 is 3, though 0.1 * 30 in floats is above it.
    assert Declaration(keeps="share:0.1").least_held(30) == 3
    assert Declaration(keeps="share:1").held(3).all()
    assert Declaration().least_held(9) == 0
    assert Declaration().held(9) is None


@pytest.mark.parametrize(
    "words",
    [
        ["keeps=all", "exact"],
        ["keeps=first:4,last:252", "bits=3.25"],
        ["keeps=share:0.25", "bytes=96"],
        ["bits=0.1"],
        [],
    ],
)
def test_words_are_read_back(words):
    assert Declaration.of_words(words).words() == tuple(words)


def test_quotients_and_spaces_are_understood():
    assert Declaration.of_words(["keeps = share:1/4", "bits = 5/2"]).words() == (
        "keeps=share:0.25", "bits=2.5",
    )  # fmt: skip


def test_exact_alone_means_all_tokens():
    assert Declaration(exact=True).keeps == "all"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["exact", "bits=2"], "exact and bits=2 contradict each other"),
        (["exact", "keeps=share:0.5"], "exact and keeps=share:0.5 contradict"),
        (["keeps=last:0"], "whole number from 1 on"),
        (["keeps=last:-3"], "whole number from 1 on"),
        (["keeps=last:2.5"], "whole number from 1 on"),
        (["keeps=last:"], "whole number from 1 on"),
        (["keeps=last:\u0663"], "whole number from 1 on"),
        (["keeps=last:9999999999999999999"], "whole number from 1 on"),
        (["keeps=first:-1,last:3"], "whole number from 0 on"),
        (["keeps=first:4"], "write all, last:W, first:S,last:W or share:f"),
        (["keeps=share:0"], "f above 0, at most 1"),
        (["keeps=share:1.5"], "f above 0, at most 1"),
        (["keeps=share:half"], "is not a number"),
        (["keeps=share:nan"], "f above 0, at most 1"),
        (["keeps=all,last:4"], "Only one of them"),
        (["keeps=all", "keeps=last:4"], "declared twice"),
        (["keeps"], "declares nothing"),
        (["bits=0"], "positive number"),
        (["bits=-1"], "positive number"),
        (["bits=inf"], "positive number"),
        (["bits=many"], "is not a number"),
        (["bits=1000"], "more than a number can have"),
        (["bytes=1/0"], "is not a number"),
        (["exact=yes"], "exact stands alone"),
        (["keep=all"], "Did you mean 'keeps'"),
    ],
)
def test_a_contradiction_is_one_sentence(words, says):
    with pytest.raises(BadInput) as caught:
        Declaration.of_words(words)
    sentence = str(caught.value)
    assert says in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_contradictions_with_the_shape():
    both = Declaration(bits=3, bytes=4)  # 8 numbers a token: 4 bytes are 4 bits each
    with pytest.raises(BadInput, match="bits=3 and bytes=4 contradict"):
        both.bits_allowed(SHAPE)
    assert Declaration(bits=4, bytes=4).bits_allowed(SHAPE) == 4 * 8 * 16
    with pytest.raises(BadInput, match="exact and bytes=4 contradict"):
        Declaration(exact=True, bytes=4).bits_allowed(SHAPE)


def test_memory_is_for_the_tokens_that_are_held():
    assert Declaration(keeps="first:1,last:3", bits=2).bits_allowed(SHAPE) == 2 * 8 * 4
    assert Declaration(keeps="last:100", bits=2).bits_allowed(SHAPE) == 2 * 8 * 16
    assert Declaration(keeps="share:0.5", bits=2).bits_allowed(SHAPE) == 2 * 8 * 16
    assert Declaration(keeps="all", bytes=12).bits_allowed(HEADS) == 8 * 12 * 16
    assert Declaration(keeps="all").bits_allowed(SHAPE) is None


def test_few_bits_allow_rounding_and_many_do_not():
    assert not Declaration(keeps="all", bits=2).strict(SHAPE)
    assert not Declaration(keeps="all", bytes=2).strict(SHAPE)  # 2 bits a number
    assert Declaration(keeps="all", bits=16).strict(SHAPE)
    assert Declaration(keeps="all").strict(SHAPE)


class Window(Compressor):
    """As its parameter says."""

    def set_up(self, *, window=5):
        self.declares = {"keeps": f"last:{window}", "bytes": 8}

    def append(self, q, k, v):
        pass

    def attend(self, q):
        return q


class Plain:
    declares = ("keeps=all", "exact")

    def append(self, q, k, v):
        pass

    def attend(self, q):
        return q


class Whole(Plain):
    layout = "heads"


class Asked(Plain):
    @property
    def declares(self):
        return "keeps=last:2"


class Wrong(Plain):
    declares = 3


def compress(Q, K, V):
    return K, V


compress.declares = {"keeps": "all"}


def test_it_reaches_whoever_builds_the_compressor():
    def words(thing, shape=SHAPE, **params):
        return declared_by(adapt(thing)(shape, **params)).words()

    assert words(Window) == ("keeps=last:5", "bytes=8")
    assert words(Window, window=7) == ("keeps=last:7", "bytes=8")
    # Six heads, each with a token of 8 bytes.
    assert words(Window, HEADS) == ("keeps=last:5", "bytes=48")
    assert words(Plain) == words(Plain, HEADS) == words(Whole) == ("keeps=all", "exact")
    assert words(Asked) == ("keeps=last:2",)
    assert words(compress) == words(compress, HEADS) == ("keeps=all",)
    assert declared_by(Plain).exact
    assert declared_by(Asked) is None
    assert declared_by(object()) is None
    with pytest.raises(BadInput, match="declares has the type int"):
        declared_by(adapt(Wrong)(SHAPE))
