"""Published classes say nothing of how they are called: it is found, said, and costs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier.compressors.engines.codec.cache import CodecCache
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.errors import BadInput, PluginFailure

HEADS = Shape(tokens=12, d_k=4, d_v=4, layers=2, heads=3, kv_heads=3)
ONE = Shape(tokens=12, d_k=4, d_v=4, layers=1, heads=1, kv_heads=1)


@pytest.fixture
def stranger(tmp_path: Path) -> Any:
    """Write a file, and return a maker of caches over its one class (or over it)."""

    def make(text: str, shape: Shape = HEADS, name: str = "", **params: Any) -> CodecCache:
        path = tmp_path / "theirs.py"
        path.write_text("import numpy as np\n" + text)
        return CodecCache(shape, None, 5, {}, what=f"{path}{name}", **params)

    return make


def rows(shape: Shape) -> Any:
    """K and V."""
    rng = np.random.default_rng(3)
    return [rng.standard_normal((shape.tokens, shape.layers, shape.kv_heads, 4), dtype=np.float32)
            for _ in "kv"]  # fmt: skip


def travelled(alice: CodecCache) -> tuple[bytes, Any, Any]:
    """The message, and the K and V that another object reads from it."""
    K, V = rows(alice.shape)
    alice.extend(np.zeros_like(K), K, V)
    message = alice.save()
    bob = alice.fresh()
    bob.restore(message)
    read = [np.stack([np.stack(heads, axis=1) for heads in part], axis=1) for part in bob._rows()]
    return message, *read


def holds(alice: CodecCache, tolerance: float = 0.0) -> bytes:
    """All numbers came back; returns the message."""
    message, K, V = travelled(alice)
    for read, told in zip((K, V), rows(alice.shape), strict=True):
        np.testing.assert_allclose(read, told, rtol=tolerance, atol=tolerance)
    return message


PLAIN = """
class Theirs:
    def encode(self, x):
        {check}
        return x
    def decode(self, data):
        return data
"""


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("pass", "NumPy float32[tokens, d]"),
        ("h, n, d = x.shape; assert h == 3", "NumPy float32[heads, tokens, d]"),
        ("b, h, n, d = x.shape; assert (b, h) == (1, 3)", "NumPy float32[1, heads, tokens, d]"),
        ("assert x.ndim == 5 and len(x) == 2", "NumPy float32[layers, 1, heads, tokens, d]"),
        ("(d,) = x.shape", "NumPy float32[d], a call for each token"),
        ("assert x.dtype == np.float16", "NumPy float16[tokens, d]"),
        ("assert x.ndim == 2 and len(x) > 8", "NumPy float32[tokens, d]"),
    ],
)
def test_axes_and_types_are_found_and_said(stranger: Any, check: str, said: str) -> None:
    one = stranger(PLAIN.format(check=check))
    holds(one, 1e-3 if "16" in check else 0)
    assert one.memories().played == f"encode and decode, {said}"


def test_an_author_who_says_a_word_is_asked_no_more(stranger: Any) -> None:
    text = PLAIN.format(check="self.calls = getattr(self, 'calls', 0) + 1; assert self.calls < 13")
    one = stranger(text + "    layout = 'nd'\n")
    holds(one)
    assert not one.memories().played


def test_a_wrong_guess_has_a_remedy(stranger: Any) -> None:
    one = stranger(PLAIN.format(check="pass"), layout="bhnd", dtype="float16")
    holds(one, 1e-3)
    assert one.memories().played == "encode and decode, NumPy float16[1, heads, tokens, d]"


CONFIGURED = """
from dataclasses import dataclass
from typing import Optional
@dataclass
class ScaleConfig:
    head_dim: int = 128
    power: int = 1
class Theirs:
    def __init__(self, {argument}):
        self.config = config or ScaleConfig()
        assert self.config.head_dim == 4
    def encode(self, x):
        assert x.shape[-1] == self.config.head_dim
        return x * np.float32(2.0 ** self.config.power)
    def decode(self, data):
        return data / np.float32(2.0 ** self.config.power)
