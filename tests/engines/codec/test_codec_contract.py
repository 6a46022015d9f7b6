"""Codecs in plain arrays: what they are given, what travels, what Bob sees, what errors say."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier.compressors.engines.codec.cache import CodecCache
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.plugin.packing import pack_plain, unpack_plain
from kvbarrier.compressors.targets import resolve
from kvbarrier.errors import BadInput, PluginFailure
from kvbarrier.protocols.game.instances import Index

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "four_bit_codec.py"
SHAPE = Shape(tokens=12, d_k=4, d_v=3, layers=2, heads=3, kv_heads=3)
SQUARE = Shape(tokens=12, d_k=4, d_v=4, layers=1, heads=1, kv_heads=1)

IDENTITY = """
class Same:
    layout = {layout!r}
    def encode(self, x):
        assert x.shape in {shapes!r}, x.shape
        return x
    def decode(self, data):
        return data
"""


@pytest.fixture
def codec(tmp_path: Path) -> Any:
    """Write a file, and return a maker of caches over its one class (or over it)."""

    def make(text: str, shape: Shape = SHAPE, **params: Any) -> CodecCache:
        path = tmp_path / "coder.py"
        path.write_text("import numpy as np\n" + text)
        return CodecCache(shape, None, 5, {}, what=str(path), **params)

    return make


def triples(shape: Shape = SHAPE, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    sizes = [(shape.tokens, shape.layers, shape.kv_heads, d) for d in
             (shape.d_k, shape.d_k, shape.d_v)]  # fmt: skip
    return [rng.standard_normal(size, dtype=np.float32) for size in sizes]


def told(alice: CodecCache, shape: Shape = SHAPE) -> tuple[bytes, Any]:
    """The message of one stream, and what Bob answers to other questions."""
    alice.extend(*triples(shape))
    message = alice.save()
    bob = alice.fresh()
    bob.restore(message)
    return message, bob.next_outputs(*triples(shape, seed=1))


def exact(shape: Shape = SHAPE) -> Any:
    """Attention over the stream itself, head by head."""
    (_, K, V), (Q, own_k, own_v) = triples(shape), triples(shape, seed=1)
    out = np.empty_like(own_v)
    for r, layer, head in np.ndindex(*Q.shape[:3]):
        keys = np.vstack([K[:, layer, head], own_k[r, layer, head]]).astype(np.float64)
        weights = np.exp(keys @ Q[r, layer, head])
        values = np.vstack([V[:, layer, head], own_v[r, layer, head]])
        out[r, layer, head] = weights @ values / weights.sum()
    return out


LAYOUTS = {
    "nd": [(12, 4), (12, 3)],
    "dn": [(4, 12), (3, 12)],
    "bhnd": [(1, 3, 12, 4), (1, 3, 12, 3)],
    "bnhd": [(1, 12, 3, 4), (1, 12, 3, 3)],
    "nhd": [(12, 3, 4), (12, 3, 3)],
    "lnd": [(2, 12, 4), (2, 12, 3)],
    "lhnd": [(2, 3, 12, 4), (2, 3, 12, 3)],
    "nlhd": [(12, 2, 3, 4), (12, 2, 3, 3)],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ask", ["mask", "serial"])
def test_every_layout_gives_back_what_went_in(codec: Any, layout: str, ask: str) -> None:
    text = IDENTITY.format(layout=layout, shapes=LAYOUTS[layout])
    _, outputs = told(codec(text, ask=ask))
    np.testing.assert_allclose(outputs, exact(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("pair", ["encode decode", "compress decompress", "to_bytes from_bytes",
                                  "serialize deserialize", "quantize dequantize"])  # fmt: skip
def test_the_spellings(codec: Any, pair: str) -> None:
    one, two = pair.split()
    text = f"class A:\n def {one}(self, K, V): return [K, V]\n def {two}(self, data): return data"
    np.testing.assert_allclose(told(codec(text))[1], exact(), rtol=2e-5, atol=2e-6)


HALVES = """
class Halves:
    ratio = 1
    def encode(self, x):
        return x.astype("float16")
    def decode(self, data):
        return data.astype("float32")
"""


def test_the_message_is_what_was_encoded_and_little_more(codec: Any) -> None:
    message, outputs = told(codec(HALVES))
    numbers = 12 * 2 * 3 * (4 + 3)
    assert 2 * numbers < len(message) <= 2 * numbers + 12 * 8
    assert 0 < np.abs(outputs - exact()).max() < 0.01


def test_bytes_and_containers_travel(codec: Any) -> None:
    text = """
