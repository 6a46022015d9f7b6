"""A cluster of other people's making: a dask scheduler, whose workers must run this very code."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Executor
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from ..compressors.plugin.code_identity import HOUSE, identity
from ..errors import BadInput, KVBarrierError

PATIENCE_SECONDS = 10
"""How long a scheduler may take to answer, and a worker to come."""


class ClusterLost(KVBarrierError):
    """The cluster went while it played; batches that had ended are in the store (exit code 2)."""


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Yield the executor of the dask scheduler at ``address`` (``tcp://host:8786``).

    A result belongs to the code that made it, so every worker is asked for its version of kvbarrier
    and for the digest of the code that plays. Workers that come later are not asked.

    Raises:
        BadInput: dask is not installed, no scheduler answers, it has no workers, or a worker has
            other code.
        ClusterLost: in the block, the scheduler or too many workers went.
    """
    try:
        import distributed
    except ImportError:
        raise BadInput(
            "--cluster needs dask.distributed, which is not installed: run pip install distributed."
        ) from None
    try:
        made: Any = distributed.Client
        client = made(address, timeout=PATIENCE_SECONDS)
    except (OSError, ValueError, TimeoutError) as error:
        raise BadInput(
            f"No dask scheduler answers at {address} ({error}): start one with 'dask scheduler' "
            "and give its address, as tcp://host:8786."
        ) from None
    logger = logging.getLogger("distributed")
    usual = logger.level
    # A lost scheduler is one sentence of ours; dask would add a traceback for each way it noticed.
    logger.setLevel(logging.CRITICAL + 1)
    try:
        _refuse_no_workers(client, address)
        _refuse_other_code(client.run(version, "kvbarrier", on_error="return"), _version())
        _refuse_other_code(client.run(digest_of_play, on_error="return"), digest_of_play())
        yield client.get_executor()
    except CancelledError:
        raise ClusterLost(
            f"The dask scheduler at {address} is gone. Finished batches are kept: start it again, "
            "and run the same command again to continue."
        ) from None
    except distributed.KilledWorker as error:
        raise ClusterLost(
            f"Several workers of the dask scheduler at {address} died while they played one batch "
            f"({error}); out of memory? Finished batches are kept: use a smaller n or d, or "
            "workers with more memory, and run the same command again to continue."
        ) from None
    finally:
        client.close()
        logger.setLevel(usual)


def digest_of_play() -> str:
    """The digest of the code that plays a batch: 16 hexadecimal digits."""
    return identity([HOUSE / "runs" / "batches.py"])


def _version() -> str:
    return version("kvbarrier")


def _refuse_no_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
    except TimeoutError:
        raise BadInput(
            f"The dask scheduler at {address} has no workers after {PATIENCE_SECONDS} seconds: "
            f"start some with 'dask worker {address}'."
        ) from None


def _refuse_other_code(found: Mapping[str, Any], ours: str) -> None:
    for worker, theirs in sorted(found.items()):
        if isinstance(theirs, Exception):
            raise BadInput(
                f"The dask worker at {worker} cannot import kvbarrier ({theirs}): install the same "
                "kvbarrier in the workers' environment and start them again."
            )
        if theirs != ours:
            raise BadInput(
                f"The dask worker at {worker} has kvbarrier {theirs}, and this process has {ours}: "
                "install the same kvbarrier on both sides and start the workers again."
            )
