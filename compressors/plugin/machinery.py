"""What objects carry that is no data: locks, loggers, functions with arguments bound to them.

Both sides build such a thing for themselves, so it is public where both have one alike, costs
nothing, and never travels. Alike is: a lock, whatever lock it is; a logger of the same name; a
function of the same code, closure and defaults; a method of the same function on alike objects; a
``functools.partial`` of alike functions and arguments.
"""

from __future__ import annotations

import functools
import logging
import threading
import types
from collections.abc import Callable
from typing import Any

_LOCKS = (type(threading.Lock()), type(threading.RLock()))

Alike = Callable[[Any, Any], bool]


def alike(a: Any, b: Any, same: Alike) -> bool | None:
    """Whether two values of one type are alike machinery; None: they are no machinery.

    Args:
        same: whether two parts are the same.

    >>> from operator import eq
    >>> alike(threading.Lock(), threading.Lock(), eq), alike(1, 1, eq)
    (True, None)
    >>> alike(functools.partial(int, base=2), functools.partial(int, base=3), eq)
    False
    """
    if isinstance(a, _LOCKS):
        return True
    if isinstance(a, logging.Logger):
        return bool(a.name == b.name)
    if isinstance(a, functools.partial):
        return same(a.func, b.func) and same(a.args, b.args) and same(a.keywords, b.keywords)
    if isinstance(a, types.MethodType):
        return same(a.__func__, b.__func__) and same(a.__self__, b.__self__)
    if isinstance(a, types.BuiltinMethodType) and a.__self__ is not None:
        return a.__name__ == b.__name__ and same(a.__self__, b.__self__)
    if isinstance(a, types.FunctionType):
        return a.__code__ == b.__code__ and same(_captured(a), _captured(b))
    return None


def _captured(function: types.FunctionType) -> list[Any]:
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return [function.__defaults__, function.__kwdefaults__, cells]
