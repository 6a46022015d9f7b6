"""How points rank, as plain data and as the page of ``kvbarrier report``.

By recovered bits per charged bit, and by the error at fixed budgets. Pure functions of points; the
page is one HTML file that has no scripts and loads nothing.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..compressors.catalog import CATALOG, family
from ..reductions.bounds import binary_entropy
from .points import budget_text, curve_label, error_text

Point = dict[str, Any]

FIXED = (Fraction(1, 8), Fraction(1, 4), Fraction(1, 2))

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 78rem; margin: 2rem auto;
       padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 13.5px; }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: left;
         vertical-align: top; }
th { border-bottom: 2px solid #888; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
img { max-width: 100%; }
p.note { color: #555; max-width: 60rem; }
"""


def recovered(point: Point) -> float:
    """Recovered secret bits per charged bit, N (1 - h(e)) / M at the measured error e.

    At most 1 by Fano's inequality, so its inverse is the overhead over the limit. An error of 1/2
    or more recovers nothing.
    """
    error = min(float(point["bit_error"]["estimate"]), 0.5)
    if not point["charged_bits"]:
        return 0.0
    return (1 - float(binary_entropy(error))) / float(point["bits_per_secret_bit"])


def error_at(found: Sequence[Point], budget: Fraction) -> Point | None:
    """The point of least error whose memory is within a budget, or None."""
    within = [p for p in found if 1 / (p["compression_ratio"] or np.inf) <= float(budget) * 1.0001]
    return min(within, key=lambda p: float(p["bit_error"]["estimate"]), default=None)


def ranking(found: Sequence[Point]) -> list[tuple[str, Point]]:
    """Compressors by the best of their recovered bits per charged bit, among the points given."""
    best: dict[str, Point] = {}
    for point in found:
        name = str(point["compressor"])
        if name not in best or recovered(point) > recovered(best[name]):
            best[name] = point
    return sorted(best.items(), key=lambda item: -recovered(item[1]))


def rank_rows(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The ranking as plain data, best first: one row a compressor on each family of streams.

    ``recovered`` is N (1 - h(e)) / M at the best setting, ``overhead`` its inverse (None if
    nothing is recovered), ``error_at`` the least error within each fixed budget (None: no setting
    fits).
    """
    rows = []
    for game in dict.fromkeys(map(_game, points)):
        here = [point for point in points if _game(point) == game]
        for place, (name, best) in enumerate(ranking(here), 1):
            share = recovered(best)
            own = [point for point in here if point["compressor"] == name]
            at = {str(budget): error_at(own, budget) for budget in FIXED}
            entry = CATALOG.get(name)
            rows.append({
                "stream": game,
                "rank": place,
                "compressor": name,
                "setting": curve_label(best),
                "budget": best["budget"],
                "family": family(name) if entry else None,
                "recovered": share,
                "overhead": 1 / share if share else None,
                "bits_per_secret_bit": best["bits_per_secret_bit"],
                "bit_error": best["bit_error"],
                "wrong_bits": best["wrong_bits"],
                "asked_bits": best["asked_bits"],
                "messages": best["messages"],
                "guarantee": best["guarantee"]["verdict"],
                "null": best["guarantee"]["null"]["name"],
                "ledger": best["ledger"]["verdict"],
                "error_at": {b: p and p["bit_error"]["estimate"] for b, p in at.items()},
                "assumes": entry.assumes or None if entry else None,
                "broken_by": entry.broken_by or None if entry else None,
            })  # fmt: skip
    return rows


def _game(point: Point) -> str:
    said = f"{point['reduction']}, {point['keys']} keys, n = {point['n']}, d = {point['d']}"
    if point["layers"] * point["heads"] > 1:
        said += f", {point['layers']} layers of {point['heads']} heads"
    bob = "" if point["bob"] == "threshold" else f", {point['bob']} Bob"
    return f"{said}, {point['queries']} queries, {point['basis']} basis{bob}"


def page(points: Sequence[Point], picture: bytes) -> str:
    """The HTML of a report; ``picture`` is a PNG, which is put into the page."""
    rows = rank_rows(points)
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>kvbarrier report</title>",
        f"<style>{_STYLE}</style><h1>kvbarrier report</h1>",
        f"<p class='note'>{len(points)} points, {sum(p['messages'] for p in points)} independent "
        "messages. Ranked by recovered secret bits per charged bit, N(1 − h(e))/M, at each "
        "compressor's best setting; Fano's inequality allows 1 at most, and the overhead is its "
        "inverse. Intervals are anytime-valid and count messages.</p>",
        "<img alt='bit error against memory' src='data:image/png;base64,"
        f"{base64.b64encode(picture).decode()}'>",
    ]
    for game in dict.fromkeys(row["stream"] for row in rows):
        parts += [f"<h2>{html.escape(game)}</h2>", _table([r for r in rows if r["stream"] == game])]
    return "\n".join([*parts, "</html>\n"])


def _table(rows: Sequence[dict[str, Any]]) -> str:
    head = [
        "", "setting", "budget", "recovered bits per charged bit", "overhead", "M/N", "bit error",
        "messages", "guarantee", "ledger", *(f"error within {b} of a 16-bit cache" for b in FIXED),
        "assumes", "broken by",
    ]  # fmt: skip
    lines = ["<table><tr>", *(f"<th>{html.escape(name)}</th>" for name in head), "</tr>"]
    for row in rows:
        error = row["bit_error"]
        interval = f"{error_text(row)} ({error['low']:.3f} to {error['high']:.3f}, " \
                   f"{error['level']:.0%})"  # fmt: skip
        numbers = [
            f"{row['recovered']:.4g}",
            "-" if row["overhead"] is None else f"{row['overhead']:.4g}",
            f"{row['bits_per_secret_bit']:.4g}",
            interval,
            str(row["messages"]),
        ]
        at = ["-" if e is None else f"{e:.4f}" for e in row["error_at"].values()]
        texts = [str(row["rank"]), row["setting"], budget_text(row["budget"])]
        lines.append("<tr>")
        lines += [f"<td>{html.escape(text)}</td>" for text in texts]
        lines += [f"<td class='number'>{text}</td>" for text in numbers]
        lines += [f"<td>{row['guarantee']} ({row['null']})</td>", f"<td>{row['ledger']}</td>"]
        lines += [f"<td class='number'>{text}</td>" for text in at]
        lines += [f"<td>{html.escape(row[name] or '-')}</td>" for name in ("assumes", "broken_by")]
        lines.append("</tr>")
    return "".join([*lines, "</table>"])