"""
WANTED = ("config: ScaleConfig", "config: Optional[ScaleConfig] = None", "config",
          "config: 'ScaleConfig | None' = None", "num_heads, config=None")  # fmt: skip


@pytest.mark.parametrize("argument", WANTED)
def test_a_configuration_is_made_and_takes_its_parameters(stranger: Any, argument: str) -> None:
    text = CONFIGURED.format(argument=argument)
    assert len(holds(stranger(text, name=":Theirs", power=3))) > 12 * 4 * 4
    with pytest.raises(BadInput, match="Theirs has no parameter 'pover'"):
        stranger(text, name=":Theirs", pover=3)


def test_what_a_configuration_needs_is_named(stranger: Any) -> None:
    text = CONFIGURED.format(argument="config: ScaleConfig").replace("power: int = 1", "power: int")
    text = text.replace("head_dim: int = 128", "head_dim: int")
    with pytest.raises(BadInput, match=r"ScaleConfig needs the parameter 'power': give \?power="):
        stranger(text, name=":Theirs")


@pytest.mark.parametrize(("wanted", "kind", "sentence"), [
    ("mode: Mode", BadInput, r"Theirs needs the parameter 'mode': give \?mode=VALUE. If it"),
    ("inner: Other", BadInput, r"Theirs needs the parameter 'inner': .* class of yours that makes"),
    ("config: BadConfig", PluginFailure, r"constructing BadConfig raised ZeroDiv.*line 8"),
])  # fmt: skip
def test_objects_that_are_no_configuration_are_the_authors(
    stranger: Any, wanted: str, kind: type, sentence: str
) -> None:
    text = f"""
import enum
Mode = enum.Enum("Mode", "A B")
class Other:
    pass
class BadConfig:
    def __init__(self): 1 / 0
class Theirs:
    def __init__(self, {wanted}): pass
    def encode(self, x): return x
    def decode(self, data): return data
"""
    with pytest.raises(kind, match=sentence):
        stranger(text, name=":Theirs")


def test_a_file_that_is_written_is_told_of(stranger: Any) -> None:
    text = PLAIN.format(check="pass").replace("def encode", """def __init__(self):
        raise RuntimeError("open file failed with strerror: Read-only file system")
    def encode""")  # fmt: skip
    with pytest.raises(BadInput, match="Theirs writes a file, and players may not"):
        stranger(text)


def test_sizes_are_given_under_their_names_where_they_are_required(stranger: Any) -> None:
    text = """
class Theirs:
    def __init__(self, embedding_dim, max_seq_len, batch_size, layer_idx, random_state,
                 capacity=3):
        assert (embedding_dim, max_seq_len, batch_size, layer_idx) == (4, 12, 1, 0)
        assert random_state == 5 and capacity == 3
    def encode(self, x):
        return x
    def decode(self, data, shape=None):
        return data
"""
    holds(stranger(text))


RESULTS = {
    "a dataclass": "return Data(x, 2.0)",
    "a list of them": "return [Data(row, 1.0) for row in x]",
    "a named tuple": "return Named(x, 'word')",
    "a class of its own": "return Own(x)",
    "a dict": "return {'x': x, 'shape': x.shape, 'name': 'word', 'none': None}",
    "a list of dicts": "return [{'x': row, 'scale': 1.0} for row in x]",
    "a list of dicts with other names": "return [{'x': x}, {'y': x}]",
    "a deque": "return deque([x], maxlen=3)",
    "a generator": "return (row for row in x)",
    "bytes": "return x.tobytes()",
}
OBJECTS = """
import enum, functools, logging, threading
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple
class Mode(enum.Enum):
    MSE = 1
    PROD = 2
@dataclass
class Data:
    x: object
    scale: float
class Named(NamedTuple):
    x: object
    word: str
class Own:
    def __init__(self, x):
        self.x, self.lock, self.log = x, threading.Lock(), logging.getLogger("theirs")
        self.dtype, self.mode, self.round = x.dtype, Mode.PROD, functools.partial(round, ndigits=3)
