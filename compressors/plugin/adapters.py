"""Make a ``Compressor`` of a plug-in: a subclass, a class with its methods, or two functions.

A constructor gets its arguments by name, and only those that it takes: it may take ``(shape)``
alone, or ``(budget_bits, window=4)``. Ours are ``shape``, ``budget_bits``, ``seed`` and ``public``;
the others are the plug-in's own parameters (``--param window=8``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ...errors import BadInput, KVBarrierError, PluginFailure, did_you_mean
from .blame import blame, is_our_fault, our_fault, place_of
from .contract import Compressor, Float32, Shape
from .lifting import fit_layout
from .operations import OPERATIONS, PassesOn
from .signature import OFFERED, Signature
from .two_functions import TwoFunctions


@dataclass(frozen=True)
class Factory:
    """Builds compressors of one kind: ``factory(shape, budget_bits, seed, public, **params)``.

    Raises:
        BudgetTooSmall: as the constructor raised it (BadInput and the like too).
        PluginFailure: the constructor raised something else; with its line and traceback.
        HarnessFault: the same, for a compressor that is ``ours``.
    """

    name: str
    make: Callable[..., Compressor]
    takes: tuple[Signature, ...]
    file: str | None = None
    layout: str = "head"
    ours: bool = False

    def __call__(
        self,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> Compressor:
        """Build one compressor."""
        public = {} if public is None else public
        try:
            return fit_layout(self.layout, self.make, shape, budget_bits, seed, public, **params)
        except (KVBarrierError, KeyboardInterrupt):
            raise
        except BaseException as error:  # theirs may be of any class, SystemExit say
            what = f"constructing {self.name}"
            if self.ours and is_our_fault(error, builtin=True):
                raise our_fault(error, what) from error
            raise blame(error, what, self.file) from error

    def refuse_unknown(self, params: Mapping[str, Any]) -> None:
        """Raise BadInput for a parameter that it has not."""
        own = sorted({n for s in self.takes for n in s.names if n not in OFFERED})
        for name in params:
            if name in OFFERED:
                raise BadInput(f"the game sets {name}, so it cannot be a parameter: leave it out.")
            if name not in own and not any(s.anything for s in self.takes):
                hint = did_you_mean(name, own) if own else " It takes none."
                raise BadInput(f"{self.name} has no parameter '{name}'.{hint}")

    def refuse_missing(self, params: Mapping[str, Any]) -> None:
        """Raise BadInput for a parameter that it needs and that is not there."""
        for signature in self.takes:
            for name in signature.required:
                if name not in params and name not in OFFERED:
                    raise BadInput(
                        f"{self.name} needs the parameter '{name}': give --param {name}=VALUE."
                    )


def adapt(
    thing: Any, name: str | None = None, attend: Any = None, file: str | None = None
) -> Factory:
    """Return the :class:`Factory` of a class, or of a function ``compress`` (with ``attend``).

    Raises:
        PluginFailure: it is neither a class nor a function; the sentence says what is missing.
    """
    name = name or str(getattr(thing, "__name__", type(thing).__name__))
    if inspect.isclass(thing):
        refuse_incomplete(thing, name)
        signature = Signature.of_constructor(thing)
        layout = str(getattr(thing, "layout", "head"))
        if issubclass(thing, Compressor):
            return Factory(name, _by_name(thing, signature), (signature,), file, layout)
        wrapper = SavesItself if hasattr(thing, "save") else Adapted
        make = _bind(wrapper, thing, signature)
        return Factory(name, make, (signature,), file, layout)
    if callable(thing):
        takes = [Signature.of(thing, skip=3)]
        if attend is not None:
            if len(Signature.leading(attend, 2)) < 2:
                raise PluginFailure(
                    f"the attend that belongs to {name} is called with (state, q), but takes "
                    f"fewer arguments: write def attend(state, q){place_of(attend)}."
                )
            takes.append(Signature.of(attend, skip=2).without("tail"))
        return Factory(name, _bind(TwoFunctions, thing, attend), tuple(takes), file)
    raise PluginFailure(
        f"{name} is neither a class nor a function: give the name of the class to attack."
    )


def refuse_incomplete(cls: type, name: str) -> None:
    """Raise PluginFailure for a class without ``append`` or ``attend``, or with half a ``save``."""
    abstract: frozenset[str] = getattr(cls, "__abstractmethods__", frozenset())
    missing = [m for m in ("append", "attend") if not hasattr(cls, m) or m in abstract]
    if missing:
        raise PluginFailure(
            f"{name} has no {' and no '.join(missing)}: a compressor has append(q, k, v) or "
            "append(k, v), which takes one token, and attend(q), which returns the output for a "
            "query."
        )
    if hasattr(cls, "save") != hasattr(cls, "restore"):
        one, other = ("save", "restore") if hasattr(cls, "save") else ("restore", "save")
        raise PluginFailure(f"{name} has {one} without {other}: write both, or neither.")
    for method, called_with in _CALLS.items():
        # An operation is optional, so a parameter may have its name.
        if hasattr(cls, method) and (method not in OPERATIONS or callable(getattr(cls, method))):
            without = method in ("append", "extend") and not takes_query(cls, method)
            _refuse_other_arguments(cls, method, called_with[1:] if without else called_with)


@cache
def takes_query(cls: type, method: str) -> bool:
    """Whether a plain class's ``append`` or ``extend`` is called with the query, or (k, v) alone.

    Alone if (q, k, v) are too many for it, or if its first parameter's name begins with a k, and
    what follows the second may be left out.

    >>> class Mine:
    ...     def append(self, key, value, position=None): ...
    ...     def extend(self, Q, K, V): ...
    >>> takes_query(Mine, "append"), takes_query(Mine, "extend")
    (False, True)
    """
    function, static = getattr(cls, method), inspect.getattr_static(cls, method)
    myself = [] if isinstance(static, staticmethod | classmethod) else ["self"]
    if issubclass(cls, Compressor) or not _accepts(function, [*myself, "k", "v"]):
        return True
    named_key = _first_is_key(function, len(myself))
    return _accepts(function, [*myself, "q", "k", "v"]) and not named_key


def _first_is_key(function: Callable[..., Any], skip: int) -> bool:
    names = Signature.leading(function, skip + 1)[skip:]
    return bool(names) and names[0].lower().startswith("k")


def _accepts(function: Callable[..., Any], arguments: Sequence[str]) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # built in: it has no signature to read
        return True
    return True


_CALLS: dict[str, Sequence[str]] = {
    "append": "qkv", "attend": "q", "save": "", "restore": ("message",), "extend": "QKV",
    "next_outputs": "QKV", "block_outputs": "QKV", **OPERATIONS,
}  # fmt: skip
"""What each method is called with, by position."""


def _refuse_other_arguments(cls: type, method: str, called_with: Sequence[str]) -> None:
    """Raise PluginFailure, with the author's line, for a method that cannot be called so."""
    function = getattr(cls, method)
    if isinstance(function, property):
        return
    static = inspect.getattr_static(cls, method)
    myself = () if isinstance(static, staticmethod | classmethod) else ("self",)
    said = f"{cls.__name__}.{method}"
    if not callable(function):
        what = "None" if function is None else f"a {type(function).__name__}"
        raise PluginFailure(f"{said} is {what}: it must be a method.")
    with_query = method in ("append", "extend") and len(called_with) == len("qkv")
    if with_query and _first_is_key(function, len(myself)):
        raise PluginFailure(
            f"{said} is called with ({', '.join(called_with)}), and its first parameter is named "
            f"as a key: write def {method}(self, {', '.join(called_with)}), or leave the query "
            f"out{place_of(function)}."
        )
    _refuse_call(function, said, f"def {method}", (*myself, *called_with), called_with)


