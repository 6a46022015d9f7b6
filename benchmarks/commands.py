"""Whole commands, as a user runs them: CPU seconds and memory of their processes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MODEL = {
    "model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32,
    "num_hidden_layers": 32, "num_key_value_heads": 8, "torch_dtype": "bfloat16",
}  # fmt: skip
MILLION = (
    "attack", "exact", "--n", "1048576", "--d", "64", "--keys", "bch", "--rows", "1024",
    "--messages", "2", "--budget", "1",
)  # fmt: skip
LAYER = (
    "attack", "exact", "--model", "config.json", "--context", "131072", "--keys", "bch",
    "--sample", "layers=1,heads=8,rows=64", "--messages", "1", "--budget", "1",
)  # fmt: skip


def spent(command: tuple[str, ...], folder: str) -> tuple[float, float]:
    """CPU seconds of a command with all its processes, and GB of the largest of them."""
    started = subprocess.Popen(
        [sys.executable, "-m", "kvbarrier", *command], cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _, status, used = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    # 1: the verdict is broken, which is what the file that ``new`` writes is at small budgets.
    assert started.returncode in (0, 1), started.stderr.read()
    largest = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return used.ru_utime + used.ru_stime, largest / 1e9


def measure(count: int, large: bool) -> dict[str, float]:
    """CPU seconds, GB and the ratio of isolated to inline."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(MODEL))
        spent(("new", "mine.py"), folder)
        pairs = [
            [
                spent(("attack", "mine.py", *more), folder)[0]
                for more in ((), ("--isolation", "inline"))
            ]
            for _ in range(count)
        ]
        bounds = [spent(("bound", "--model", "config.json"), folder)[0] for _ in range(count)]
        found = {
            "isolated s": statistics.median(pair[0] for pair in pairs),
            "inline s": statistics.median(pair[1] for pair in pairs),
            "isolated x inline": statistics.median(a / b for a, b in pairs),
            "bound s": statistics.median(bounds),
        }
        if large:
            for name, command in (("million", MILLION), ("layer", LAYER)):
                seconds, memory = spent(command, folder)
                found |= {f"{name} s": seconds, f"{name} GB": memory}
    return found
