"""A codec as it is called: which two methods, with what arrays, and what they need beside them."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ....errors import BadInput, KVBarrierError, PluginFailure
from ...plugin.blame import blame
from ...plugin.contract import Float32, Shape
from ...plugin.packing import attributes, same
from .axes import join, split
from .data import Kinds, as_plain, set_fields

PAIRS = (
    ("encode", "decode"),
    ("compress", "decompress"),
    ("to_bytes", "from_bytes"),
    ("serialize", "deserialize"),
    ("quantize", "dequantize"),
    ("pack", "unpack"),
)

# Words in somebody's exception that say what is missing here.
_NEEDS = {
    "triton": "triton and with it a CUDA GPU",
    "cuda": "a CUDA GPU",
    "nvidia": "a CUDA GPU",
    "huggingface": "a download from a hub",
}
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Way:
    """How a codec is called.

    Attributes:
        writer, reader: the names of its two methods.
        tensors: "numpy" or "torch".
        layout: the axes of an array; without n there is a call for each token.
        dtype: of its numbers.
        kept: the reader asks for no data: the object keeps them, and they are the attributes that
            differ from a fresh object's.
    """

    writer: str
    reader: str
    tensors: str = "numpy"
    layout: str = "nd"
    dtype: str = "float32"
    kept: bool = False

    @property
    def axes(self) -> str:
        """Those of all tokens together."""
        return self.layout if "n" in self.layout else f"n{self.layout}"

    def __str__(self) -> str:
        """In words.

        >>> str(Way("add", "get", layout="bhnd"))
        'add and get, NumPy float32[1, heads, tokens, d]'
        >>> str(Way("quantize", "dequantize", "torch", "d"))
        'quantize and dequantize, torch float32[d], a call for each token'
        """
        words = {"n": "tokens", "h": "heads", "l": "layers", "b": "1"}
        axes = ", ".join(words.get(axis, axis) for axis in self.layout)
        kind = "NumPy" if self.tensors == "numpy" else "torch"
        each = "" if "n" in self.layout else ", a call for each token"
        return f"{self.writer} and {self.reader}, {kind} {self.dtype}[{axes}]{each}"


@dataclass(frozen=True)
class Codec:
    """A codec that was built.

    Attributes:
        name: for sentences.
        way: how it is called.
        encode, decode: its two functions, for all tokens of a call.
        together: whether encode takes (K, V).
        kinds: what may occur in its data.
        package: the distribution that does the work, if it is named.
        ratio: its own word about a piece of data, or None.
        played: how it is called, in words, where that was found by playing.
        advice: what to do where no way was found.
    """

    name: str
    way: Way
    encode: Callable[..., Any]
    decode: Callable[[Any], Any]
    together: bool
    kinds: Kinds = field(default_factory=Kinds)
    package: str = ""
    ratio: Callable[[Any], float] | None = None
    played: str = ""
    advice: str = ""

    def run(self, function: Callable[..., Any], word: str, *args: Any) -> Any:
        """Call a function of theirs, which they call ``word``.

        Raises:
            BadInput: it needs what is not here, a GPU say.
            PluginFailure: it raised something else; with their line.
        """
        try:
            return function(*args)
        except Exception as error:
            try:
                tell(error, f"{self.name}.{word}", self.package)
            except PluginFailure as failure:
                raise PluginFailure(f"{failure} {self.advice}".rstrip(), failure.detail) from error

    def calls(self, shape: Shape) -> int:
        """How many pieces there are of one run of tokens."""
        layers = 1 if "l" in self.way.layout else shape.layers
        heads = 1 if "h" in self.way.layout else shape.kv_heads
        return layers * heads * (1 if self.together else 2)

    def encoded(self, K: Float32, V: Float32) -> list[Any]:
        """The pieces of tokens: float32[n, layers, heads, d] each."""
        pairs = zip(*(split(part, self.way) for part in (K, V)), strict=True)
        calls = pairs if self.together else ((part,) for pair in pairs for part in pair)
        return [self.run(self.encode, self.way.writer, *parts) for parts in calls]

    def decoded(self, pieces: list[Any], shape: Shape) -> tuple[Float32, Float32]:
        """Keys and values of the pieces of one run: float32[n, layers, heads, d] each.

        Raises:
            PluginFailure: what decode returned are no keys and values of these sizes.
        """
        word = self.way.reader
        answers = [self.run(self.decode, word, piece) for piece in pieces]
        if self.together:
            pairs = [self._pair(answer) for answer in answers]
        else:
            pairs = list(zip(answers[0::2], answers[1::2], strict=True))
        K, V = (
            join([pair[i] for pair in pairs], f"{self.name}.{word}", self.way.axes, shape, d)
            for i, d in enumerate((shape.d_k, shape.d_v))
        )
        if len(K) != len(V):
            raise PluginFailure(
                f"{self.name}.{word} returned {len(K)} keys and {len(V)} values: it must return "
                "equally many."
            )
        return K, V

    def _pair(self, answer: Any) -> tuple[Any, Any]:
        if isinstance(answer, dict):
            answer = list(answer.values())
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise PluginFailure(
                f"{self.name}.{self.way.reader} returned a {type(answer).__name__}: its "
                f"{self.way.writer} takes (K, V), so it must return a pair (K, V)."
            )
        return answer[0], answer[1]


def pairs_of(thing: Any) -> list[tuple[str, str]]:
    """The pairs of methods that a class or module has: ``PAIRS``, then those with a suffix.

    >>> from types import SimpleNamespace as Thing
    >>> pairs_of(Thing(compress_kv=abs, decompress_kv=abs, quantize=abs, dequantize=abs))
    [('quantize', 'dequantize'), ('compress_kv', 'decompress_kv')]
    """
    found = list(PAIRS)
    for name in dir(thing):
        found += [(name, two + name.removeprefix(one)) for one, two in PAIRS
                  if name.startswith(f"{one}_")]  # fmt: skip
    return [pair for pair in found if all(callable(getattr(thing, name, None)) for name in pair)]


def asks_nothing(reader: Callable[..., Any], known: Mapping[str, Any]) -> bool:
    """Whether a reader can be called without data: what it requires is known, or it is nothing."""
    try:
        inspect.signature(reader)
    except (TypeError, ValueError):
        return False
    return set(_Method(reader, known, {}).arrays) <= set(known)


def functions(
    make: Callable[[], Any], way: Way, known: Mapping[str, Any], by_name: Mapping[str, Any]
) -> tuple[Callable[..., Any], Callable[[Any], Any], bool]:
    """Encode and decode of an object of ``make``, and whether encode takes (K, V).

    What a method requires beside its arrays and is ``known`` it gets by name, and what is given
    ``by_name`` if it takes it at all. Where decode requires several things, what encode returned
    is spread over them, by name if it is a dict.
    """
    made = make()
    takes = _Method(getattr(made, way.writer), known, by_name)
    together = len(takes.arrays) == 2
    if way.kept:
        encode, decode = _keeping(make, way, known, by_name)
    else:
        encode = takes
        decode = _Method(getattr(made, way.reader), known, by_name).spread
        if "n" not in way.layout:
            encode, decode = _by_row(encode), _rows_of(decode, together)
    return encode, decode, together


class _Method:
    """A function with what it takes beside the arrays: ``arrays`` are the names of those."""

    def __init__(
        self, function: Callable[..., Any], known: Mapping[str, Any], by_name: Mapping[str, Any]
    ) -> None:
        self.function = function
        try:
            found = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):  # one written in C
            self.arrays, self.beside = ["x"], {}
            return
        needed = [p.name for p in found if p.kind in _BY_POSITION and p.default is p.empty]
        self.arrays = needed[:1] + [name for name in needed[1:] if name not in {**known, **by_name}]
        taken = [p.name for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        anything = any(p.kind is p.VAR_KEYWORD for p in found)
        self.beside = {key: known[key] for key in needed[1:] if key in known}
        self.beside |= {key: value for key, value in by_name.items()
                        if key in taken[1:] or (anything and key not in known)}  # fmt: skip

    def __call__(self, *arrays: Any) -> Any:
        return _listed(self.function(*arrays, **self.beside))

    def spread(self, data: Any) -> Any:
        """Call it with what encode returned, a place for each part where it has several."""
        if len(self.arrays) > 1 and isinstance(data, dict):
            parts = {name: data[name] for name in self.arrays}
            return _listed(self.function(**parts, **self.beside))
        return self(*(data if len(self.arrays) > 1 else (data,)))


def _listed(found: Any) -> Any:
    return list(found) if isinstance(found, types.GeneratorType) else found


def _by_row(encode: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arrays: [encode(*rows) for rows in zip(*arrays, strict=True)]


def _rows_of(decode: Callable[[Any], Any], together: bool) -> Callable[[Any], Any]:
    def rows(data: Any) -> Any:
        found = [decode(one) for one in data]
        return tuple(map(list, zip(*found, strict=True))) if together else found

    return rows


def _keeping(
    make: Callable[[], Any], way: Way, known: Mapping[str, Any], by_name: Mapping[str, Any]
) -> tuple[Callable[..., Any], Callable[[Any], Any]]:
    def encode(*arrays: Any) -> Any:
        made, fresh = make(), attributes(make())
        takes = _Method(getattr(made, way.writer), known, by_name)
        for part in zip(*arrays, strict=True) if "n" not in way.layout else [arrays]:
            takes(*part)
        return {key: value for key, value in attributes(made).items()
                if key not in fresh or not _alike(value, fresh[key])}  # fmt: skip

    def decode(data: Any) -> Any:
        made = make()
        set_fields(made, data)
        gives = _Method(getattr(made, way.reader), known, by_name)
        return _listed(gives.function(**{k: known[k] for k in gives.arrays if k in known}))

    return encode, decode


def _alike(a: Any, b: Any) -> bool:
    """Whether two attributes are the same, tensors and objects of theirs included."""
    try:
        return same(*(as_plain(one, Kinds(learning=True), "") for one in (a, b)))
    except Exception:  # not known to be the same, so it is sent
        return False


def tell(
    error: Exception, doing: str, package: str, failure: PluginFailure | None = None
) -> NoReturn:
    """Raise one clear sentence for somebody's exception."""
    if isinstance(error, KVBarrierError):
        raise error
    name = doing.removeprefix("importing ").removeprefix("constructing ")
    if isinstance(error, ModuleNotFoundError) and error.name != "triton":
        raise BadInput(
            f"{name} needs the module '{error.name}', which is not installed in this interpreter: "
            f"pip install {package or error.name}."
        ) from error
    text = f"{type(error).__name__}: {error}"
    for word, need in _NEEDS.items():
        if word in text.lower():
            first = " ".join(text.split())[:1000].rstrip(".")
            raise BadInput(
                f"{name} needs {need}, which this machine does not have ({first})."
            ) from error
    if any(word in text.lower() for word in ("read-only file system", "permission denied")):
        raise BadInput(
            f"{name} writes a file, and players may not ({type(error).__name__}). If the file is "
            "the same each time, make it once in Python, from a class of yours that sets its seed."
        ) from error
    raise (failure or blame(error, doing)) from error


def one_thread() -> None:
    """Players are forked, and a fork of a process that runs threads of OpenMP hangs.

    Raises BadInput where torch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        tell(error, "a codec with tensors = 'torch'", "torch")
    torch.set_num_threads(1)
