"""Johnson-Lindenstrauss with its constants, in four panels.

Upper left: how often a matrix moves a norm or an inner product too far, exact laws, stated bounds.
Upper right: the deviation of 512 keys against the dimension, and what the lemma promises.
Lower left: the scale that Bob's query needs. Lower right: the tokens certified at a head dimension.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..experiments.jl.measure import CERTIFIED, DIMENSION, LEVEL, TAILS
from ..experiments.kit.binomial import simultaneous
from ..experiments.kit.tables import read_table
from ..reductions.jl_lemmas import norm_bound, product_bound, product_tail
from ..reductions.paper import jl_dimension
from .style import COLOURS, FAINT, INK, LIMIT, MARKERS, caption_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

STATED = LIMIT
LEMMA = "the lemma: 12 ln n (reconstructed)"


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    tails, dimension = read_table(folder, TAILS), read_table(folder, DIMENSION)
    draw(tails, dimension, read_table(folder, CERTIFIED), path)


def draw(tails: pd.DataFrame, dimension: pd.DataFrame, certified: pd.DataFrame, path: Path) -> None:
    """Draw the tables of ``experiments.jl.measure`` as a PNG."""
    title = "Johnson–Lindenstrauss with its constants: what is promised, and what the keys do"
    with page(path, title, 2, 2, height=8.4) as (figure, axes):
        _tails(axes[0][0], tails)
        _deviation(axes[0][1], dimension)
        _scale(axes[1][0], dimension)
        _certified(axes[1][1], certified)
        for panel in axes.flat:
            panel.title.set_fontsize(10.5)
        n, draws = int(dimension["n"].iloc[0]), dimension["draw"].nunique()
        random = certified[certified["method"] == "jl"].iloc[0]
        matrices, tried = int(tails["matrices"].min()), int(random["draws"])
        caption = (
            f"Upper left: {matrices:,} independent matrices; bars: exact binomial intervals, all "
            f"measured cells together at {100 * LEVEL:g} %; nothing drawn where none was seen.\n"
            f"Upper right and lower left: {draws} draws of {n} Gaussian keys at each d; line: "
            "mean, band: range over the draws. Lower right: jl is the fewest over\n"
            f"{tried} draws of keys with exact scale ≤ {random['scale']:g} at η = 1/2, arrows: "
            "all that were tried had it; padded with zeros a Kerdock code serves every larger d;\n"
            "bounds below one token are not drawn. Reconstructed: the paper's formula, rebuilt "
            "from its prose."
        )
        caption_below(figure, caption)


def _tails(axes: Axes, table: pd.DataFrame) -> None:
    low, high = simultaneous(table["exceeded"], table["matrices"], LEVEL).T
    share = table["exceeded"] / table["matrices"]
    table = table.assign(share=share, below=share - low, above=high - share)
    table = table[table["d"] == table["d"].max()]
    d, eps = int(table["d"].iloc[0]), np.linspace(0.08, 0.72, 81)
    for index, (quantity, inner, label, bound) in enumerate(
        (
            ("norm", 1.0, "|f(x)|²", norm_bound),
            ("product", 0.0, "⟨f(u),f(v)⟩, u ⊥ v", product_bound),
        )
    ):
        colour = COLOURS[index]
        axes.plot(eps, [bound(float(e), d) for e in eps], color=colour, ls="--", lw=1.4)
        axes.plot(eps, [product_tail(float(e), d, inner) for e in eps], color=colour, lw=1.4)
        rows = table[(table["quantity"] == quantity) & (table["inner"] == inner)]
        rows = rows[rows["exceeded"] > 0]
        axes.errorbar(rows["eps"], rows["share"], yerr=[rows["below"], rows["above"]], color=colour,
                      marker=MARKERS[index], mfc="none", mew=1.3, ls="none", capsize=2.5,
                      label=f"measured, {label}")  # fmt: skip
    axes.plot([], [], color=INK, ls="--", lw=1.4, label="stated bound (reconstructed)")
    axes.plot([], [], color=INK, lw=1.4, label="exact law")
    axes.axhline(1.0, color=FAINT, lw=0.8, ls=":")
    axes.set_yscale("log")
    axes.set_ylim(1e-6, 30)
    axes.set_xlabel("deviation ε")
    axes.set_ylabel("Pr[moved by more than ε] (log scale)")
    axes.set_title(f"one norm, one inner product of unit vectors: d = {d}")
    axes.legend(fontsize=8.6, loc="upper right")


def _deviation(axes: Axes, table: pd.DataFrame) -> None:
    for column, label, index in (
        ("deviation_raw", "A eᵢ/√d, norms included", 1),
        ("deviation", "jl keys: the same, made unit", 0),
    ):
        _spread(axes, table, column, label, index)
    n = int(table["n"].iloc[0])
    eps = np.linspace(0.02, 2 / 3, 200)
    asked = np.array([jl_dimension(n, float(e)) for e in eps])
    axes.plot(asked, eps, color=STATED, lw=1.6, label=LEMMA)
    axes.axhline(0.5, color=INK, lw=1.0, ls=":")
    axes.text(7.6, 0.47, "the paper needs ε < 1/2", fontsize=8.6, color=INK, va="top")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlim(table["d"].min() / 1.1, 4400)
    axes.set_ylim(0.11, 3.2)
    axes.set_xlabel("dimension d (log scale)")
    axes.set_ylabel("ε: largest |⟨kᵢ,kⱼ⟩ − δᵢⱼ| (log)")
    axes.set_title(f"the deviation of {n} keys")
    axes.legend(fontsize=8.6, loc="upper right")


def _scale(axes: Axes, table: pd.DataFrame) -> None:
    _spread(axes, table, "scale", "exact, from the interference", 0)
    _spread(axes, table, "closed_scale", "closed form, from the coherence", 3)
    _spread(axes, table.dropna(subset="paper_scale"), "paper_scale",
            "the paper's, where ε < 1/2 (reconstructed)", 1)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_ylim(5, 1500)
    axes.set_xlabel("dimension d (log scale)")
    axes.set_ylabel("scale C of Bob's query (nats, log)")
    axes.set_title(
        f"the scale that separates {int(table['n'].iloc[0])} jl keys, η = {table['eta'].iloc[0]:g}"
    )
    axes.legend(fontsize=8.6, loc="upper right")


def _certified(axes: Axes, table: pd.DataFrame) -> None:
    curves: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("lemma", LEMMA, {"color": STATED, "ls": "-", "marker": "v"}),
        ("union, stated tails", "union bound, stated tails", {"color": STATED, "ls": ":"}),
        ("union, exact tails", "union bound, exact tails", {"color": COLOURS[2], "ls": "--"}),
        ("jl", "jl keys, exact scale ≤ 16", {"color": COLOURS[0], "ls": "-", "marker": "o"}),
        ("kerdock", "Kerdock code, exact scale beside it", {"color": INK, "ls": "", "marker": "*"}),
    )
    for method, label, look in curves:
        rows = table[(table["method"] == method) & (table["n"] >= 1)].sort_values("d")
        large = 12 if method == "kerdock" else 5
        axes.plot(rows["d"], rows["n"], ms=large, mfc="white", mew=1.3, label=label, **look)
        if method == "jl":
            for _, row in rows[rows["n"] == rows["most_tried"]].iterrows():
                axes.annotate("", (row["d"], 3.2 * row["n"]), (row["d"], row["n"]),
                              arrowprops={"arrowstyle": "->", "color": look["color"]})  # fmt: skip
        if method == "kerdock":
            axes.step([*rows["d"], 2048], [*rows["n"], rows["n"].max()], where="post", color=INK,
                      lw=0.7, alpha=0.5)  # fmt: skip
            for d, n, scale in zip(rows["d"], rows["n"], rows["scale"], strict=True):
                last = d == rows["d"].max()  # the others would meet the lines on their right
                axes.text(d * (1.12 if last else 1 / 1.12), n / 1.7, f"C = {scale:.1f}", va="top",
                          ha="left" if last else "right", fontsize=8.6, color=INK)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(7, 1400)
    axes.set_ylim(0.8, 2e8)
    axes.set_xlabel("head dimension d (log scale)")
    axes.set_ylabel("tokens certified (log scale)")
    axes.set_title("how many tokens are certified")
    axes.legend(fontsize=8.6, loc="upper left")


def _spread(axes: Axes, table: pd.DataFrame, column: str, label: str, index: int) -> None:
    """Mean and range over the draws against d."""
    by = table.groupby("d")[column]
    d = np.array(sorted(table["d"].unique()), dtype=float)
    axes.fill_between(d, by.min(), by.max(), color=COLOURS[index], alpha=0.2, lw=0)
    axes.plot(d, by.mean(), color=COLOURS[index], marker=MARKERS[index], ms=3.5, mfc="none", lw=1.3,
              label=label)  # fmt: skip
