"""What compressors are told of a game: a mapping whose large arrays are made when they are read.

The keys of 2^20 tokens take 256 MiB at d = 64, and few compressors look at them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Public(Mapping[str, Any]):
    """``told`` as it is, and beside it what is made each time it is read.

    >>> public = Public({"values": "01"}, keys=lambda: [[1.0, 0.0]])
    >>> sorted(public), public["keys"], (public | {"keys": None})["keys"]
    (['keys', 'values'], [[1.0, 0.0]], None)
    """

    def __init__(self, told: Mapping[str, Any], **made: Callable[[], Any]) -> None:
        self._told = dict(told)
        self._made = made

    def __getitem__(self, name: str) -> Any:
        return self._made[name]() if name in self._made else self._told[name]

    def __contains__(self, name: object) -> bool:
        return name in self._told or name in self._made

    def __iter__(self) -> Iterator[str]:
        return iter({**self._told, **self._made})

    def __len__(self) -> int:
        return len({**self._told, **self._made})

    def __or__(self, others: Mapping[str, Any]) -> Public:
        """The same with other entries, as they are."""
        left = {name: make for name, make in self._made.items() if name not in others}
        return Public({**self._told, **others}, **left)

    def but(self, **made: Callable[[], Any]) -> Public:
        """The same with entries that are made otherwise."""
        return Public(self._told, **{**self._made, **made})
