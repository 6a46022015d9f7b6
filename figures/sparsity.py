"""Sparsity: one-hot attention rows of the hard instance, and the memory that top-k still needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..experiments.kit.tables import read_table
from ..experiments.sparsity.measure import ALICE, GAUSSIAN, HARD, MEMORY, ONE_HOT
from .style import COLOURS, FORBIDDEN, INK, LIMIT, MARKERS, legend_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

ETA = 0.5
LEAST = 1e-7


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    draw(read_table(folder, ONE_HOT), read_table(folder, MEMORY), path)


def draw(weights: pd.DataFrame, memory: pd.DataFrame, path: Path) -> None:
    """Draw the tables ``sparsity-one-hot`` and ``sparsity-memory`` as a PNG."""
    weights = weights[weights["eta"] == ETA]
    title = "The hard instance is one-hot already, and sparsity saves none of its memory"
    with page(path, title, 1, 2, height=5.3) as (figure, (left, right)):
        _rows(left, weights)
        _memory(right, memory)
        legend_below(figure, (left, right), columns=2, caption=_caption(weights, memory))


def _caption(weights: pd.DataFrame, memory: pd.DataFrame) -> str:
    first = weights.iloc[0]
    draws = int(weights.loc[weights["keys"] == "jl", "seed"].nunique())
    return (
        f"Left: every attention row's weights, largest first, n = {int(first['n'])}, d = "
        f"{int(first['d'])}, tight scale for η = .5; {draws} independent draws of jl keys and\n"
        "kerdock keys, all queries: range (band) and median. Gaussian: random directions of the "
        "same norm. Right: the smallest window,\nin 256ths of n, with measured error ≤ 1/10; "
        f"hypercube keys, d = {int(memory['other'].max())}, {int(memory['messages'].min())} "
        "independent messages a probe."
    )


def _rows(axes: Axes, table: pd.DataFrame) -> None:
    curves = ((HARD, "jl", "the game's queries C k, jl keys"),
              (HARD, "kerdock", "the game's queries C k, kerdock keys"),
              (ALICE, "jl", "Alice's own rows, q = C k, jl keys"),
              (GAUSSIAN, "jl", "Gaussian queries, jl keys"))  # fmt: skip
    for index, (kind, keys, words) in enumerate(curves):
        rows = table[(table["kind"] == kind) & (table["keys"] == keys)].groupby("rank")
        low, median, high = rows["low"].min(), rows["median"].median(), rows["high"].max()
        if kind != ALICE:  # her row t has t + 1 entries: at every later rank the least is 0
            axes.fill_between(low.index, low.clip(lower=LEAST), high.clip(lower=LEAST),
                              color=COLOURS[index], alpha=0.2, lw=0)  # fmt: skip
        axes.plot(median.index, median.clip(lower=LEAST), color=COLOURS[index], lw=1.2,
                  marker=MARKERS[index], ms=4, label=words)  # fmt: skip
    margin = float(table["margin"].min())
    axes.axhline(margin, color=INK, lw=1.2, ls="--",
                 label="margin: own weight > ρ/(ρ+1+ρe⁻ᶜ)")  # fmt: skip
    # Rounded so that both inequalities stay true.
    rest = float(table.loc[(table["kind"] == HARD) & (table["rank"] == 1), "tail_high"].max())
    axes.text(1.9, 0.6, f"own weight ≥ {np.floor(1000 * margin) / 1000:.3f}, all others together "
              f"≤ {np.ceil(1000 * rest) / 1000:.3f}",
              fontsize=8.6, color=INK, va="top")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(LEAST, 2.0)
    axes.set_xlabel("rank of the token in its attention row (log scale)")
    axes.set_ylabel("attention weight (log scale)")
    axes.set_title("attention rows")


def _memory(axes: Axes, table: pd.DataFrame) -> None:
    sizes = np.array(sorted(table["size"].unique()), dtype=float)
    d = float(table["other"].iloc[0])
    floor = sizes * d * float(table["floor_per_secret_bit"].iloc[0])
    axes.fill_between(sizes, np.ones_like(floor), floor, color=FORBIDDEN, lw=0, zorder=0)
    axes.plot(sizes, 32 * d * sizes, color=INK, lw=1.0, ls=":", label="the whole fp16 cache")
    for index, ((k, dtype), rows) in enumerate(table.groupby(["k", "dtype"], sort=False)):
        share = rows["window"] / rows["size"]
        words = f"top-{k} {dtype} cache, {share.min():.3f} to {share.max():.3f} of the tokens"
        axes.plot(rows["size"], rows["charged_bits"], color=COLOURS[index + 4], mfc="none", mew=1.4,
                  marker=MARKERS[index + 4], ms=7, lw=1.2,
                  label=words)  # fmt: skip
    axes.plot(sizes, floor, color=LIMIT, lw=1.8, label="limit: n·d·(1 − h(1/10)) bits")
    axes.text(sizes[1], floor[0] / 3, "impossible\n(information theory)", color=LIMIT,
              fontsize=9)  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(bottom=floor[0] / 10)
    axes.set_xlim(sizes[0] / 1.15, sizes[-1] * 1.15)
    axes.set_xlabel("number of data tokens n (log scale)")
    axes.set_ylabel("charged message bits (log scale)")
    axes.set_title("top-k attention: memory for error ≤ 1/10")
