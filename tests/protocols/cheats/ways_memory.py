"""Ways out through the memory of the process: globals, class attributes, the environment."""

from __future__ import annotations

import builtins
import os
import threading

STORE: dict[int, bytes] = {}


class Shelf:
    kept: dict[int, bytes] = {}  # noqa: RUF012 (that it is shared is the point)


def hide_global(seed, data):
    STORE[seed] = data


def find_global(seed):
    return STORE.get(seed)


def hide_class(seed, data):
    Shelf.kept[seed] = data


def find_class(seed):
    return Shelf.kept.get(seed)


def hide_builtin(seed, data):
    setattr(builtins, f"kvcheat{seed}", data)


def find_builtin(seed):
    return getattr(builtins, f"kvcheat{seed}")


def hide_environment(seed, data):
    os.environ[f"KVCHEAT{seed}"] = data.hex()


def find_environment(seed):
    return bytes.fromhex(os.environ[f"KVCHEAT{seed}"])


def hide_thread(seed, data):
    thread = threading.Thread(target=threading.Event().wait, args=(30,), daemon=True)
    thread.name = f"kvcheat{seed}:{data.hex()}"
    thread.start()


def find_thread(seed):
    for thread in threading.enumerate():
        if thread.name.startswith(f"kvcheat{seed}:"):
            return bytes.fromhex(thread.name.partition(":")[2])
    return None


WAYS = {
    "global": (hide_global, find_global),
    "class": (hide_class, find_class),
    "builtin": (hide_builtin, find_builtin),
    "environment": (hide_environment, find_environment),
    "thread": (hide_thread, find_thread),
}
