"""The caches behind ``hf:``: those of transformers itself, or any class of cache.

    dynamic                      DynamicCache
    sliding?window=128           DynamicCache of a model whose layers slide; with record=true it
                                 keeps the past until the next crop (activate_past_recording)
    static?max_cache_len=..      StaticCache; with window=.., of a model whose layers slide
    quantized?backend=hqq&nbits=2&axis=0&q_group_size=64&residual_length=128
                                 QuantizedCache; axis is axis_key and axis_value together
    package.module:Class         a class of cache that an installed package has
    path/to/file.py:Class        one in a file

A foreign class gets its parameters by name, and a configuration of its own, a dataclass say, is
made of those that are its (``construction``). Those that it requires and the user did not give are
filled in where the model knows them, under the names that people use for them; of those with a
default only ``config``, ``model_config``, ``num_hidden_layers``, ``head_dim``, ``device`` (the CPU)
and ``max_cache_len``. Where there are several ways to construct it, the first that takes two tokens
is the way.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
import transformers
from transformers.cache_utils import CacheLayerMixin

from ....errors import BadInput, KVBarrierError, did_you_mean
from ...plugin.blame import blame
from ...plugin.contract import Shape
from ...plugin.loading import load_file, load_module
from ...plugin.signature import Signature
from ..construction import arguments, spelled
from ..engine import distributions

_OWN = {
    "dynamic": (),
    "sliding": ("window", "record"),
    "static": ("max_cache_len", "window"),
    "quantized": (
        "backend", "nbits", "axis", "axis_key", "axis_value", "q_group_size", "residual_length",
    ),
}  # fmt: skip
#: characters of somebody's exception that are shown: whole, but for dumps of tensors
_TEXT = 1000
_BACKENDS = {"quanto": "optimum-quanto", "hqq": "hqq", "fp8": ""}


class Maker(NamedTuple):
    """How a cache is made, and what may be done with it.

    Attributes:
        make: builds a fresh one.
        others: other ways to build one, if that one cannot take two tokens.
        asks: ways to ask, the default first; a cache that is written in place, or whose ways
            nobody has compared, is asked one question at a time.
        readable: whether its rows can be read from ``update``.
        shared: what both sides have besides the carrier.
        distributions: packages beside torch and transformers that do the work.
    """

    make: Callable[[], Any]
    asks: tuple[str, ...]
    readable: bool
    shared: tuple[Any, ...]
    distributions: tuple[str, ...]
    others: tuple[Callable[[], Any], ...] = ()


def maker(what: str, params: Mapping[str, Any], shape: Shape, config: Any) -> Maker:
    """Find what is named and check its parameters; ``config`` is the carrier's.

    Raises:
        BadInput: the cache or parameter does not exist, or cannot be used here.
        PluginFailure: a foreign file raised.
    """
    if ":" in what:
        return _theirs(what, params, shape, config)
    if what not in _OWN:
        hint = did_you_mean(what, _OWN)
        raise BadInput(
            f"there is no cache hf:{what}.{hint} For a class of your own write hf:module:Class."
        )
    for name in params:
        if name not in _OWN[what]:
            hint = did_you_mean(name, _OWN[what]) if _OWN[what] else " It has none."
            raise BadInput(f"hf:{what} has no parameter '{name}'.{hint}")
    build = {
        "dynamic": _dynamic, "sliding": _sliding, "static": _static, "quantized": _quantized,
    }[what]  # fmt: skip
    return build(dict(params), shape, config)


def _dynamic(params: dict[str, Any], shape: Shape, config: Any) -> Maker:
    def make() -> Any:
        return transformers.DynamicCache(config=config)

    return Maker(make, ("mask", "serial"), True, (), ())


def _sliding(params: dict[str, Any], shape: Shape, config: Any) -> Maker:
    slides = _sliding_config(config, params.get("window", 128))
    record = params.get("record", False)
    if type(record) is not bool:
        raise BadInput(f"record must be true or false, not {record}.")
    if record and not hasattr(transformers.DynamicCache, "activate_past_recording"):
        raise BadInput(f"transformers {transformers.__version__} records no past: leave it out.")

    def make() -> Any:
        cache = transformers.DynamicCache(config=slides)
        if record:
            cache.activate_past_recording()
        return cache

    return Maker(make, ("mask", "serial"), True, (slides,), ())


def _static(params: dict[str, Any], shape: Shape, config: Any) -> Maker:
    used = _sliding_config(config, params["window"]) if "window" in params else config
    least = shape.tokens + shape.extra
    length = _whole("max_cache_len", params.get("max_cache_len", least), 1)
    if length < least:
        raise BadInput(f"max_cache_len={length} is too short: the stream and one question need "
                       f"{least} tokens.")  # fmt: skip

    def make() -> Any:
        return transformers.StaticCache(config=used, max_cache_len=length)

    return Maker(make, ("serial",), True, (used,), ())


def _quantized(params: dict[str, Any], shape: Shape, config: Any) -> Maker:
    backend = params.pop("backend", "quanto")
    if backend not in _BACKENDS:
        hint = did_you_mean(str(backend), _BACKENDS)
        raise BadInput(f"hf:quantized has no backend '{backend}'.{hint}")
    if "axis" in params:
        if "axis_key" in params or "axis_value" in params:
            raise BadInput("axis sets both axis_key and axis_value: give axis, or the other two.")
        params["axis_key"] = params["axis_value"] = params.pop("axis")

    if backend == "quanto":
        _spare_the_compiler()

    def make() -> Any:
        return transformers.QuantizedCache(backend=backend, config=config, **params)

    try:
        make()
    except (ValueError, ImportError, TypeError) as error:
        raise BadInput(f"hf:quantized: {_sentence(error)}") from None
    distributions = tuple(filter(None, (_BACKENDS[backend],)))
    return Maker(make, ("mask", "serial"), True, (), distributions)


def _spare_the_compiler() -> None:
    """Give quanto its unpacking in torch.

    It would compile it at first use, for minutes, into its own folder; a sealed player can do
    neither. The result is the same integers.
    """
    try:
        from optimum.quanto.library.extensions.cpp import ext
    except ImportError:
        # Not installed, or without the extension: transformers says what is missing.
        return

    def unpack(packed: Any, bits: int) -> Any:
        return torch.cat([(packed >> at) & (2**bits - 1) for at in range(0, 8, bits)])

    ext._lib = types.SimpleNamespace(unpack=unpack)


def _sliding_config(config: Any, window: Any) -> Any:
    slides = copy.deepcopy(config)
    slides.sliding_window = _whole("window", window, 2)
    slides.layer_types = ["sliding_attention"] * config.num_hidden_layers
    return slides


def _whole(name: str, value: Any, least: int) -> int:
    if type(value) is not int or value < least:
        raise BadInput(f"{name} must be a whole number, {least} or more, not {value}.")
    return value


# -- somebody's class --------------------------------------------------------------------------


def _theirs(what: str, params: Mapping[str, Any], shape: Shape, config: Any) -> Maker:
    path, _, name = what.rpartition(":")
    try:
        module = load_file(Path(path)) if path.endswith(".py") else load_module(path)
    except KVBarrierError as error:
        raise explained(error.__cause__ or error, what) from error
    cls = getattr(module, name, None)
    if not inspect.isclass(cls):
        classes = [n for n, one in vars(module).items() if inspect.isclass(one)]
        raise BadInput(f"{path} has no class '{name}'.{did_you_mean(name, classes)}")
    given = {key: _literal(value) for key, value in params.items()}
    failures, makes = [], []
    for named in _arguments(cls, given, shape, config, what):
        try:
            _check(cls(**named), what)
        except Exception as error:
            failures.append(error)
        else:
            makes.append(functools.partial(cls, **named))
    if not makes:
        raise explained(failures[0], what) from failures[0]
    return Maker(
        makes[0], ("serial", "mask"), True, (), distributions(module.__name__), tuple(makes[1:])
    )


def _check(made: Any, what: str) -> None:
    if isinstance(made, CacheLayerMixin):
        raise BadInput(f"{what} is one layer of a cache: give the name of a whole cache.")
    if not all(hasattr(made, name) for name in ("update", "get_seq_length")):
        raise BadInput(
            f"{what} is not a cache of transformers: it has no update method, or no length."
        )


def _arguments(
    cls: Any, given: dict[str, Any], shape: Shape, config: Any, what: str
) -> list[dict[str, Any]]:
    """Named arguments to call the class with, the likeliest first."""
    tokens = shape.tokens + shape.extra
    known = {
        "config": config,
        "model_config": config,
        "num_hidden_layers": shape.layers,
        "head_dim": config.head_dim,
        "device": "cpu",
        "max_cache_len": tokens,
    }
    heads = config.num_attention_heads
    sizes = spelled(
        d=config.head_dim, hidden=heads * config.head_dim, heads=heads, kv_heads=shape.kv_heads,
        layers=shape.layers, tokens=tokens, one=1, seed=0, dtype=config.dtype or torch.bfloat16,
    )  # fmt: skip
    signature = Signature.of_constructor(cls)
    missing = [n for n in signature.required if n not in {**known, **sizes, **given}]
    # Whatever it is called: one open place, and the first, is the configuration's.
    if missing and missing == [signature.names[0]] and "config" not in signature.names:
        known[missing[0]] = config
    named = arguments(cls, known, sizes, given, what, lambda error, _: _fail(error, what))
    ways = [named]
    if "config" in named and "config" not in (*signature.required, *given):
        # It may be a configuration of its own that it names so.
        ways.append({n: value for n, value in named.items() if n != "config"})
    return ways


def _fail(error: Exception, what: str) -> NoReturn:
    raise explained(error, what) from error


def _literal(value: Any) -> Any:
    """A word that is written as a container of Python's, such as ``set()`` or ``[0,1]``, is one."""
    if isinstance(value, str):
        try:
            read = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
        return read if isinstance(read, list | tuple | set | dict) else value
    return value


def explained(error: BaseException, what: str) -> KVBarrierError:
    """Return one sentence for what a foreign class raised: what it needs, or where it failed."""
    if isinstance(error, BadInput):
        return error
    text = f"{type(error).__name__} {error}".lower()
    if any(word in text for word in ("cuda", "nvidia", "hip gpu", "triton", "accelerator")):
        return BadInput(
            f"{what} needs a GPU, but kvbarrier plays it on the CPU: {_sentence(error)}"
        )
    if any(word in text for word in ("localentrynotfound", "hf_hub_offline", "offlinemode")):
        return BadInput(f"{what} needs a download, and kvbarrier downloads nothing.")
    if isinstance(error, ImportError):
        return BadInput(f"{what} needs another package: {_sentence(error)}")
    return blame(error, what)


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text[:_TEXT] or type(error).__name__).rstrip(".") + "."
