"""The page of ``kvbarrier report``: one HTML file that loads nothing, from points of results files.

Equal files give equal bytes. A point is written once, as a row of its table: the page's script
reads the table to draw the marks of the picture and to write the commands, and without a script
the table says everything. Names come from other people's files, so every text is escaped, and the
page allows no script but its own, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

from ..runs.points import budget_text, error_text, guarantee_text, series_label
from ..runs.ranking import MEMORIES, bits_per_number, rank_rows, stream_of
from ..runs.reported import Reported, Source
from .report_plot import MANY, Mark, key, plot, shapes
from .style import COLOURS, one_line

NONE = "–"
_GOOD = ("not-broken", "as-declared")
_BAD = ("broken", "impossible", "not-as-declared")


def page(found: Sequence[Reported], sources: Sequence[Source], version: str) -> str:
    """The HTML of a report on at least one point.

    ``version``: of the kvbarrier that makes it.
    """
    script, style = _asset("js"), _colours() + _asset("css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'"
    )
    computers = _computers(found)
    found = sorted(found, key=_order)
    streams = list(dict.fromkeys(stream_of(one.point) for one in found))
    numbered = [(f"p{number}", one) for number, one in enumerate(found, 1)]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{allowed}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>kvbarrier report</title><style>{style}</style></head><body>{shapes()}",
        _head(found, streams),
    ]
    for place, stream in enumerate(streams, 1):
        rows = [(id_, one) for id_, one in numbered if stream_of(one.point) == stream]
        parts.append(_section(place, stream, rows, computers))
    parts += [_repeat(sources, version), _computer_table(found, computers)]
    return "\n".join([*parts, f"<script>{script}</script></body></html>\n"])


def _order(one: Reported) -> tuple[Any, ...]:
    """By stream, series and memory, in whatever order the files were named in."""
    point = one.point
    budget = float("inf") if point["budget"] is None else float(point["budget"])
    return (
        stream_of(point),
        _series(point),
        bits_per_number(point),
        budget,
        series_label(point),
        one.cell,
    )


def _asset(kind: str) -> str:
    return resources.files(__package__).joinpath(f"report_page.{kind}").read_text("utf-8")


def _colours() -> str:
    """The colours of the series; on a dark page each is a third nearer to white."""
    light = "".join(f".c{i}{{stroke:{colour}}}" for i, colour in enumerate(COLOURS))
    dark = "".join(f".c{i}{{stroke:{_paler(colour)}}}" for i, colour in enumerate(COLOURS))
    return f"{light}@media screen and (prefers-color-scheme:dark){{{dark}}}"


def _paler(colour: str) -> str:
    parts = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return "#" + "".join(f"{(2 * part + 255) // 3:02x}" for part in parts)


def _text(value: Any) -> str:
    return escape(one_line(value, 240))


def _head(found: Sequence[Reported], streams: Sequence[str]) -> str:
    messages = sum(one.point["messages"] for one in found)
    targets = len({one.point["compressor"] for one in found})
    said = (
        f"{_count(len(found), 'point')} of {_count(targets, 'target')} on "
        f"{_count(len(streams), 'family', 'families')} of streams; "
        f"{_count(messages, 'independent message')}."
    )
    links = "".join(
        f'<li><a href="#s{number}">{_text(stream)}</a></li>'
        for number, stream in enumerate(streams, 1)
    )
    contents = f"<ul>{links}</ul>" if len(streams) > 1 else ""
    return (
        f"<h1>kvbarrier report</h1><p>{said}</p>{contents}"
        "<details><summary>How to read it</summary>"
        "<p>Alice hides N random bits in the values of a stream. The compressor keeps a memory of "
        "M bits, and Bob reads the bits back from it. <b>Error</b> e is the share of the asked "
        "bits that is wrong; 1/2 is guessing. <b>Bits a number</b> is the memory for each number "
        "of K and V, of which an uncompressed cache takes 16. No method reaches M/N &lt; 1 − h(e) "
        "(Fano). Intervals are anytime-valid and count messages.</p>"
        "<p><b>Theorem</b>: does the method give the paper's guarantee, an error of at most 1/10, "
        "on this stream? <b>Declared</b>: does it hold what its author says it keeps? "
        "<b>Ledger</b>: could a message so short say so much? Impossible means a hidden channel, "
        "or a bug.</p></details>"
    )


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


Row = tuple[str, Reported]
Computers = dict[str, str]


def _section(place: int, stream: str, rows: Sequence[Row], computers: Computers) -> str:
    series = list(dict.fromkeys(_series(one.point) for _, one in rows))
    marks = [Mark(series.index(_series(one.point)), one.point) for _, one in rows]
    legend = "".join(
        f'<button type="button" aria-pressed="true" data-s="{index}">{key(index)}{_text(name)}'
        "</button>"
        for index, name in enumerate(series)
    )
    points = [one.point for _, one in rows]
    return "".join([
        f'<section id="s{place}"><h2>{_text(stream)}</h2>',
        '<figure><figcaption>bit error e: wrong bits / asked bits</figcaption>',
        plot(marks, f"Bit error against memory: {one_line(stream)}"),
        f'<div class="legend">{legend}</div></figure>',
        "<p class='note'>A point is a setting; its bar is the anytime-valid interval"
        f"{', drawn when you look at the point' if len(points) > MANY else ''}. "
        "Hover or focus a point to read it, follow it to its row; an entry of the "
        "legend shows or hides its series.</p>",
        "<h3>Ranking at a given memory</h3>",
        "<p class='note'>For each memory the setting of least error that fits. ≈: its interval "
        "overlaps the first's, so these messages do not tell the two apart. –: no setting played "
        "here fits.</p>",
        _ranking(points),
        "<h3>All points</h3>",
        _points(rows, [mark.series for mark in marks], computers),
        "</section>",
    ])  # fmt: skip


def _series(point: dict[str, Any]) -> str:
    """A target with those of its parameters that are words: numbers vary along a curve."""
    words = {
        name: value
        for name, value in point["params"].items()
        if isinstance(value, (bool, str)) and not _is_number(str(value))
    }
    return series_label(point | {"params": words})


def _is_number(text: str) -> bool:
    return text.replace("/", "").replace(".", "").isdigit()


def _ranking(points: Sequence[dict[str, Any]]) -> str:
    rows = rank_rows(points)
    names = [row["compressor"] for row in rows if row["memory"] == str(MEMORIES[1])]
    at = {(row["compressor"], row["memory"]): row for row in rows}
    groups = "".join(
        f'<th class="group g" colspan="3" scope="colgroup">within {memory} of a 16-bit cache<br>'
        f"({float(16 * memory):g} bits a number)</th>"
        for memory in MEMORIES
    )
    heads = [_sorting("target", 0)]
    for index in range(len(MEMORIES)):
        ascending = index == 1
        heads += [
            _sorting("rank", 3 * index + 1, "n g", ascending=ascending),
            _sorting("error", 3 * index + 2, "n"),
            _sorting("bits a number", 3 * index + 3, "n"),
        ]
    body = []
    for name in names:
        cells = [f'<th scope="row">{_text(name)}</th>']
        for memory in MEMORIES:
            cells += _ranked(at[name, str(memory)])
        body.append(f"<tr>{''.join(cells)}</tr>")
    return (
        '<div class="scroll" role="region" aria-label="ranking" tabindex="0"><table class="wide">'
        f"<thead><tr><td></td>{groups}</tr>"
        f"<tr>{''.join(heads)}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
        f"{_assumptions(rows)}"
    )


def _assumptions(rows: Sequence[dict[str, Any]]) -> str:
    known = {row["compressor"]: row for row in rows if row["assumes"]}
    said = "".join(
        f"<dt>{_text(name)}</dt><dd>assumes: {_text(row['assumes'])}. Broken by: "
        f"{_text(row['broken_by'] or 'nobody here')}.</dd>"
        for name, row in sorted(known.items())
    )
    title = "What the methods assume, and which adversary breaks it"
    return f"<details><summary>{title}</summary><dl>{said}</dl></details>" if said else ""


def _ranked(row: dict[str, Any]) -> list[str]:
    if row["rank"] is None:
        return [f'<td class="n{css}">{NONE}</td>' for css in (" g", "", "")]
    error = row["bit_error"]
    alike = " ≈" if row["rank"] > 1 and not row["told_apart"] else ""
    setting = row["setting"].removeprefix(row["compressor"]).split(",")[0].strip()
    asked = "" if row["budget"] is None else f"budget {budget_text(row['budget'])}"
    chosen = ", ".join(filter(None, [setting, asked]))
    return [
        f'<td class="n g" data-v="{row["rank"]}">{row["rank"]}{alike}</td>',
        f'<td class="n" data-v="{error["estimate"]:.9g}">{error_text(row)}'
        f"<small>{_interval(error)}</small></td>",
        f'<td class="n" data-v="{row["bits_per_number"]:.9g}">{row["bits_per_number"]:.3g}'
        f'<small class="setting">{_text(chosen)}</small></td>',
    ]


def _interval(error: dict[str, Any]) -> str:
    return f"{error['low']:.3f} to {error['high']:.3f}"


def _sorting(name: str, column: int, css: str = "", *, ascending: bool = False) -> str:
    state = ' aria-sort="ascending"' if ascending else ""
    shown = f' class="{css}"' if css else ""
    return f'<th scope="col"{shown} data-c="{column}"{state}>{name}</th>'


def _points(rows: Sequence[Row], series: Sequence[int], computers: Computers) -> str:
    """Two tables: the points, and the ways in which they were played, which points share."""
    level = f"{rows[0][1].point['bit_error']['level']:.0%} interval"
    names = ("target", "budget", "M/N", "bits a number", "error", level, "messages",
             "theorem", "declared", "ledger")  # fmt: skip
    numbers = names[1:7]
    heads = [
        _sorting(name, place, "n" if name in numbers else "") for place, name in enumerate(names)
    ]
    place = rows[0][0]
    ways = {
        way: f"{place}w{number}"
        for number, way in enumerate(dict.fromkeys(_way(one, computers) for _, one in rows), 1)
    }
    body = "".join(
        _point(id_, number, one, ways[_way(one, computers)])
        for (id_, one), number in zip(rows, series, strict=True)
    )
    played = "".join(
        f'<tr id="{name}"><th scope="row">w{number}</th><td><code>{_text(command)}</code></td>'
        f"<td>{how}</td></tr>"
        for number, ((command, how), name) in enumerate(ways.items(), 1)
    )
    return (
        '<div class="scroll" role="region" aria-label="all points" tabindex="0">'
        f'<table class="wide points"><thead><tr>{"".join(heads)}<th scope="col">repeat</th></tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
        '<details class="ways"><summary>How to repeat a point</summary>'
        "<p class='note'>Put the point's code in the place of CELL.</p>"
        '<div class="scroll"><table><thead><tr><th>way</th><th>command</th><th>as played</th></tr>'
        f"</thead><tbody>{played}</tbody></table></div></details>"
    )


def _point(id_: str, series: int, one: Reported, way: str) -> str:
    """A row, without the end tags that HTML leaves out: it is most of a long page."""
    point, error = one.point, one.point["bit_error"]
    failed = f", {point['failed']} failed" if point["failed"] else ""
    over = " (over)" if point["over_budget"] else ""
    declared = NONE
    if one.declared is not None:
        verdict = point["declared"]["verdict"]
        declared = (
            f"<details><summary>{_verdict(verdict)}</summary><p>{_text(one.declared)}</p></details>"
        )
    cells = [
        budget_text(point["budget"]) + over,
        f"{float(point['bits_per_secret_bit']):.4g}",
        f"{bits_per_number(point):.3g}",
        error_text(point),
        _interval(error),
        f"{point['messages']}{failed}",
        _verdict(guarantee_text(point)),
        declared,
        _verdict(point["ledger"]["verdict"]),
        f'<code>{one.cell}</code> <a href="#{way}">w{way.partition("w")[2]}</a>{_places(point)}',
    ]
    return (
        f'<tr id={id_} data-s={series}><th scope="row">{_text(series_label(point))}<td>'
        + "<td>".join(cells)
    )


def _verdict(text: str) -> str:
    word = text.split()[0].rstrip(",")
    css = "good" if word in _GOOD else "bad" if word in _BAD else ""
    return f"<span class={css}>{_text(text)}</span>" if css else _text(text)


def _way(one: Reported, computers: Computers) -> tuple[str, str]:
    """The command that plays a point's first batch again, and on what it was played."""
    command = f"kvbarrier replay {shlex.quote(one.files[0])} CELL 0"
    batches = "batch 0" if one.batches == 1 else f"batches 0 to {one.batches - 1}"
    hosts = ", ".join(
        f'<a href="#{computers[str(host)]}">{computers[str(host)]}</a>' for host in one.computers
    )
    where = f" in {', '.join(one.files)}" if len(one.files) > 1 else ""
    how = (
        f"{batches}{_text(where)}, {_text(one.key)} key, {_text(one.point['isolation'])}, "
        f"computer {hosts}."
    )
    return command, how


