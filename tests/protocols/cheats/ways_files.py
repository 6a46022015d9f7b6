"""Ways out through files, in the places where a plug-in would drop them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import kvbarrier


def way(folder):
    """``folder`` is called each time: HOME and the like are not known at import."""

    def hide(seed, data):
        place = Path(folder())
        place.mkdir(exist_ok=True)
        (place / f"kvcheat-{seed}").write_bytes(data)

    def find(seed):
        path = Path(folder()) / f"kvcheat-{seed}"
        data = path.read_bytes()
        path.unlink()
        if "kvcheat" in path.parent.name and not os.listdir(path.parent):
            path.parent.rmdir()
        return data

    return hide, find


WAYS = {
    "home": way(Path.home),
    "tmpdir": way(tempfile.gettempdir),
    "cwd": way(os.getcwd),
    "cache": way(lambda: Path.home() / ".kvcheat"),
    "slash-tmp": way(lambda: "/tmp"),
    "var-tmp": way(lambda: "/var/tmp"),
    "beside": way(lambda: Path(__file__).parent / "__pycache__"),
    "kernels": way(lambda: Path(kvbarrier.__file__).parent / "reductions" / "__pycache__"),
    "shm-folder": way(lambda: "/dev/shm/kvcheat"),
}
