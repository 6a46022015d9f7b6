"""What the author of a codec writes, and how it is found: encode and decode, and nothing else.

A codec turns keys and values into data and back; attention is ours. Five lines are one::

    class Halves:
        def encode(self, x):  # float32[tokens, d], for the keys and the values of every head
            return x.astype("float16")
        def decode(self, data):  # in another process, from the data alone
            return data.astype("float32")

``codec:halves.py:Halves`` is its target, ``codec:package.module:Class?bits=4`` another. The methods
may also be called compress and decompress, to_bytes and from_bytes, serialize and deserialize,
quantize and dequantize, or pack and unpack, with or without a suffix (``compress_kv``); others are
named, ``?encode=store&decode=load``. Functions of a module do as well as methods of a class.

* ``encode(x)`` is called for keys and values apart, ``encode(K, V)`` for both together;
  ``decode`` gives back what went in: x, or (K, V). It gets what ``encode`` returned, spread over
  its parameters where it requires several.
* What ``encode`` returns is the message: bytes, numbers, text, arrays, tensors, lists, tuples and
  dicts of them, and objects. Views are cut down to their elements; there is no pickle. What is no
  data (a dtype, a lock, a logger, a member of an enum, a partial) is on both sides and is not sent.
* A ``decode`` that asks for no data reads a cache: what ``encode`` left in the object is the
  message, all attributes that differ from a fresh object's. Nothing else left in it travels: Bob
  has another one.
* Everything made in the constructor is public and costs nothing, and so is what it draws from the
  global generators. It is offered ``d`` (``d_k``, ``d_v``), ``n``, ``heads``, ``layers``,
  ``device`` and ``seed`` by name (``engines.construction``); anything else is a parameter of the
  target.

How the methods want their arrays is found by playing (``rehearsal``), and said with the verdict.
An author may say it instead, in class attributes; the first three may be parameters of the target,
for a class that is not one's own (``codec:package.module:Class?tensors=torch&layout=nhd``):

=========== ========== ====================================================================
``tensors``  "numpy"    or "torch": what encode is given
``layout``   "nd"       the axes, in order: n tokens, d, h heads, l layers, b a batch of one;
                        for axes left out there is a call each ("bhnd": one a layer)
``dtype``    "float32"  or "float16", "bfloat16", "float64"
``objects``  ()         classes that may occur in the data
``package``  ""         the distribution that does the work, whose version is reported
=========== ========== ====================================================================

Who says one of the five is asked no more: the middle column stands for the others.

``ratio(data)``, optional too, is the author's own word for how many times smaller than 16-bit
numbers a piece of data is: a method, of the data or of nothing, or just a number.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from ....errors import BadInput, PluginFailure, did_you_mean
from ...plugin.contract import Shape
from ...plugin.loading import load_file, load_module
from ...plugin.signature import Signature
from ..construction import arguments, draw_publicly, refuse_others, spelled
from .calling import PAIRS, Codec, Way, one_thread, pairs_of, tell
from .data import Kinds
from .rehearsal import Stranger, in_way, rehearse

TENSORS = ("numpy", "torch")
DTYPES = ("bfloat16", "float16", "float32", "float64")
_USUAL = {"tensors": "numpy", "layout": "nd", "dtype": "float32"}
_OURS = (*_USUAL, "encode", "decode")


def build(what: str, shape: Shape, n: int, seed: int, params: Mapping[str, Any]) -> Codec:
    """Find what is named and construct it from public things.

    Raises:
        BadInput: there is no such file, module, class or parameter, or it needs what is not here.
        PluginFailure: it has no pair of methods, its constructor raised, or its objects do not
            understand each other.
    """
    thing = find(what)
    if "torch" in sys.modules:
        one_thread()
    if not inspect.isclass(thing) and not isinstance(thing, ModuleType):
        raise BadInput(f"{what} is a {type(thing).__name__}: give the name of a class or a module.")
    name = thing.__name__.rpartition(".")[2]
    theirs = Signature.of_constructor(thing).names if inspect.isclass(thing) else ()
    fixed = {k: str(v) for k, v in params.items() if k in _OURS and k not in theirs}
    params = {k: v for k, v in params.items() if k not in fixed}
    offered, sizes = _offered(shape, n, seed), spelled(tokens=n, one=1, first=0)
    make = _maker(thing, name, seed, offered, sizes, params)
    made = make()
    pair = _pair(made, name, fixed)
    known = offered | sizes
    by_name: dict[str, Any] = {}
    if isinstance(thing, ModuleType):
        encode, decode = (getattr(thing, one) for one in pair)
        _refuse_function_params(name, encode, decode, known, params)
        by_name = offered | params
    usual = {word: fixed.get(word) or _word(thing, word) or least for word, least in _USUAL.items()}
    way = Way(*pair, usual["tensors"], usual["layout"], usual["dtype"])
    _check_words(name, way)
    stranger = Stranger(name, make, known, by_name, fixed)
    if any(_word(thing, word) for word in (*_USUAL, "package")) or hasattr(thing, "objects"):
        codec = in_way(stranger, way, Kinds(list(getattr(thing, "objects", ()))))
    else:
        codec = rehearse(stranger, shape)
    return replace(
        codec, package=_word(thing, "package"), ratio=_ratio(getattr(made, "ratio", None))
    )


def _offered(shape: Shape, n: int, seed: int) -> dict[str, Any]:
    """What a constructor, or a function, gets by name if it has a parameter of that name."""
    heads, d = shape.kv_heads, {"d": shape.d_k} if shape.d_k == shape.d_v else {}
    named = spelled(
        heads=heads, kv_heads=heads, layers=shape.layers, seed=seed % 2**31, device="cpu", **d
    )
    return named | {"n": n, "d_k": shape.d_k, "d_v": shape.d_v}


def _refuse_function_params(
    name: str, encode: Any, decode: Any, known: Mapping[str, Any], params: Mapping[str, Any]
) -> None:
    """Raise BadInput for parameters that two functions of a module, which get them, do not take."""
    arrays = [one for one in Signature.of(encode).required if one not in {**known, **params}]
    own = [Signature.of(encode, skip=min(2, len(arrays))), Signature.of(decode, skip=1)]
    names, required = (
        tuple({n for one in own for n in getattr(one, group)}) for group in ("names", "required")
    )
    refuse_others(Signature(names, required, any(s.anything for s in own)), known, params, name)


def _maker(
    thing: Any, name: str, seed: int, offered: Mapping[str, Any], sizes: Mapping[str, Any],
    params: Mapping[str, Any],
) -> Callable[[], Any]:  # fmt: skip
    """Constructs an object, each time alike; a module is its own."""
    if isinstance(thing, ModuleType):
        return lambda: thing
    given = arguments(thing, offered, sizes, params, name, partial(tell, package=""))

    def make() -> Any:
        draw_publicly(seed)
        try:
            return thing(**given)
        except Exception as error:
            tell(error, f"constructing {name}", str(getattr(thing, "package", "")))

    return make


def _pair(made: Any, name: str, fixed: Mapping[str, str]) -> tuple[str, str]:
    for word in ("encode", "decode"):
        if word in fixed and not callable(getattr(made, fixed[word], None)):
            own = [one for one in dir(made) if not one.startswith("_")
                   and callable(getattr(made, one, None))]  # fmt: skip
            raise BadInput(f"{name} has no method '{fixed[word]}'.{did_you_mean(fixed[word], own)}")
    found = pairs_of(made)
    if not found and len(fixed.keys() & {"encode", "decode"}) < 2:
        _no_pair(name)
    one, two = found[0] if found else ("", "")
    return fixed.get("encode", one), fixed.get("decode", two)


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
    classes = [k for k, thing in vars(module).items() if inspect.isclass(thing) and pairs_of(thing)]
    own = [k for k in classes if getattr(module, k).__module__ == module.__name__]
    if name:
        if hasattr(module, name):
            return getattr(module, name)
        hint = did_you_mean(name, classes) if classes else ""
        raise BadInput(f"{path} has no class '{name}'.{hint}")
    if pairs_of(module):
        return module
    if len(own) != 1:
        listed = f": write {path}:NAME, NAME being one of {', '.join(own)}" if own else ""
        raise BadInput(f"{path} has {len(own)} classes with encode and decode{listed}.")
    return getattr(module, own[0])


def _no_pair(name: str) -> NoReturn:
    halves = " or ".join(f"{one} and {two}" for one, two in PAIRS)
    raise PluginFailure(
        f"{name} is not a codec: it needs two methods, {halves}; others are named as in "
        "?encode=append&decode=get."
    )


def _check_words(name: str, way: Way) -> None:
    for word, given, known in (("tensors", way.tensors, TENSORS), ("dtype", way.dtype, DTYPES)):
        if given not in known:
            raise BadInput(f"{name}.{word} is '{given}'.{did_you_mean(given, known)}")
    layout = way.layout
    if not ({"d"} <= set(layout) <= set("blhnd")) or len(set(layout)) != len(layout):
        raise BadInput(
            f"{name}.layout is '{layout}': write its axes in order, as in 'bhnd': d, and of n "
            "(tokens; without it there is a call for each), b (a batch of one), l (layers) and h "
            "(heads) those that it takes."
        )


def _word(thing: Any, word: str) -> str:
    """What a class or module says by an attribute; of what a stranger's instance has, nothing."""
    said = getattr(thing, word, "")
    return said if isinstance(said, str) else ""


def _ratio(said: Any) -> Callable[[Any], float] | None:
    """Their word as a function of a piece of data: it is one, or one of nothing, or a number."""
    if said is None:
        return None
    if not callable(said):
        number = float(said)
        return lambda _data: number
    return said if Signature.leading(said, 1) else lambda _data: float(said())