def _refuse_call(
    function: Callable[..., Any],
    name: str,
    header: str,
    arguments: Sequence[str],
    called_with: Sequence[str],
) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        call = f"({', '.join(called_with)})"
        raise PluginFailure(
            f"{name} is called with {call}, but does not accept these arguments ({error}): "
            f"write {header}({', '.join(arguments)}){place_of(function)}."
        ) from None


def _by_name(cls: type[Compressor], signature: Signature) -> Callable[..., Compressor]:
    def make(shape: Shape, budget_bits: Any, seed: int, public: Any, **params: Any) -> Compressor:
        offered = dict(zip(OFFERED, (shape, budget_bits, seed, public), strict=True))
        return cls(**signature.pick(offered), **params)

    return make


def _bind(wrapper: type[Compressor], *first: Any) -> Callable[..., Compressor]:
    def make(*args: Any, **params: Any) -> Compressor:
        return wrapper(*first, *args, **params)

    return make


class Adapted(PassesOn, Compressor):
    """Any class with ``append`` and ``attend``; its attributes are packed, its methods are used."""

    def __init__(
        self,
        cls: type,
        signature: Signature,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> None:
        super().__init__(shape, budget_bits, seed, public)
        offered = dict(zip(OFFERED, (shape, budget_bits, seed, self.public), strict=True))
        self._class = cls
        self.inner: Any = cls(**signature.pick(offered), **params)
        for declared in ("streaming", "layout", "declares", "knows_keys", "message_bytes"):
            if hasattr(self.inner, declared):
                setattr(self, declared, getattr(self.inner, declared))

    def _stateful(self) -> object:
        return self.inner

    def append(self, q: Float32, k: Float32, v: Float32) -> None:
        """Pass on; without q to an ``append`` that takes none."""
        if takes_query(self._class, "append"):
            self.inner.append(q, k, v)
        else:
            self.inner.append(k, v)

    def attend(self, q: Float32) -> Float32:
        """Pass on; the caller checks the answer."""
        answer: Float32 = self.inner.attend(q)
        return answer

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Their ``extend`` if there is one, else the loop."""
        if not hasattr(self.inner, "extend"):
            super().extend(Q, K, V)
        elif takes_query(self._class, "extend"):
            self.inner.extend(Q, K, V)
        else:
            self.inner.extend(K, V)

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Their ``next_outputs`` if there is one, else the loop over copies."""
        if hasattr(self.inner, "next_outputs"):
            outputs: Float32 = self.inner.next_outputs(Q, K, V)
            return outputs
        return super().next_outputs(Q, K, V)

    def _loops(self) -> bool:
        return not hasattr(self.inner, "next_outputs")

    def block_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Their ``block_outputs`` if there is one, else the loop."""
        if hasattr(self.inner, "block_outputs"):
            outputs: Float32 = self.inner.block_outputs(Q, K, V)
            return outputs
        return super().block_outputs(Q, K, V)


class SavesItself(Adapted):
    """A class with its own ``save`` and ``restore``."""

    def save(self) -> bytes:
        """Their message."""
        message: bytes = self.inner.save()
        return message

    def restore(self, message: bytes) -> None:
        """Their state back."""
        self.inner.restore(message)