class A:
    def encode(self, x):
        return {"bytes": x.tobytes(), "shape": x.shape, "rest": [None, True, "word", 2.5]}
    def decode(self, data):
        assert data["rest"] == [None, True, "word", 2.5]
        return np.frombuffer(data["bytes"], np.float32).reshape(data["shape"])
"""
    np.testing.assert_allclose(told(codec(text))[1], exact(), rtol=2e-5, atol=2e-6)


OBJECTS = """
from dataclasses import dataclass
from typing import NamedTuple
class Pair(NamedTuple):
    rows: object
    scale: float
@dataclass(frozen=True)
class Frozen:
    pair: Pair
    name: str
    def __post_init__(self):
        assert self.name != "built by Bob"
class Slots:
    __slots__ = ("inside",)
class A:
    objects = {listed}
    def encode(self, x):
        made = Slots()
        made.inside = [Frozen(Pair(x, 2.0), "n")]
        return made
    def decode(self, data):
        assert type(data) is Slots and type(data.inside[0]) is Frozen
        return data.inside[0].pair.rows
"""


def test_objects_of_declared_classes_travel(codec: Any) -> None:
    _, outputs = told(codec(OBJECTS.format(listed="(Slots, Pair, Frozen)")))
    np.testing.assert_allclose(outputs, exact(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        ("(Slots, Frozen)", "encode returned a Pair: list the class in objects"),
        ("(Slots, Pair)", "encode returned a Frozen: list the class in objects"),
        ("(Pair, Frozen)", "encode returned a Slots: list the class in objects"),
    ],
)
def test_objects_of_other_classes_are_refused(codec: Any, listed: str, sentence: str) -> None:
    alice = codec(OBJECTS.format(listed=listed))
    alice.extend(*triples())
    with pytest.raises(PluginFailure, match=sentence):
        alice.save()


def test_a_view_does_not_smuggle(codec: Any) -> None:
    text = """
class A:
    def encode(self, x):
        whole = np.concatenate([x] * 100)
        return whole[:12]
    def decode(self, data):
        return data
"""
    alice = codec(text)
    message, _ = told(alice)
    bytes_32 = 4 * 12 * 2 * 3 * (4 + 3)
    assert len(message) < bytes_32 + 12 * 8
    memories = alice.memories()
    assert (memories.logical, memories.resident) == (bytes_32, 100 * bytes_32)
    assert memories.claimed is None


def test_what_the_codec_claims_is_its_own_ratio(codec: Any) -> None:
    alice = codec(HALVES.replace("ratio = 1", "ratio = 8"))
    told(alice)
    memories = alice.memories()
    assert memories.logical == 2 * 12 * 2 * 3 * (4 + 3)
    assert memories.claimed == memories.logical / 8


def test_a_ratio_may_speak_of_the_data(codec: Any) -> None:
    text = HALVES.replace("ratio = 1", "def ratio(self, data): return data.shape[1]")
    alice = codec(text)
    told(alice)
    share = (1 / 4 + 1 / 3) / 2
    assert alice.memories().claimed == round(2 * 12 * 2 * 3 * (4 + 3) * share)


# -- streams ------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 5, 12, 64])
def test_a_stream_may_be_cut_anywhere(codec: Any, chunk: int) -> None:
    whole = codec(HALVES, feed="stream", chunk=chunk)
    message, outputs = told(whole)
    cut = whole.fresh()
    for at in range(12):
        cut.extend(*(part[at : at + 1] for part in triples()))
        saved, cut = cut.save(), cut.fresh()
        cut.restore(saved)
    assert cut.save() == message
    # Halves are rounded token by token, and the tail stays as it is.
    halves = told(codec(HALVES))[1]
    if chunk in (1, 12):
        np.testing.assert_array_equal(outputs, halves)
    else:
        assert not np.array_equal(outputs, halves)
    if chunk == 64:
        np.testing.assert_allclose(outputs, exact(), rtol=2e-5, atol=2e-6)


def test_the_tail_is_kept_in_the_dtype_of_the_codec(codec: Any) -> None:
    text = HALVES.replace("ratio = 1", 'dtype = "bfloat16"')
    message, outputs = told(codec(text, feed="stream", chunk=64))
    numbers = 12 * 2 * 3 * (4 + 3)
    assert 2 * numbers < len(message) < 2 * numbers + 40
    assert 1e-4 < np.abs(outputs - exact()).max() < 0.1


def test_chunk_is_for_streams(codec: Any) -> None:
    with pytest.raises(BadInput, match="chunk needs feed=stream"):
        codec(HALVES, chunk=4)
    with pytest.raises(BadInput, match="chunk=0 must be a number of tokens"):
        codec(HALVES, feed="stream", chunk=0)


# -- the constructor ----------------------------------------------------------------------------

ASKS = """
class A:
    def __init__(self, n, heads, layers, seed, d_k, d_v, bits=4, d=None):
        self.asked = (n, heads, layers, seed, d_k, d_v, bits, d)
        assert self.asked == {expected!r}, self.asked
    def encode(self, x):
        return x
    def decode(self, data):
        return data
