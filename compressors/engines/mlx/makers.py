"""What ``mlx:NAME`` means: how caches are made, and which function attends over them.

* ``KVCache``, ``ConcatenateKVCache``, ``RotatingKVCache``, ``QuantizedKVCache``: mlx-lm's.
* ``TurboQuantKVCache``: mlx-vlm's.
* ``RotatedKVCache``: mlx-turboquant's class of the same name as mlx-vlm's, with its own attention.
* ``veloxquant:METHOD``: what VeloxQuant-MLX's factory makes of a configuration.
* ``module:Class``: anybody's class with mlx-lm's ``update_and_fetch``.
"""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ....errors import BadInput, did_you_mean
from ...plugin.blame import blame
from ...plugin.contract import Shape
from ...plugin.signature import Signature
from ..engine import distributions

LM = ("KVCache", "ConcatenateKVCache", "RotatingKVCache", "QuantizedKVCache")
TURBO = "TurboQuantKVCache"
ROTATED = "RotatedKVCache"
VELOX = "veloxquant"
#: methods whose old tokens do not change when many questions come at once
TOGETHER = frozenset({
    "turboquant_rvq", "xquant", "kvquant", "palu", "cachegen", "gear", "zipcache", "skvq", "amc",
    "anchorkv", "kvtc", "rocketkv", "h2o", "snapkv", "knorm", "tova", "streaming_llm",
})  # fmt: skip


@dataclass(frozen=True)
class Maker:
    """How caches are made.

    Attributes:
        make: a new cache for one layer.
        attend: ``scaled_dot_product_attention`` of the package that it is made for.
        together: many questions in one pass answer as they do one by one.
        distributions: whose it is.
    """

    make: Callable[[], Any]
    attend: Callable[..., Any]
    together: bool
    distributions: tuple[str, ...]


def maker(what: str, params: Mapping[str, Any], shape: Shape) -> Maker:
    """Find what is named.

    Raises:
        BadInput: there is no such cache, method or parameter.
    """
    name, colon, rest = what.partition(":")
    if name == VELOX:
        return _velox(rest, params, shape)
    if not colon and name in LM:
        cls = getattr(importlib.import_module("mlx_lm.models.cache"), name)
        return Maker(_bound(cls, params, what), _attention("mlx_lm"), True, ("mlx-lm",))
    if not colon and name == TURBO:
        cls = importlib.import_module("mlx_vlm.turboquant").TurboQuantKVCache
        return Maker(_bound(cls, params, what), _attention("mlx_vlm"), True, ("mlx-vlm",))
    if not colon and name == ROTATED:
        importlib.import_module("mlx_turboquant").register()
        cls = importlib.import_module("mlx_turboquant.kv_cache").TurboQuantKVCache
        packages = ("mlx-turboquant", "mlx-lm")
        return Maker(_bound(cls, params, what), _attention("mlx_lm"), True, packages)
    if not colon:
        known = (*LM, TURBO, ROTATED, f"{VELOX}:METHOD", "module:Class")
        raise BadInput(f"There is no cache mlx:{what}.{did_you_mean(what, known)}")
    try:
        cls = getattr(importlib.import_module(name), rest)
    except (ImportError, AttributeError) as error:
        raise BadInput(f"mlx:{what} cannot be imported: {error}.") from error
    return Maker(_bound(cls, params, what), _attention("mlx_lm"), False, distributions(name))


def _attention(package: str) -> Callable[..., Any]:
    function: Callable[..., Any] = importlib.import_module(
        f"{package}.models.base"
    ).scaled_dot_product_attention
    return function


def _bound(cls: Any, params: Mapping[str, Any], what: str) -> Callable[[], Any]:
    signature = Signature.of_constructor(cls)
    for given in params:
        if given not in signature.names and not signature.anything:
            raise BadInput(
                f"mlx:{what} has no parameter '{given}'.{did_you_mean(given, signature.names)}"
            )
    for needed in signature.required:
        if needed not in params:
            raise BadInput(f"mlx:{what} needs the parameter '{needed}': give ?{needed}=VALUE.")

    def make() -> Any:
        try:
            return cls(**params)
        except Exception as error:
            raise blame(error, f"constructing {what}") from error

    return make


def _velox(method: str, params: Mapping[str, Any], shape: Shape) -> Maker:
    base = importlib.import_module("veloxquant_mlx.cache.base")
    known = sorted(set(base._CACHE_CLASS_BY_METHOD) - base.STANDALONE_METHODS)
    if method not in known:
        raise BadInput(
            f"VeloxQuant-MLX has no method '{method}' that mlx-lm can run."
            f"{did_you_mean(method, known)}"
        )
    fields = set(inspect.signature(base.KVCacheConfig).parameters)
    for given in params:
        if given not in base.KVCacheConfig.__dataclass_fields__:
            hint = did_you_mean(given, sorted(fields))
            raise BadInput(f"mlx:{VELOX}:{method} has no parameter '{given}'.{hint}")

    def make() -> Any:
        with warnings.catch_warnings():
            # Its flat fields are deprecated for objects, which a target cannot name.
            warnings.simplefilter("ignore", DeprecationWarning)
            config = base.KVCacheConfig(**{"head_dim": shape.d_k, **params, "method": method})
        try:
            return base.KVCacheFactory.create(config)
        except Exception as error:
            raise blame(error, f"making {method}") from error

    packages = ("veloxquant-mlx", "mlx-lm")
    return Maker(make, _attention("mlx_lm"), method in TOGETHER, packages)