def rows(data):
    if isinstance(data, bytes): return np.frombuffer(data, np.float32).reshape(-1, 4)
    if isinstance(data, deque): assert data.maxlen == 3; return data[0]
    if isinstance(data, dict): assert data['shape'] == data['x'].shape; return data['x']
    if isinstance(data, Own):
        assert data.mode is Mode.PROD and data.dtype == np.float32 and data.round(1.23456) == 1.235
        assert data.log.name == "theirs"
        with data.lock: return data.x
    if isinstance(data, list) and isinstance(data[0], dict):
        return data[1]['y'] if len(data) == 2 else [one['x'] for one in data]
    if isinstance(data, list) and isinstance(data[0], Data): return [one.x for one in data]
    return data.x if hasattr(data, 'x') else data
class Theirs:
    def encode(self, x):
        if len(x) == 2: x = np.concatenate([x, x])  # two tokens, and a list of two
        {result}
    def decode(self, data):
        found = np.asarray(rows(data))
        return found[:2] if len(found) == 4 else found
"""


@pytest.mark.parametrize("result", RESULTS)
def test_whatever_is_returned_travels(stranger: Any, result: str) -> None:
    message = holds(stranger(OBJECTS.replace("{result}", RESULTS[result]), name=":Theirs"))
    calls = 2 * 2 * 3
    numbers = 12 * 4 * 4
    # Rows of numbers cost no header each; a call costs its names and no machinery.
    assert calls * numbers < len(message) < calls * (numbers + 12 * 9 + 100)


def test_what_was_not_met_in_the_rehearsal_is_refused(stranger: Any) -> None:
    text = OBJECTS.replace("{result}", "return Data(Own(x) if x.max() > 2 else x, 1.0)")
    alice = stranger(text, ONE, name=":Theirs")
    K = np.full((12, 1, 1, 4), 9, np.float32)
    alice.extend(K, K, K)
    with pytest.raises(PluginFailure, match=r"Theirs.encode returned a Own: list the class in obj"):
        alice.save()


@pytest.mark.parametrize("pair", ["quantize_kv dequantize_kv", "pack unpack",
                                  "encode_batch decode_batch"])  # fmt: skip
def test_more_spellings(stranger: Any, pair: str) -> None:
    one, two = pair.split()
    text = (
        f"class Theirs:\n def {one}(self, k, v): return k, v\n def {two}(self, k, v): return k, v"
    )
    found = stranger(text)
    holds(found)
    assert found.memories().played.startswith(f"{one} and {two}, ")


def test_a_broken_pair_does_not_stand_before_another(stranger: Any) -> None:
    text = """
class Theirs:
    def compress(self, x): return x.tobytes()
    def decompress(self, data): raise KeyError("radii")
    def quantize(self, x): return {"codes": x, "scale": 1.0}
    def dequantize(self, codes, scale): return codes * np.float32(scale)
"""
    assert holds(found := stranger(text))
    assert found.memories().played.startswith("quantize and dequantize")
    with pytest.raises(PluginFailure, match=r"decompress raised KeyError.*say \?tensors=, layout="):
        travelled(stranger(text, encode="compress", decode="decompress"))
    with pytest.raises(BadInput, match=r"no method 'compres'. Did you mean 'compress'"):
        stranger(text, encode="compres")


KEEPS = """
import threading
class Theirs:
    def __init__(self):
        self.K, self.V, self.lock, self.rotation = [], [], threading.Lock(), np.eye(50)
    def append(self, k, v):
        {check}
        self.K.append(k); self.V.append(v)
    def get(self):
        return {{"k": np.{join}(self.K), "v": np.{join}(self.V)}}
"""


@pytest.mark.parametrize(("check", "join"), [
    ("assert k.shape == (4,)", "stack"),
    ("assert k.shape == (3, 4)", "stack"),
    ("assert k.shape == (1, 3, 4)", "stack"),
    ("assert k.ndim == 4", "concatenate"),
    ("pass", "concatenate"),
])  # fmt: skip
def test_a_cache_with_append_and_get_is_a_codec(stranger: Any, check: str, join: str) -> None:
    text = KEEPS.format(check=check, join=join)
    message = holds(stranger(text, name=":Theirs", encode="append", decode="get"))
    numbers = 2 * 2 * 3 * 12 * 4 * 4
    # What the constructor makes, 20 kB of rotation here, is public.
    assert numbers < len(message) < numbers + 2 * 3 * 200
    with pytest.raises(PluginFailure, match=r"others are named as in \?encode=append&decode=get"):
        stranger(text, name=":Theirs")


def test_what_a_constructor_draws_from_global_generators_is_public(stranger: Any) -> None:
    text = """
