"""What the author of a codec writes, and how it is found: encode and decode, and nothing else.

A codec turns keys and values into data and back; attention is ours. Five lines are one::

    class Halves:
        def encode(self, x):  # float32[tokens, d], for the keys and the values of every head
            return x.astype("float16")
        def decode(self, data):  # in another process, from the data alone
            return data.astype("float32")

``codec:halves.py:Halves`` is its target, ``codec:package.module:Class?bits=4`` another. The methods
may also be called compress and decompress, to_bytes and from_bytes, serialize and deserialize, or
quantize and dequantize; functions of a module do as well as methods of a class.

* ``encode(x)`` is called for keys and values apart, ``encode(K, V)`` for both together;
  ``decode`` gives back what went in: x, or (K, V).
* What ``encode`` returns is the message: bytes, numbers, text, NumPy arrays, torch tensors, and
  lists, tuples and dicts of them. A dataclass, a NamedTuple or another object in it must be of a
  class listed in ``objects``. Views are cut down to their elements; there is no pickle.
* Everything made in the constructor is public and costs nothing. It is given, by name and only if
  it asks: ``d`` (or ``d_k``, ``d_v``), ``n`` (tokens in a call), ``heads``, ``layers``, ``device``
  (the CPU) and ``seed``, public coins, also under the names that people use for them
  (``head_dim``, ``num_heads``); anything else is a parameter of the target. What ``encode`` leaves
  in the object does not travel: Bob has another one.

Class attributes, all optional; the first three may be parameters of the target instead, for a class
that is not one's own (``codec:package.module:Class?tensors=torch&layout=nhd``):

=========== ========== ====================================================================
``tensors``  "numpy"    or "torch": what encode is given
``layout``   "nd"       the axes, in order: n tokens, d, h heads, l layers, b a batch of one;
                        for axes left out there is a call each ("bhnd": one a layer)
``dtype``    "float32"  or "float16", "bfloat16", "float64"
``objects``  ()         classes that may occur in the data
``package``  ""         the distribution that does the work, whose version is reported
=========== ========== ====================================================================

``ratio(data)``, optional too, is the author's own word for how many times smaller than 16-bit
numbers a piece of data is: a method, of the data or of nothing, or just a number.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from ....errors import BadInput, KVBarrierError, PluginFailure, did_you_mean
from ...plugin.blame import blame
from ...plugin.contract import Shape
from ...plugin.loading import load_file, load_module
from ...plugin.signature import Signature

PAIRS = (
    ("encode", "decode"),
    ("compress", "decompress"),
    ("to_bytes", "from_bytes"),
    ("serialize", "deserialize"),
    ("quantize", "dequantize"),
)
TENSORS = ("numpy", "torch")
_OURS = {"tensors": "numpy", "layout": "nd", "dtype": "float32"}
_ALIASES = {
    "d": ("head_dim", "dim", "d_head", "head_size"),
    "heads": ("num_heads", "n_heads", "num_kv_heads", "n_kv_heads", "num_key_value_heads"),
    "layers": ("num_layers", "n_layers", "num_hidden_layers"),
}
DTYPES = ("bfloat16", "float16", "float32", "float64")

# Words in somebody's exception that say what is missing here.
_NEEDS = {
    "triton": "triton and with it a CUDA GPU",
    "cuda": "a CUDA GPU",
    "nvidia": "a CUDA GPU",
    "huggingface": "a download from a hub",
}


@dataclass(frozen=True)
class Codec:
    """A codec that was built: its two functions, and how it wants to be called.

    Attributes:
        name: for sentences.
        encode, decode: its own; ``together`` when encode takes (K, V).
        tensors, layout, dtype, objects, package: see the module.
        ratio: its own word about a piece of data, or None.
    """

    name: str
    encode: Callable[..., Any]
    decode: Callable[[Any], Any]
    together: bool
    tensors: str
    layout: str
    dtype: str
    objects: tuple[type, ...]
    package: str
    ratio: Callable[[Any], float] | None

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function of theirs.

        Raises:
            BadInput: it needs what is not here, a GPU say.
            PluginFailure: it raised something else; with their line.
        """
        try:
            return function(*args)
        except Exception as error:
            word = getattr(getattr(function, "func", function), "__name__", "encode")
            tell(error, f"{self.name}.{word}", self.package)