"""


def test_public_things_are_given_by_name(codec: Any) -> None:
    codec(ASKS.format(expected=(12, 3, 2, 5, 4, 3, 2, None)), bits=2)
    codec(ASKS.format(expected=(7, 3, 2, 5, 4, 3, 4, None)), feed="stream", chunk=7)
    codec(ASKS.format(expected=(12, 1, 1, 5, 4, 4, 4, 4)), shape=SQUARE)


def test_functions_of_a_module_do_as_well(codec: Any) -> None:
    text = """
layout = "bhnd"
def encode(x, seed, power):
    assert seed == 5 and x.ndim == 4
    return x * 2.0 ** power
def decode(data, power=1):
    return data / 2.0 ** power
"""
    np.testing.assert_allclose(told(codec(text, power=3))[1], exact(), rtol=2e-5, atol=2e-6)
    with pytest.raises(BadInput, match=r"no parameter 'pover'. Did you mean 'power'?"):
        codec(text, pover=3)
    with pytest.raises(BadInput, match="coder needs the parameter 'levels'"):
        codec(text.replace("power", "levels", 1))


def test_what_encode_leaves_in_the_object_does_not_travel(codec: Any) -> None:
    text = """
class A:
    def encode(self, x):
        self.kept = x
        return b""
    def decode(self, data):
        return self.kept
