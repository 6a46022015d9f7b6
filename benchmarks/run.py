"""Speed as ratios against named peers: ``python benchmarks/run.py``. Nothing is asserted."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile

import numpy as np

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
        print("torch not installed: its columns are empty (see benchmarks/README.md)")


def show(number: float | None, form: str = "{:.2f}") -> str:
    return "-" if number is None else form.format(number)


def table(head: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[c]) for row in [head, *rows]) for c in range(len(head))]
    for row in [head, ["-" * w for w in widths], *rows]:
        print("  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)))


def decode_table(shapes: list[tuple[int, int]], count: int) -> None:
    import decode

    print("\nAll-index decode, exact cache, every bit of every row; x = times as fast as;")
    print("again: the second message with the same keys")
    rows = []
    for n, d in shapes:
        m = decode.measure(n, d, count)
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
    print(
        "floors at 4096 x 64: dense >= 1.0, dominance >= 1.8, again >= 50 x torch; "
        "dense >= .85 of the SGEMM limit"
    )
    n, d = shapes[0]
    print(f"\nDominance on x off, {n} x {d}, where only the newest keys are stored")
    shares = (1.0, 0.75, 0.5, 0.25)
    table([f"{s:.0%}" for s in shares], [[show(decode.kept(n, d, s, count)) for s in shares]])


def coset_table(quick: bool, count: int) -> None:
    import decode

    print(
        "\nSign keys by cosets, every bit of every row; again: the second message with these keys"
    )
    cells = [("kerdock", 4096, 64, share) for share in (1.0, 0.75, 0.5, 0.25)]
    cells += [("bch", 4096, 64, 0.5), ("gold", 2048, 32, 0.5)]
    rows = []
    for name, n, d, share in cells[:1] if quick else cells:
        m = decode.cosets(name, n, d, share, count)
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
    print("floors for kerdock 4096 x 64: again >= 20 x torch with all keys, >= 12 x with half")


def scale_table(quick: bool, count: int) -> None:
    import scale

    print("\nThe tight scale of jl keys, seconds: float64 throughout, and float32 first")
    rows = []
    for n, d in [(2048, 64)] if quick else [(4096, 64), (8192, 128)]:
        m = scale.measure(n, d, count)
        rows.append([f"{n} x {d}", *(show(m[name]) for name in ("float64 s", "float32 s", "x"))])
    table(["n x d", "float64", "float32 first", "x"], rows)
    print("floor: 3 x, and the same number bit for bit")


def ingest_table(count: int) -> None:
    import ingest

    print(f"\nTaking in {ingest.N} tokens, d = {ingest.D}; ns a token")
    table(
        ["policy", "numpy loop", "extend", "x"],
        [[name, f"{loop:.0f}", f"{ours:.0f}", f"{x:.0f}"] for name, loop, ours, x in
         ingest.measure(count)],
    )  # fmt: skip


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
    decode_table(decode.SHAPES[2:3] if quick else decode.SHAPES, count)
    coset_table(quick, count)
    scale_table(quick, min(count, 5))
    ingest_table(count)
    compile_time()


if __name__ == "__main__":
    main()