def build(what: str, shape: Shape, n: int, seed: int, params: Mapping[str, Any]) -> Codec:
    """Find what is named and construct it from public things.

    Raises:
        BadInput: there is no such file, module, class or parameter, or it needs what is not here.
        PluginFailure: it has no pair of methods, or its constructor raised.
    """
    thing = find(what)
    if not inspect.isclass(thing) and not isinstance(thing, ModuleType):
        raise BadInput(f"{what} is a {type(thing).__name__}: give the name of a class or a module.")
    name = Path(str(thing.__file__)).stem if isinstance(thing, ModuleType) else thing.__name__
    offered: dict[str, Any] = {
        "n": n, "heads": shape.kv_heads, "layers": shape.layers, "seed": seed, "d_k": shape.d_k,
        "d_v": shape.d_v, "device": "cpu",
    }  # fmt: skip
    if shape.d_k == shape.d_v:
        offered["d"] = shape.d_k
    offered |= {alias: offered[own] for own, names in _ALIASES.items() if own in offered
                for alias in names}  # fmt: skip
    made: Any = thing
    ours: dict[str, Any] = {}
    if inspect.isclass(thing):
        signature = Signature.of_constructor(thing)
        ours = {k: v for k, v in params.items() if k in _OURS and k not in signature.names}
        params = {k: v for k, v in params.items() if k not in ours}
        _check(signature, offered, params, name)
        given = {**signature.pick(_only_named(signature, offered)), **params}
        try:
            made = thing(**given)
        except Exception as error:
            tell(error, f"constructing {name}", str(getattr(thing, "package", "")))
    writer, reader = pair_of(made) or _no_pair(name)
    encode, decode = getattr(made, writer), getattr(made, reader)
    if isinstance(thing, ModuleType):
        encode, decode = _with_params(name, encode, decode, offered, params)
    return _described(name, made, encode, decode, ours)


def find(what: str) -> Any:
    """Return the class or module that is named, ``path/file.py[:Class]`` or ``module[:Class]``.

    Raises:
        BadInput, PluginFailure: it is not there, or cannot be imported.
    """
    path, colon, name = what.rpartition(":")
    if not colon:
        path, name = what, ""
    try:
        module = load_file(Path(path)) if path.endswith(".py") else load_module(path)
    except PluginFailure as failure:
        if isinstance(failure.__cause__, Exception):
            tell(failure.__cause__, f"importing {path}", "", failure)
        raise
    classes = [k for k, thing in vars(module).items() if inspect.isclass(thing) and pair_of(thing)]
    own = [k for k in classes if getattr(module, k).__module__ == module.__name__]
    if name:
        if hasattr(module, name):
            return getattr(module, name)
        hint = did_you_mean(name, classes) if classes else ""
        raise BadInput(f"{path} has no class '{name}'.{hint}")
    if pair_of(module):
        return module
    if len(own) != 1:
        listed = f": write {path}:NAME, NAME being one of {', '.join(own)}" if own else ""
        raise BadInput(f"{path} has {len(own)} classes with encode and decode{listed}.")
    return getattr(module, own[0])


def pair_of(thing: Any) -> tuple[str, str] | None:
    """Return the names of the two methods, the first pair that is complete."""
    for pair in PAIRS:
        if all(callable(getattr(thing, name, None)) for name in pair):
            return pair
    return None


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
    raise (failure or blame(error, doing)) from error


def _no_pair(name: str) -> NoReturn:
    halves = " or ".join(f"{one} and {two}" for one, two in PAIRS)
    raise PluginFailure(f"{name} is not a codec: it needs two methods, {halves}.")


