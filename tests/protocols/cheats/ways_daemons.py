"""Ways out through a daemon that Alice leaves behind and Bob asks: it forks twice, and hides."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from pathlib import Path


def serve(listener, data):
    """Leave a daemon that hands out the data to whoever asks first, and ends after 30 s."""
    listener.listen(4)
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        listener.close()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(0, listener.fileno())
    os.closerange(listener.fileno() + 1, 4096)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    signal.alarm(30)
    connection, _ = listener.accept()
    connection.sendall(data)
    connection.close()
    os._exit(0)


def ask(family, address):
    with socket.socket(family) as asking:
        asking.settimeout(5)
        asking.connect(address)
        answer = b""
        while chunk := asking.recv(65536):
            answer += chunk
        return answer


def way(family, address):
    def hide(seed, data):
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address(seed))
        serve(listener, data)

    def find(seed):
        try:
            return ask(family, address(seed))
        finally:
            Path(str(address(seed)).replace("\0", "@")).unlink(missing_ok=True)

    return hide, find


WAYS = {
    "tcp": way(socket.AF_INET, lambda seed: ("127.0.0.1", 20000 + seed % 12000)),
    "abstract": way(socket.AF_UNIX, lambda seed: f"\0kvcheat{seed}"),
    "unix": way(
        socket.AF_UNIX, lambda seed: str(Path(tempfile.gettempdir()) / f"kvcheat-{seed}.socket")
    ),
}
