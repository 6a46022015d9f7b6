"""What a build server reads: JUnit XML, a step summary in Markdown, a badge.

JUnit: one test case a rung of ``check`` or a gate of ``attack``; a failure has the finding's text.
The summary is written where ``GITHUB_STEP_SUMMARY`` names a file. The badge is an SVG of ours, or
with a name that ends in .json the document that shields.io's endpoint reads.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..errors import BadInput
from ..files import refuse_place, write_whole
from .render import readable

escape = partial(html.escape, quote=False)

SUMMARY = "GITHUB_STEP_SUMMARY"
GREEN, RED, GREY = "#2e7d32", "#b3261e", "#6b6b6b"


@dataclass(frozen=True)
class JUnitCase:
    """One line of a report: what was asked, how long it took, and each failure in words.

    ``skipped``: why it was not asked, or not to its end.
    """

    name: str
    failures: Sequence[str] = ()
    seconds: float = 0.0
    skipped: str = ""


def junit(suite: str, cases: Sequence[JUnitCase]) -> str:
    """JUnit XML, as build servers read it.

    >>> print(junit("mine.py", [JUnitCase("memory", ["40 bits"]), JUnitCase("heads")]))
    <?xml version='1.0' encoding='utf-8'?>
    <testsuite name="mine.py" tests="2" failures="1" errors="0" skipped="0" time="0.000">
      <testcase classname="kvbarrier" name="memory" time="0.000">
        <failure message="40 bits">40 bits</failure>
      </testcase>
      <testcase classname="kvbarrier" name="heads" time="0.000" />
    </testsuite>
    """
    from xml.etree import ElementTree

    root = ElementTree.Element(
        "testsuite",
        name=_xml(suite),
        tests=str(len(cases)),
        failures=str(sum(bool(one.failures) for one in cases)),
        errors="0",
        skipped=str(sum(bool(one.skipped) for one in cases)),
        time=f"{sum(one.seconds for one in cases):.3f}",
    )
    for one in cases:
        case = ElementTree.SubElement(
            root, "testcase", classname="kvbarrier", name=_xml(one.name), time=f"{one.seconds:.3f}"
        )
        for text in one.failures:
            first = text.partition("\n")[0]
            ElementTree.SubElement(case, "failure", message=_xml(first)).text = _xml(text)
        if one.skipped:
            ElementTree.SubElement(case, "skipped", message=_xml(one.skipped))
    ElementTree.indent(root)
    xml: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return xml.decode()


def _xml(text: str) -> str:
    # XML 1.0 has no control characters, not even escaped ones.
    return readable(text)


def write_junit(path: Path, suite: str, cases: Sequence[JUnitCase]) -> None:
    """Write the XML. Raises BadInput if it cannot be written."""
    write_whole(path, junit(suite, cases) + "\n")


def summarise(title: str, cases: Sequence[JUnitCase]) -> None:
    """Add a table to the step summary, where the build server has one."""
    file = os.environ.get(SUMMARY)
    if not file:
        return
    lines = [f"### kvbarrier: {_cell(title)}", "", "| asked | result |", "|---|---|"]
    for one in cases:
        said = "<br>".join(_cell(text.partition("\n")[0]) for text in one.failures)
        lines.append(f"| {_cell(one.name)} | {said or _cell(one.skipped) or 'holds'} |")
    try:
        with open(file, "a", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n\n")
    except OSError as error:
        raise BadInput(
            f"the step summary {file} cannot be written ({error.strerror}): unset {SUMMARY}."
        ) from None


def _cell(text: str) -> str:
    return escape(readable(text)).replace("|", "\\|")


def write_badge(path: Path, label: str, said: str, good: bool | None) -> None:
    """Write a badge: an SVG, or the JSON of shields.io's endpoint. ``good`` None is undecided."""
    if path.suffix == ".json":
        colour = {True: "success", False: "critical", None: "inactive"}[good]
        document = {"schemaVersion": 1, "label": label, "message": said, "color": colour}
        write_whole(path, json.dumps(document) + "\n")
    else:
        write_whole(path, _badge(label, said, {True: GREEN, False: RED, None: GREY}[good]))


def refuse(junit: Path | None, badge: Path | None, made: Path | None = None) -> None:
    """Raise BadInput for places and names that cannot be; for callers that work for long before.

    ``made``: a folder that will be there.
    """
    summary = os.environ.get(SUMMARY)
    if summary and not os.access(
        summary if os.path.exists(summary) else Path(summary).parent, os.W_OK
    ):
        raise BadInput(f"the step summary {summary} cannot be written: unset {SUMMARY}.")
    if badge is not None and badge.suffix not in (".json", ".svg"):
        raise BadInput(f"{badge} is not a badge's name: give a name that ends in .svg or .json.")
    for path in (junit, badge):
        if path is not None:
            refuse_place(path, made)


def _badge(label: str, said: str, colour: str) -> str:
    left, right = (int(6.6 * len(text)) + 12 for text in (label, said))
    both = escape(f"{label}: {said}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{both}"><title>{both}</title>'
        f'<rect width="{left}" height="20" rx="3" fill="#444"/>'
        f'<rect x="{left - 3}" width="{right + 3}" height="20" rx="3" fill="{colour}"/>'
        f'<rect x="{left - 3}" width="3" height="20" fill="{colour}"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" '
        f'text-anchor="middle"><text x="{left // 2}" y="14" textLength="{left - 12}">'
        f'{escape(label)}</text><text x="{left + right // 2}" y="14" '
        f'textLength="{right - 12}">{escape(said)}</text></g></svg>\n'
    )