def _only_named(signature: Signature, offered: Mapping[str, Any]) -> dict[str, Any]:
    # ``**kwargs`` asks for parameters, not for what is offered by name.
    return {k: v for k, v in offered.items() if k in signature.names}


def _check(
    signature: Signature, offered: Mapping[str, Any], params: Mapping[str, Any], name: str
) -> None:
    for given in params:
        if given not in signature.names and not signature.anything:
            own = sorted(set(signature.names) - set(offered) | set(signature.names) & {"seed"})
            hint = did_you_mean(given, own) if own else " It takes none."
            raise BadInput(f"{name} has no parameter '{given}'.{hint}")
    for needed in signature.required:
        if needed == "d" and "d" not in offered and "d" not in params:
            raise BadInput(
                f"{name} takes one d, but keys and values have different dimensions "
                "here: use the parameters d_k and d_v."
            )
        if needed not in params and needed not in offered:
            raise BadInput(f"{name} needs the parameter '{needed}': give ?{needed}=VALUE.")


def _with_params(
    name: str,
    encode: Callable[..., Any],
    decode: Callable[..., Any],
    offered: Mapping[str, Any],
    params: Mapping[str, Any],
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Functions of a module take as keywords what a constructor would."""
    tensors = _count(encode, (*offered, *params))
    both = [Signature.of(encode, skip=tensors), Signature.of(decode, skip=1)]
    names, required = (
        tuple({n for one in both for n in getattr(one, group)}) for group in ("names", "required")
    )
    _check(Signature(names, required, any(one.anything for one in both)), offered, params, name)
    bound = []
    for function, signature in zip((encode, decode), both, strict=True):
        given = {**_only_named(signature, offered), **signature.pick(params)}
        bound.append(functools.partial(function, **given))
    return bound[0], bound[1]


def _count(encode: Callable[..., Any], given: Collection[str] = ()) -> int:
    """How many tensors encode takes: two when its second parameter has no default."""
    try:
        found = list(inspect.signature(encode).parameters.values())
    except (TypeError, ValueError):
        return 1
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [
        p for p in found if p.kind in by_position and p.default is p.empty and p.name not in given
    ]
    return 2 if len(needed) >= 2 else 1


def _described(name: str, made: Any, encode: Any, decode: Any, ours: Mapping[str, Any]) -> Codec:
    tensors, layout, dtype = (
        str(ours.get(word, _word(made, word) or usual)) for word, usual in _OURS.items()
    )
    for word, given, known in (("tensors", tensors, TENSORS), ("dtype", dtype, DTYPES)):
        if given not in known:
            raise BadInput(f"{name}.{word} is '{given}'.{did_you_mean(given, known)}")
    if not (set("nd") <= set(layout) <= set("blhnd")) or len(set(layout)) != len(layout):
        raise BadInput(
            f"{name}.layout is '{layout}': write its axes in order, as in 'bhnd': n (tokens) "
            "and d, and of b (a batch of one), l (layers) and h (heads) those that it takes."
        )
    ratio = _ratio(getattr(made, "ratio", None))
    return Codec(
        name, encode, decode, _count(encode) == 2, tensors, layout, dtype,
        tuple(getattr(made, "objects", ())), str(getattr(made, "package", "")), ratio,
    )  # fmt: skip


def _word(made: Any, word: str) -> Any:
    """What a codec says by an attribute; what a stranger's instance keeps under it is not meant."""
    own = getattr(made, word, None)
    if isinstance(own, str) or isinstance(made, ModuleType):
        return own
    said = getattr(type(made), word, None)
    return None if isinstance(said, property) else said


def _ratio(said: Any) -> Callable[[Any], float] | None:
    """Their word as a function of a piece of data: it is one, or one of nothing, or a number."""
    if said is None:
        return None
    if not callable(said):
        number = float(said)
        return lambda _data: number
    return said if Signature.leading(said, 1) else lambda _data: float(said())