def _places(point: dict[str, Any]) -> str:
    """What a results file keeps of the map: counts, which are no test."""
    places = point["wrong_by_place"]
    if not point["wrong_bits"] or places["value"] is None or places["token"] is None:
        return ""
    zeros, ones = places["value"]
    worst = max(range(len(places["token"])), key=places["token"].__getitem__)
    return (
        f"<small>wrong: {zeros:,} zeros, {ones:,} ones; most, {places['token'][worst]:,}, of "
        f"token {worst}</small>"
    )


def _computers(found: Sequence[Reported]) -> Computers:
    """A short name for each, by its facts as text."""
    facts = dict.fromkeys(str(host) for one in found for host in one.computers)
    return {text: f"c{number}" for number, text in enumerate(facts, 1)}


def _computer_table(found: Sequence[Reported], computers: Computers) -> str:
    known = {computers[str(host)]: host for one in found for host in one.computers}
    rows = []
    for name, host in known.items():
        versions = ", ".join(f"{what} {number}" for what, number in host["versions"].items())
        facts = "; ".join(f"{what}: {_plain(fact)}" for what, fact in host["host"].items())
        rows.append(f'<tr id="{name}"><th scope="row">{name}</th><td>{_text(versions)}</td>'
                    f"<td>{_text(facts)}</td></tr>")  # fmt: skip
    return (
        '<h3>Computers that played</h3><div class="scroll"><table><thead><tr><th>name</th>'
        f"<th>versions</th><th>host</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _plain(fact: Any) -> str:
    if isinstance(fact, dict):
        return ", ".join(f"{name}={value}" for name, value in fact.items())
    return ", ".join(map(str, fact)) if isinstance(fact, list) else str(fact)


def _repeat(sources: Sequence[Source], version: str) -> str:
    command = shlex.join(["kvbarrier", "report", *(source.path for source in sources)])
    rows = "".join(
        f"<tr><th scope='row'>{_text(source.path)}</th><td>{source.day}</td>"
        f'<td class="n">{source.rows:,}</td><td><code>{source.sha256}</code></td></tr>'
        for source in sources
    )
    return (
        "<h2>Repeat it</h2><p>This page, again (kvbarrier "
        f"{_text(version)}):</p><p><code class='command'>{_text(command)}</code></p>"
        "<p>A row's command plays its messages again: the same key, the same secrets, the same "
        "coins. A row holds only the name of a plug-in; add <code>--target FILE</code> for one "
        "that is a file.</p>"
        '<h3>Results files</h3><div class="scroll"><table><thead><tr><th>file</th>'
        '<th>changed (UTC)</th><th class="n">rows</th><th>SHA-256</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
