"""Few dimensions: the certified bits against the budget for the query's norm, and against d."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..experiments.kit.tables import read_table
from ..experiments.low_dimension.measure import BUDGET, KISSING, LEVEL, PLANE, RANDOM
from .style import COLOURS, FAINT, INK, MARKERS, legend_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

CIRCLE, SPHERE, CUBE, KISS, RANDOM_KEYS = range(5)


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    names = {"budget": BUDGET, "random": RANDOM, "kissing": KISSING, "plane": PLANE}
    draw({name: read_table(folder, file) for name, file in names.items()}, path)


def draw(tables: dict[str, pd.DataFrame], path: Path) -> None:
    """Draw the tables of ``experiments.low_dimension.measure`` as a PNG."""
    title = (
        "Few dimensions: what is certified is a matter of the query's norm, and eᵈ a budget for it"
    )
    with page(path, title, 1, 2, height=5.9, sharey=True, title_size=12) as (figure, axes):
        _against_budget(axes[0], tables)
        _against_dimension(axes[1], tables)
        random, plane, kissing = tables["random"], tables["plane"], tables["kissing"]
        wrong = int(plane["wrong"].sum() + kissing["wrong"].sum())
        asked = int(plane["asked"].sum() + kissing["asked"].sum())
        caption = (
            "Points: n tokens of d bits that meet the margin condition for answers within 1 ± η, "
            "η = 1/2, ρ = 3, with |q| max|k| ≤ R (no sampling).\n"
            f"Random keys: geometric mean of {random['draw'].nunique()} independent draws, bars "
            f"{100 * LEVEL:g} % t intervals. Packing limit (ours): no more keys meet the "
            "condition.\n"
            f"Ringed: also played in float32, {wrong} of {asked:,} bits wrong, "
            f"{int(plane['messages'].min())} independent messages a point "
            f"({int(kissing['messages'].min())} at d = 24, sampled rows)."
        )
        legend_below(figure, axes, columns=3, caption=caption)


def _family(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[table["family"] == name].sort_values("R")


def _cube_label(cube: pd.DataFrame) -> str:
    return f"hypercube, 2ᵈ keys, d = {int(cube['d'].min())} to {int(cube['d'].max())}"


def _points(axes: Axes, index: int, x: pd.Series, y: pd.Series, label: str) -> None:
    axes.plot(x, y, ls="", color=COLOURS[index], marker=MARKERS[index], ms=5, label=label)


def _rings(axes: Axes, x: pd.Series, y: pd.Series) -> None:
    axes.plot(x, y, ls="", marker="o", ms=10.5, mfc="none", mec=INK, mew=0.9)


def _against_budget(axes: Axes, tables: dict[str, pd.DataFrame]) -> None:
    budget, kissing, plane = tables["budget"], tables["kissing"], tables["plane"]
    circle, sphere, cube = (_family(budget, name) for name in ("circle", "sphere", "hypercube"))
    axes.plot(circle["R"], 2 * circle["estimate"], color=COLOURS[CIRCLE], lw=1.2,
              label="d = 2: 2 π √(2R / ln 2ρ)")  # fmt: skip
    slope_one = sphere["bits"].iloc[-1] * sphere["R"] / sphere["R"].iloc[-1]
    axes.plot(sphere["R"], slope_one, color=COLOURS[SPHERE], lw=1.2,
              label="d = 3: slope (d − 1)/2 = 1")  # fmt: skip
    for rows, index in ((circle, CIRCLE), (sphere, SPHERE)):
        axes.plot(rows["R"], rows["d"] * rows["packing_limit"], color=COLOURS[index], lw=1.1,
                  ls="--", label=f"packing limit, d = {int(rows['d'].iloc[0])}")  # fmt: skip
    _points(axes, CIRCLE, circle["R"], circle["bits"], "circle, d = 2")
    _points(axes, SPHERE, sphere["R"], sphere["bits"], "Fibonacci sphere, d = 3")
    _points(axes, CUBE, cube["R"], cube["bits"], _cube_label(cube))
    _points(axes, KISS, kissing["R"], kissing["bits"], "kissing keys")
    for _, row in kissing.iterrows():
        axes.annotate(f"{int(row['d'])}", (row["R"], row["bits"]), xytext=(-7, 5),
                      textcoords="offset points", fontsize=8.6, color=COLOURS[KISS],
                      ha="right")  # fmt: skip
    _rings(axes, kissing["R"], kissing["bits"])
    _rings(axes, plane["R"], plane["bits"])
    last = plane[plane["n"] == plane["n"].max()].iloc[0]
    axes.annotate(
        f"n = {int(last['n'])}, d = {int(last['d'])}, all {int(last['bits'])}\n"
        f"bits in float32 at R = {last['R']:,.0f}",
        (last["R"], last["bits"]), xytext=(0.99, 0.14), textcoords="axes fraction", fontsize=8.6,
        ha="right", color=INK, arrowprops={"arrowstyle": "-", "color": FAINT, "lw": 0.8,
                                           "shrinkB": 6},
    )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("budget R = |q| max|k| (nats, log scale)")
    axes.set_ylabel("certified bits n d (log scale)")
    axes.set_title("against the budget R (kissing keys: d beside)")


def _against_dimension(axes: Axes, tables: dict[str, pd.DataFrame]) -> None:
    from scipy.special import stdtrit

    budget, kissing = tables["budget"], tables["kissing"]
    cube = _family(budget, "hypercube")
    random = tables["random"].assign(ln=lambda rows: np.log(rows["bits"]))
    group = random.groupby("d")["ln"]
    d, mean, count = np.array(sorted(group.groups)), group.mean(), group.count()
    half = stdtrit(count - 1, (1 + LEVEL) / 2) * group.std() / np.sqrt(count)
    middle = np.exp(mean)
    spread = [middle - np.exp(mean - half), np.exp(mean + half) - middle]
    axes.errorbar(d, middle, yerr=spread, ls="", color=COLOURS[RANDOM_KEYS],
                  marker=MARKERS[RANDOM_KEYS], capsize=2.5, lw=1,
                  label="random keys (jl) at R = d")  # fmt: skip
    rate = float(random["rate"].iloc[0])
    eta = float(random["eta"].iloc[0])
    rho, line = (1 + eta) / (1 - eta), np.linspace(4, 24, 50)
    axes.plot(line, line * np.exp(rate * line) / rho, color=COLOURS[RANDOM_KEYS], lw=1.2,
              label=f"d exp({rate:.2f} d) / ρ (random keys, large d; ours)")  # fmt: skip
    axes.plot(cube["d"], cube["bits"], color=COLOURS[CUBE], lw=1.2,
              label="d 2ᵈ, at R ≈ (d/2) ln(d / ln(1 + 1/ρ))")  # fmt: skip
    _points(axes, CUBE, cube["d"], cube["bits"], _cube_label(cube))
    _points(axes, KISS, kissing["d"], kissing["bits"], "kissing keys")
    beside = {
        2: (8, -9, "left"),
        3: (-6, -4, "right"),
        4: (-6, -2, "right"),
        16: (8, -9, "left"),
        24: (0, -16, "center"),
    }
    for _, row in kissing.iterrows():
        across, up, side = beside.get(int(row["d"]), (-6, 5, "right"))
        axes.annotate(f"R = {row['R']:.1f}", (row["d"], row["bits"]), xytext=(across, up),
                      textcoords="offset points", fontsize=8.6, color=COLOURS[KISS],
                      ha=side)  # fmt: skip
    circle = _family(budget, "circle")
    for target, said in ((1e3, "10³"), (1e5, "10⁵")):
        row = circle.iloc[(np.log(circle["R"] / target)).abs().argmin()]
        axes.plot([row["d"]], [row["bits"]], ls="", color=COLOURS[CIRCLE], marker=MARKERS[CIRCLE])
        axes.annotate(f"R ≈ {said}", (row["d"], row["bits"]), xytext=(0, 7),
                      textcoords="offset points", fontsize=8.6, color=COLOURS[CIRCLE],
                      ha="center")  # fmt: skip
    axes.set_xlim(-1, 26)
    axes.set_xlabel("dimension d")
    axes.set_title("against the dimension d (R beside)")
