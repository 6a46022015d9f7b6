"""How a stranger's class is constructed: what it asks for by name, and what both sides draw.

It is offered ``d`` (``d_k``, ``d_v``), ``n``, ``heads``, ``layers``, ``device`` and ``seed`` under
the names that people have for them, and gets those that it takes; the sizes of a batch, of a
context and the number of a layer only where it requires them, for as options they mean more than a
size. Where it wants a configuration, an object of a class of its own, that one is made the same
way, and takes the parameters that are its.

The global generators start from the public coins, so that what a constructor draws from them is
public too.
"""

from __future__ import annotations

import dataclasses
import inspect
import random
import sys
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np

from ....errors import BadInput, did_you_mean
from ...plugin.contract import Shape
from ...plugin.signature import Signature
from .calling import tell

_ALIASES = {
    "d": ("head_dim", "dim", "d_head", "head_size", "dims", "dimension", "dimensions",
          "embedding_dim", "embed_dim", "vector_dim"),
    "heads": ("num_heads", "n_heads", "num_kv_heads", "n_kv_heads", "num_key_value_heads",
              "kv_heads"),
    "layers": ("num_layers", "n_layers", "num_hidden_layers"),
    "seed": ("random_seed", "random_state", "rotation_seed"),
}  # fmt: skip
_IF_REQUIRED = {
    "n": ("seq_len", "max_seq_len", "max_len", "max_length", "num_tokens", "n_tokens",
          "max_tokens", "context_length", "capacity"),
    "one": ("batch_size", "batch", "bsz", "max_batch_size"),
    "first": ("layer_idx", "layer_id", "layer", "head_idx"),
}  # fmt: skip


def offered(shape: Shape, n: int, seed: int) -> dict[str, Any]:
    """What a constructor, or a function, gets by name if it has a parameter of that name."""
    own: dict[str, Any] = {
        "n": n, "heads": shape.kv_heads, "layers": shape.layers, "seed": seed % 2**31,
        "d_k": shape.d_k, "d_v": shape.d_v, "device": "cpu",
    }  # fmt: skip
    if shape.d_k == shape.d_v:
        own["d"] = shape.d_k
    return own | {alias: own[name] for name, names in _ALIASES.items() if name in own
                  for alias in names}  # fmt: skip


def if_required(n: int) -> dict[str, Any]:
    """What it gets only where it has no default for it."""
    values = {"n": n, "one": 1, "first": 0}
    return {alias: values[name] for name, names in _IF_REQUIRED.items() for alias in names}


def draw_publicly(seed: int) -> None:
    """Start the global generators of Python, NumPy and, where it is imported, torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def arguments(
    cls: type, shape: Shape, n: int, seed: int, params: Mapping[str, Any], name: str
) -> dict[str, Any]:
    """The named arguments of a class's constructor.

    Raises:
        BadInput: a parameter that there is not, or one that is needed and was not given.
    """
    signature, known = Signature.of_constructor(cls), offered(shape, n, seed)
    spare = {key: value for key, value in params.items() if key not in signature.names}
    given: dict[str, Any] = {}
    for place, config in _configurations(cls, signature).items():
        if place in params or place in known:
            continue
        fields = Signature.of_constructor(config)
        mine = {key: value for key, value in spare.items() if key in fields.names}
        sized = config.__name__.endswith("Config") and set(fields.names) & set(known)
        if place in signature.required or mine or sized:
            fitting = arguments(config, shape, n, seed, mine, config.__name__)
            try:
                given[place] = config(**fitting)
            except Exception as error:
                tell(error, f"constructing {config.__name__}", "")
            spare = {key: value for key, value in spare.items() if key not in mine}
    left = {key: value for key, value in params.items() if key in signature.names} | spare
    known |= given
    sizes = if_required(n)
    known |= {key: sizes[key] for key in signature.required if key in sizes and key not in known}
    refuse_others(signature, known, left, name)
    return {**only_named(signature, known), **left}


def _configurations(cls: type, signature: Signature) -> dict[str, type]:
    """The parameters that want an object of a class of theirs, and that class."""
    try:
        hints = typing.get_type_hints(cls.__init__)  # type: ignore[misc]
    except Exception:  # a name that exists only for type checkers
        hints = {}
    found = {}
    for place in signature.names:
        hint = hints.get(place)
        for one in (hint, *typing.get_args(hint)):
            if inspect.isclass(one) and _is_configuration(one):
                found[place] = one
                break
        if place not in found and place not in hints and place in ("config", "cfg"):
            near = vars(sys.modules[cls.__module__]).values()
            named = [c for c in near if inspect.isclass(c) and c.__name__.endswith("Config")]
            if len(named) == 1:
                found[place] = named[0]
    return found


def _is_configuration(cls: type) -> bool:
    """A class of theirs that holds settings: a dataclass, or one that is called so."""
    home = cls.__module__.partition(".")[0]
    theirs = home not in sys.stdlib_module_names and home not in ("numpy", "torch")
    return theirs and (dataclasses.is_dataclass(cls) or cls.__name__.endswith("Config"))


def only_named(signature: Signature, known: Mapping[str, Any]) -> dict[str, Any]:
    """What is taken by name: ``**kwargs`` asks for parameters, not for what is offered."""
    return {key: value for key, value in known.items() if key in signature.names}


def refuse_others(
    signature: Signature, known: Mapping[str, Any], params: Mapping[str, Any], name: str
) -> None:
    """Raise BadInput for a parameter that there is not, or that is missing."""
    for given in params:
        if given not in signature.names and not signature.anything:
            own = sorted(set(signature.names) - set(known) | set(signature.names) & {"seed"})
            hint = did_you_mean(given, own) if own else " It takes none."
            raise BadInput(f"{name} has no parameter '{given}'.{hint}")
    for needed in signature.required:
        if needed == "d" and "d" not in known and "d" not in params:
            raise BadInput(
                f"{name} takes one d, but keys and values have different dimensions "
                "here: use the parameters d_k and d_v."
            )
        if needed not in params and needed not in known:
            raise BadInput(
                f"{name} needs the parameter '{needed}': give ?{needed}=VALUE. If it is an object, "
                "write a class of yours that makes one and passes it on."
            )


def refuse_function_params(
    name: str, encode: Any, decode: Any, known: Mapping[str, Any], params: Mapping[str, Any]
) -> None:
    """Raise BadInput for parameters that two functions of a module, which get them, do not take."""
    arrays = [one for one in Signature.of(encode).required if one not in {**known, **params}]
    own = [Signature.of(encode, skip=min(2, len(arrays))), Signature.of(decode, skip=1)]
    names, required = (
        tuple({n for one in own for n in getattr(one, group)}) for group in ("names", "required")
    )
    refuse_others(Signature(names, required, any(s.anything for s in own)), known, params, name)


def one_thread() -> None:
    """Players are forked, and a fork of a process that runs threads of OpenMP hangs.

    Raises BadInput where torch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        tell(error, "a codec with tensors = 'torch'", "torch")
    torch.set_num_threads(1)