import random
class Theirs:
    def __init__(self):
        self.turn = np.float32(random.choice([-1, 1])) * np.random.default_rng(
            np.random.randint(1 << 30)).permutation(64)[:4].argsort()
    def encode(self, x):
        return x[:, self.turn.argsort()]
    def decode(self, data):
        return data[:, self.turn.argsort().argsort()]
"""
    for _ in range(4):  # without it one pair of objects in 48 understands each other
        holds(stranger(text))


@pytest.mark.parametrize("text", [
    """
class Theirs:
    def __init__(self):
        self.turn = np.linalg.qr(np.random.default_rng().standard_normal((4, 4)))[0].astype("f4")
    def encode(self, x):
        return x @ self.turn
    def decode(self, data):
        return data @ self.turn.T
""", """
class Theirs:
    def encode(self, x):
        self.scale = np.abs(x).max()
        return x / self.scale
    def decode(self, data):
        return data * self.scale
""",
])  # fmt: skip
def test_who_does_not_understand_another_object_is_told_so(stranger: Any, text: str) -> None:
    with pytest.raises(PluginFailure, match=r"only in the object that encoded, and Bob has anothe"):
        stranger(text, ONE)


def test_functions_of_a_module_are_rehearsed_too(stranger: Any) -> None:
    text = """
def compress(x, head_dim, power=1):
    assert x.ndim == 4 and head_dim == 4
    return x * np.float32(2.0 ** power), power
def decompress(data, power=1):
    return data[0] / np.float32(2.0 ** power)
"""
    found = stranger(text, power=3)
    holds(found)
    assert "[1, heads, tokens, d]" in found.memories().played


def test_the_same_numbers_are_charged_as_for_a_codec_of_ours(stranger: Any) -> None:
    body = PLAIN.format(check="return x.astype(np.float16)")
    ours = len(travelled(stranger(body + "    dtype = 'float32'\n"))[0])
    assert len(travelled(stranger(body))[0]) == ours


TENSORS = """
import torch
class Theirs:
    def compress(self, k: torch.Tensor, v: torch.Tensor):
        assert k.shape[:2] == (1, 3)
        return {"k": k.half(), "v": v.half(), "shape": k.shape, "dtype": k.dtype,
                "device": k.device}
    def decompress(self, data):
        assert isinstance(data["dtype"], torch.dtype) and data["device"].type == "cpu"
        return data["k"].to(data["dtype"]).reshape(tuple(data["shape"])), data["v"].float()
"""


def test_tensors_their_shapes_dtypes_and_devices(stranger: Any) -> None:
    pytest.importorskip("torch", reason="a codec may be given tensors")
    found = stranger(TENSORS)
    message = holds(found, 1e-3)
    assert found.memories().played == "compress and decompress, torch float32[1, heads, tokens, d]"
    assert len(message) < 2 * 2 * 3 * 12 * 4 * 2 + 2 * 120


def test_a_cache_of_tensors_keeps_its_rotation_for_itself(stranger: Any) -> None:
    pytest.importorskip("torch", reason="a codec may be given tensors")
    text = KEEPS.format(check="k = k @ self.rotation", join="eye").replace(
        "np.eye(50)", "__import__('torch').linalg.qr(__import__('torch').randn(4, 4))[0]"
    ).replace("np.eye(self.K)", "__import__('torch').cat(self.K) @ self.rotation.T").replace(
        "np.eye(self.V)", "__import__('torch').cat(self.V)")  # fmt: skip
    message = holds(stranger(text, ONE, name=":Theirs", encode="append", decode="get"), 1e-4)
    assert len(message) < 2 * 12 * 4 * 4 + 60
