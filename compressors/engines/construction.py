"""How a stranger's class is constructed: what it asks for by name, and what both sides draw.

It is offered sizes, a seed and the like under the names that people have for them (``spelled``),
and gets those that it takes; some only where it requires them, for as options they mean more than a
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
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

from ...errors import BadInput, did_you_mean
from ..plugin.signature import Signature

_SPELLINGS = {
    "d": ("d", "head_dim", "dim", "d_head", "head_size", "dims", "dimension", "dimensions",
          "embedding_dim", "embed_dim", "vector_dim"),
    "hidden": ("hidden_size", "d_model"),
    "heads": ("heads", "num_heads", "n_heads", "n_head", "num_attention_heads"),
    "kv_heads": ("kv_heads", "num_kv_heads", "n_kv_heads", "num_key_value_heads", "num_k_heads"),
    "layers": ("layers", "num_layers", "n_layers", "n_layer", "num_hidden_layers"),
    "first": ("layer_idx", "layer_id", "layer", "head_idx"),
    "tokens": ("seq_len", "max_seq_len", "max_seq_length", "max_len", "max_length",
               "max_cache_len", "num_tokens", "n_tokens", "max_tokens", "context_length",
               "capacity"),
    "one": ("batch_size", "batch", "bsz", "max_batch_size"),
    "seed": ("seed", "random_seed", "random_state", "rotation_seed"),
    "dtype": ("dtype", "torch_dtype"),
    "device": ("device",),
}  # fmt: skip


def spelled(**values: Any) -> dict[str, Any]:
    """Each value under all names that constructors have for it.

    >>> spelled(dtype="float16")
    {'dtype': 'float16', 'torch_dtype': 'float16'}
    """
    return {name: value for what, value in values.items() for name in _SPELLINGS[what]}


def draw_publicly(seed: int) -> None:
    """Start the global generators of Python, NumPy and, where it is imported, torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def arguments(
    cls: type, known: Mapping[str, Any], sizes: Mapping[str, Any], params: Mapping[str, Any],
    name: str, failed: Callable[[Exception, str], NoReturn],
) -> dict[str, Any]:  # fmt: skip
    """The named arguments of a class's constructor.

    Args:
        cls, name: the class, and what it is called in sentences.
        known: what it gets if it has a parameter of that name; ``sizes``: only if it requires it.
        params: what the user gave.
        failed: raises a sentence for an exception of theirs, and is told what was being done.

    Raises:
        BadInput: a parameter that there is not, or one that is needed and was not given.
    """
    signature, known = Signature.of_constructor(cls), dict(known)
    spare = {key: value for key, value in params.items() if key not in signature.names}
    given: dict[str, Any] = {}
    for place, config in _configurations(cls, signature).items():
        if place in params or place in known:
            continue
        fields = Signature.of_constructor(config)
        mine = {key: value for key, value in spare.items() if key in fields.names}
        sized = config.__name__.endswith("Config") and set(fields.names) & set(known)
        if place in signature.required or mine or sized:
            fitting = arguments(config, known, sizes, mine, config.__name__, failed)
            try:
                given[place] = config(**fitting)
            except Exception as error:
                failed(error, f"constructing {config.__name__}")
            spare = {key: value for key, value in spare.items() if key not in mine}
    left = {key: value for key, value in params.items() if key in signature.names} | spare
    known |= given
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