"""
    with pytest.raises(
        PluginFailure, match=r"A.decode raised AttributeError.*\(coder.py, line 8\)"
    ):
        told(codec(text))


# -- sentences ----------------------------------------------------------------------------------

BODY = "class A:\n def encode(self, x): return x\n def decode(self, data): "
CONSTRUCTED = [
    ("class A:\n def encode(self, x): return x", BadInput, "0 classes with encode and decode"),
    (BODY + "return data\nclass B(A): pass", BadInput, "2 classes .*: write .*:NAME, .* A, B"),
    (BODY + "return data\n layout = 'hn'", BadInput, "A.layout is 'hn': write its axes"),
    (BODY + "return data\n layout = 'nnd'", BadInput, "A.layout is 'nnd': write its axes"),
    (BODY + "return data\n dtype = 'float23'", BadInput, "A.dtype is 'float23'. Did you mean"),
    (BODY + "return data\n tensors = 'torsh'", BadInput, "A.tensors is 'torsh'. Did you mean"),
    (BODY + "return data\n def __init__(self, bits): pass", BadInput,
     "A needs the parameter 'bits': give [?]bits=VALUE"),
    (BODY + "return data\n def __init__(self, d): pass", BadInput, "A takes one d, .* d_k and d_v"),
    (BODY + "return data\n def __init__(self): 1 / 0", PluginFailure,
     r"constructing A raised ZeroDivisionError: division by zero \(coder.py, line 5\)"),
    ("import no_such_package\n", BadInput,
     "coder.py needs the module 'no_such_package', which is not installed in this interpreter"),
    ("import triton\n", BadInput,
     "coder.py needs triton and with it a CUDA GPU, which this machine does not have"),
    ("1 +\n", PluginFailure, "importing coder.py raised SyntaxError"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "sentence"), CONSTRUCTED)
def test_what_a_wrong_codec_is_told(codec: Any, text: str, kind: type, sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        codec(text)


ANSWERED = [
    (BODY + "return data[:, :1]\n layout = 'nd'",
     r"A.decode returned \[12, 1\]: it must be \[tokens, 4\]"),
    (BODY + "return data[0]\n layout = 'nd'", r"A.decode returned \[4\]: it must be \[tokens, 4\]"),
    (BODY + "return data * np.inf", "A.decode returned NaN or infinity"),
    (BODY + "return [1]", "A.decode returned a list: it must return arrays or tensors of numbers"),
    (BODY + "return data.astype('U4')", "A.decode returned a ndarray: it must return arrays"),
    (BODY + "return data[: 3 + data.shape[1]]", "A.decode returned 7 keys and 6 values"),
    ("class A:\n def encode(self, K, V): return K\n def decode(self, data): return data",
     r"A.decode returned a ndarray: its encode takes \(K, V\), so it must return a pair"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), ANSWERED)
def test_what_is_said_of_wrong_answers(codec: Any, text: str, sentence: str) -> None:
    with pytest.raises(PluginFailure, match=sentence):
        told(codec(text))


ENCODED = [
    ("return lambda: 0", PluginFailure, "what A.encode returned.* is a function"),
    ("raise RuntimeError('Found no NVIDIA driver')", BadInput, "A.encode needs a CUDA GPU, which"),
    ("raise OSError('cannot reach huggingface.co')", BadInput, "A.encode needs a download"),
    (
        "raise KeyError('x')",
        PluginFailure,
        r"A.encode raised KeyError: 'x' \(coder.py, line 3\)",
    ),
]


@pytest.mark.parametrize(("body", "kind", "sentence"), ENCODED)
def test_what_is_said_of_encoding(codec: Any, body: str, kind: type, sentence: str) -> None:
    text = f"class A:\n def encode(self, x): {body}\n def decode(self, data): return data"
    with pytest.raises(kind, match=sentence):
        told(codec(text))


def test_unknown_names(tmp_path: Path) -> None:
    path = tmp_path / "coder.py"
    path.write_text(HALVES + "made = Halves()")
    cases = {
        f"{path}:Halfs": "has no class 'Halfs'. Did you mean 'Halves'",
        f"{tmp_path}/none.py:A": "none.py is not there",
        f"{path}:made": "made is a Halves: give the name of a class or a module",
        "no_such_module:A": "there is no module 'no_such_module'",
    }
    for what, sentence in cases.items():
        with pytest.raises(BadInput, match=sentence):
            CodecCache(SHAPE, what=what)
    with pytest.raises(BadInput, match=r"no parameter 'bits'. It takes none"):
        CodecCache(SHAPE, what=f"{path}:Halves", bits=3)
    with pytest.raises(BadInput, match="takes no budget"):
        CodecCache(SHAPE, 1000, what=f"{path}:Halves")
    with pytest.raises(BadInput, match="takes bob=asks, not reads"):
        CodecCache(SHAPE, what=f"{path}:Halves", bob="reads")


@pytest.mark.parametrize(
    "message",
    [
        b"no message",
        pack_plain([1]),
        pack_plain(7),
        pack_plain(([], 1, 2)),
        pack_plain(([], np.zeros((2, 1, 1, 4)), np.zeros((2, 1, 1, 3)))),
        pack_plain(([], np.zeros((2, 2, 3, 4)), np.zeros((2, 2, 3, 4)))),
        pack_plain(([], np.full((2, 2, 3, 4), np.nan), np.zeros((2, 2, 3, 3)))),
        pack_plain([deque([9, 1])] * 12),
    ],
)
def test_strange_messages_are_refused(codec: Any, message: bytes) -> None:
    with pytest.raises(PluginFailure, match=r"was not made by the inherited save|does not fit"):
        codec(HALVES).restore(message)


def test_a_message_cannot_set_methods(codec: Any) -> None:
    alice = codec(
        "class Rows:\n def scaled(self): pass\n" + BODY + "return data\n objects = (Rows,)"
    )
    alice.extend(*triples())
    honest = unpack_plain(alice.save())
    alice.fresh().restore(pack_plain([deque([0, {"scale": 1}])] * len(honest)))
    with pytest.raises(PluginFailure, match="does not fit"):
        alice.fresh().restore(pack_plain([deque([0, {"scaled": 1}])] * len(honest)))


# -- the game -----------------------------------------------------------------------------------


@pytest.mark.parametrize("basis", ["literal", "rotated"])
def test_the_example_loses_nothing_and_its_claim_is_not_its_message(basis: str) -> None:
    instance = Index(n=128, d=64, keys="kerdock", eta=0.5, basis=basis)
    game = instance.build()
    secret = np.random.default_rng(3).integers(0, 2, (128, 64)).astype(np.uint8)
    rows = np.arange(128)
    target = resolve(f"codec:{EXAMPLE}:FourBits")
    alice, bob = (target.factory(instance.shape, None, 1, game.public()) for _ in "ab")
    alice.extend(*game.stream(secret))
    message = alice.save()
    bob.restore(message)
    bits = game.decode(bob.next_outputs(*game.queries(rows)), rows)
    assert (bits == secret).all()
    # 4 bits a number, and two halves of 16 bits for every 64 numbers.
    share = 8 * len(message) * 16 / 16 / instance.shape.cache_bits_16
    assert share == pytest.approx(4 / 16 + 32 / (16 * 64), abs=0.002)
    assert alice.inner.memories().claimed * 4 == instance.shape.cache_bits_16 / 8


def test_what_a_codec_returns_twice_is_sent_once(codec: Any) -> None:
    text = """
