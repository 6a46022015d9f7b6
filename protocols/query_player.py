"""Entry point of a non-adaptive algorithm's processes: ``python -m ...query_player ROLE HOW ..``.

Supervisor, isolation and clean-up are those of every player (:mod:`.player`); only what the host
serves is another game.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from . import landlock, namespaces, player, reaper


def main(argv: list[str]) -> int:
    """Supervise one algorithm; the channel is on descriptors 0 and 1."""
    player._become_host = _become_host
    return player.main(argv)


def _become_host(
    role: str, how: str, private: str, size: int, fds: tuple[int, int, int]
) -> NoReturn:
    code = 1
    try:
        problem = None
        if how == "namespaces":
            problem = player._descend(private, size, fds)
        else:
            reaper.die_with_parent()
            reaper.become_subreaper()
            namespaces.own_keyring()
            if how == "landlock":
                landlock.restrict([private, *map(str, namespaces.numba_caches())])
        from .query_host import serve

        code = serve(role, *fds, problem)
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
