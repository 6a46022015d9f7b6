"""Speed as ratios against named peers, with floors: ``python benchmarks/run.py``."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from typing import NamedTuple

import numpy as np

CPU_TORCH = "https://download.pytorch.org/whl/cpu"
COMPILE = """
import time, numpy as np
import numba, scipy.linalg.blas
started = time.process_time()
from kvbarrier.reductions import attention
from kvbarrier.compressors.kit.min_max import quantise, restore
from kvbarrier.reductions.keys import make
x = np.eye(4, dtype=np.float32)
signs = make("kerdock", 16, 4).rows
attention.next_bits(x, x, x, x, x, np.zeros(4))
attention.block_outputs(x, x, x)
attention.block_outputs(signs, signs, signs)
restore(*quantise(x[None], 4), 4, 4)
print(time.process_time() - started)
"""


class Floor(NamedTuple):
    """A number that is asked for, and what this run has measured; None if it has not."""

    work: str
    against: str
    measured: float | None
    unit: str
    floor: float
    most: bool = False

    def row(self) -> list[str]:
        """As a line of the last table."""
        floor = f"at {'most' if self.most else 'least'} {self.floor:g} {self.unit}"
        if self.measured is None:
            return [self.work, self.against, "not measured", floor, "-"]
        held = self.measured <= self.floor if self.most else self.measured >= self.floor
        measured = f"{show(self.measured)} {self.unit}"
        return [self.work, self.against, measured, floor, "held" if held else "MISSED"]


def processor() -> str:
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":")[1].strip() for line in info if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def header() -> None:
    import threadpoolctl
    from kvbarrier.reductions.blas import one_thread

    with one_thread:
        pass
    cores = sorted(
        {
            f"{lib['internal_api']} {lib['version']} ({lib.get('architecture')})"
            for lib in threadpoolctl.threadpool_info()
            if lib["user_api"] == "blas"
        }
    )
    print(f"{processor()}, {os.cpu_count()} cores, {platform.system()}, one thread")
    print(f"numpy {np.__version__}, BLAS {', '.join(cores)}")
    try:
        import torch

        print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    except ImportError:
        print(
            "torch not installed: its columns are empty. To fill them: "
            f"{sys.executable} -m pip install torch --index-url {CPU_TORCH}"
        )


def show(number: float | None, form: str = "{:.2f}") -> str:
    return "-" if number is None else form.format(number)


def table(head: list[str], rows: list[list[str]], texts: int = 0) -> None:
    """Print a table whose first ``texts`` columns stand left, as text does."""
    widths = [max(len(row[c]) for row in [head, *rows]) for c in range(len(head))]
    for row in [head, ["-" * w for w in widths], *rows]:
        cells = [
            cell.ljust(w) if c < texts else cell.rjust(w)
            for c, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def decode_table(shapes: list[tuple[int, int]], count: int) -> list[Floor]:
    import decode

    print("\nAll-index decode, exact cache, every bit of every row; x = times as fast as;")
    print("again: the second message with the same keys")
    rows, measured = [], {}
    for n, d in shapes:
        m = measured[n, d] = decode.measure(n, d, count)
        rows.append(
            [f"{n} x {d}", show(m["dense ms"], "{:.1f}"), show(m["dominance ms"], "{:.1f}"),
             show(m["again ms"]), show(m["dense / torch"]), show(m["dominance / torch"]),
             show(m["again / torch"], "{:.0f}"), show(m["dense / numpy"]),
             show(m["dominance / numpy"]), show(m["dense / limit"])]
        )  # fmt: skip
    table(
        ["n x d", "dense ms", "dominance ms", "again ms", "dense x torch", "dominance x torch",
         "again x torch", "dense x numpy", "dominance x numpy", "dense / SGEMM limit"],
        rows,
    )  # fmt: skip
    n, d = shapes[0]
    print(f"\nDominance on x off, {n} x {d}, where only the newest keys are stored")
    shares = (1.0, 0.75, 0.5, 0.25)
    table([f"{s:.0%}" for s in shares], [[show(decode.kept(n, d, s, count)) for s in shares]])
    m = measured.get((4096, 64), {})
    work, torch = "decode, 4096 x 64, random keys", "torch, float32"
    return [
        Floor(f"{work}, dense", torch, m.get("dense / torch"), "x", 1.0),
        Floor(f"{work}, dense", "SGEMM limit", m.get("dense / limit"), "of it", 0.85),
        Floor(f"{work}, dominance", torch, m.get("dominance / torch"), "x", 1.8),
        Floor(f"{work}, again", torch, m.get("again / torch"), "x", 50),
    ]


def coset_table(quick: bool, count: int) -> list[Floor]:
    import decode

    print(
        "\nSign keys by cosets, every bit of every row; again: the second message with these keys"
    )
    cells = [("kerdock", 4096, 64, share) for share in (1.0, 0.75, 0.5, 0.25)]
    cells += [("bch", 4096, 64, 0.5), ("gold", 2048, 32, 0.5)]
    rows, measured = [], {}
    for name, n, d, share in cells[:1] if quick else cells:
        m = measured[name, share] = decode.cosets(name, n, d, share, count)
        rows.append(
            [f"{name} {n} x {d}", f"{share:.0%}", show(m["first ms"], "{:.1f}"),
             show(m["again ms"], "{:.1f}"), show(m["again / dense"], "{:.1f}"),
             show(m["first / torch"], "{:.1f}"), show(m["again / torch"], "{:.1f}"),
             f"{m['bits that differ']} of {n * d}"]
        )  # fmt: skip
    table(
        ["keys", "stored", "first ms", "again ms", "again x dense", "first x torch",
         "again x torch", "bits not as dense"],
        rows,
    )  # fmt: skip
    return [
        Floor(
            f"decode, 4096 x 64, kerdock, {share:.0%} stored, again", "torch, float32",
            measured.get(("kerdock", share), {}).get("again / torch"), "x", floor,
        )
        for share, floor in ((1.0, 20), (0.5, 12))
    ]  # fmt: skip


def scale_table(quick: bool, count: int) -> list[Floor]:
    import scale

    print("\nThe tight scale of jl keys, seconds: float64 throughout, and float32 first")
    rows, measured = [], {}
    for n, d in [(2048, 64)] if quick else [(4096, 64), (8192, 128)]:
        m = measured[n, d] = scale.measure(n, d, count)
        rows.append([f"{n} x {d}", *(show(m[name]) for name in ("float64 s", "float32 s", "x"))])
    table(["n x d", "float64", "float32 first", "x"], rows)
    x = measured.get((4096, 64), {}).get("x")
    return [Floor("tight scale, 4096 x 64, bit for bit", "float64 throughout", x, "x", 3)]


def ingest_table(count: int) -> None:
    import ingest

    print(f"\nTaking in {ingest.N} tokens, d = {ingest.D}; ns a token")
    table(
        ["policy", "numpy loop", "extend", "x"],
        [[name, f"{loop:.0f}", f"{ours:.0f}", f"{x:.0f}"] for name, loop, ours, x in
         ingest.measure(count)],
    )  # fmt: skip


def loading_table(quick: bool, count: int) -> list[Floor]:
    import loading

    number = 500 if quick else 4000
    print(
        f"\nResults files of {number} rows loaded, us a row; x = times as long as pandas.read_csv"
    )
    rows, floors = [], []
    for kind in loading.KINDS:
        m = loading.measure(kind, number, count)
        rows.append(
            [kind, *(f"{m[name]:.0f}" for name in ("bytes", "pandas", "ours")), show(m["x"])]
        )
        floors.append(
            Floor(f"results loaded: {kind}", "pandas", m["x"], "x its time", 4, most=True)
        )
    table(["rows", "bytes a row", "pandas", "read_results", "x"], rows, texts=1)
    return floors


def command_table(quick: bool) -> list[Floor]:
    import commands

    print("\nWhole commands: CPU seconds of all their processes, GB of the largest process")
    m = commands.measure(1 if quick else 3, large=not quick)
    table(list(m), [[show(x) for x in m.values()]])
    new, million, layer = (
        "attack the file that new writes, isolated", "attack exact, 2^20 x 64, 1024 rows, isolated",
        "attack exact, 8 heads of 131072 x 128, isolated",
    )  # fmt: skip
    return [
        Floor(new, "-", m["isolated s"], "s", 6, most=True),
        Floor(new, "the same inline", m["isolated x inline"], "x its time", 3, most=True),
        Floor("bound --model", "-", m["bound s"], "s", 0.8, most=True),
        Floor(million, "-", m.get("million s", 0) / 2 or None, "s a message", 10, most=True),
        Floor(million, "-", m.get("million GB"), "GB, largest process", 1.2, most=True),
        Floor(layer, "-", m.get("layer s"), "s", 6, most=True),
        Floor(layer, "-", m.get("layer GB"), "GB, largest process", 2.5, most=True),
    ]


def compile_time() -> None:
    with tempfile.TemporaryDirectory() as folder:
        times = [
            subprocess.run(
                [sys.executable, "-c", COMPILE], env=os.environ | {"NUMBA_CACHE_DIR": folder},
                capture_output=True, text=True, check=True,
            ).stdout
            for _ in range(2)
        ]  # fmt: skip
    print("\nAll kernels, CPU seconds to the first answer, after importing numba and scipy")
    table(["nothing cached", "cached"], [[f"{float(t):.2f}" for t in times]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer shapes and rounds")
    quick = parser.parse_args().quick
    import decode

    header()
    count = 3 if quick else 11
    floors = decode_table(decode.SHAPES[2:3] if quick else decode.SHAPES, count)
    floors += coset_table(quick, count)
    floors += scale_table(quick, min(count, 5))
    floors += loading_table(quick, min(count, 5))
    floors += command_table(quick)
    ingest_table(count)
    compile_time()
    print("\nFloors")
    head = ["work", "against", "measured", "floor", "verdict"]
    table(head, [floor.row() for floor in floors], texts=len(head))
    print(
        "Not measured: torch is not installed, or --quick. make experiments (floor 400 CPU s) and\n"
        "make test (500) take minutes and set up an environment: time them with the shell."
    )


if __name__ == "__main__":
    main()