class Twice:
    {kind}
    def encode(self, x):
        return [x, x[2:], {{"again": x}}]
    def decode(self, data):
        assert {shares}
        return data[0]
"""
    once, _ = told(
        codec("class C:\n def encode(self, x): return x\n def decode(self, d): return d")
    )
    numpy, _ = told(codec(text.format(kind="", shares="np.shares_memory(data[0], data[1])")))
    # 12 calls; in each a list, a dict, two views and their layouts.
    assert len(once) < len(numpy) < len(once) + 12 * 110
    pytest.importorskip("torch", reason="a codec may be given tensors")
    for dtype, size in (("float32", 4), ("bfloat16", 2)):
        kind = f"tensors, dtype = 'torch', {dtype!r}"
        shares = "data[0][2:].data_ptr() == data[1].data_ptr()"
        torch, _ = told(codec(text.format(kind=kind, shares=shares)))
        assert len(torch) < len(once) * size // 4 + 12 * 120


def test_a_strangers_class_needs_no_words_of_ours(codec: Any) -> None:
    text = """
class Strange:
    def __init__(self, head_dim, num_heads, device="cuda", dtype=None):
        assert (head_dim, num_heads, device) == (4, 1, "cpu")
        self.layout, self.dtype = object(), np.float64  # its own, not ours
    def encode(self, x):
        assert x.shape == {shape} and x.dtype == np.float32
        return x
    def decode(self, data):
        return data
    def ratio(self):
        return 4
"""
    one = codec(text.format(shape="(12, 4)"), SQUARE)
    told(one, SQUARE)
    assert one.memories().claimed * 4 == 12 * 2 * 4 * 2
    told(codec(text.format(shape="(12, 1, 4)"), SQUARE, layout="nhd"), SQUARE)


def test_words_of_ours_may_be_parameters_of_the_target(codec: Any) -> None:
    text = """
class Plain:
    def encode(self, x):
        assert x.dtype == np.float16 and x.shape == (3, 12, 4), (x.dtype, x.shape)
        return x
    def decode(self, data):
        return data
"""
    shape = Shape(tokens=12, d_k=4, d_v=4, layers=1, heads=3, kv_heads=3)
    told(codec(text, shape, layout="hnd", dtype="float16"), shape)
    with pytest.raises(BadInput, match="layout is 'nnd'"):
        codec(text, shape, layout="nnd")
    with pytest.raises(BadInput, match="has no parameter 'lay'"):
        codec(text, shape, lay="hnd")


def test_no_message_of_a_stream_exceeds_what_its_account_names(codec: Any) -> None:
    alice, longest = codec(HALVES, feed="stream", chunk=8), 0
    for q, k, v in zip(*triples(), strict=True):
        alice.append(q, k, v)
        longest = max(longest, len(alice.save()))
    held = alice.memories()
    token = 2 * 3 * (4 + 3)
    # Eight tokens in 16 bits and four that wait in 32; at most seven wait.
    assert held.resident == 8 * token * 2 + 4 * token * 4
    assert held.beside == 7 * token * 4
    assert held.beside_is == "up to 7 tokens wait in 32 bits until a piece is whole"
    assert held.resident < longest < held.resident + held.beside
