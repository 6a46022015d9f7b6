"""``kvbarrier experiments``: run, draw, and end with the table of claims."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ..errors import BadInput, did_you_mean
from . import options
from .listing import _experiments, text
from .render import print_json, print_table, say, tell

if TYPE_CHECKING:
    from ..experiments.kit.experiment import Claim, Judgement

CLAIMS = "claims.csv"
_FEW = 4
"""Of fewer claims the evidence is shown, whatever the verdict."""


class _OrByName(click.Group):
    """A group in which the name of an experiment runs it."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A word that is not a subcommand is an experiment's name: ``run`` checks it."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            return "run", self.commands["run"], args
        return super().resolve_command(ctx, args)


@click.group(name="experiments", cls=_OrByName, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Run all experiments, draw all figures and print the table of claims.

    Without a subcommand: run all, at the quick scale. The name of an experiment runs that one.
    'engines', 'natural' and 'own-keys' need extra packages ('make engines') and are not part of
    'all'.
    """
    if ctx.invoked_subcommand is None:
        ctx.exit(ctx.invoke(run, names=("all",), claims=(), scale="quick", out=None, resume=True,
                            workers=None, cluster=None, as_json=False))  # fmt: skip


@command.command(name="list")
@options.as_json
def list_(as_json: bool) -> None:
    """List the experiments with their claims."""
    rows = _experiments()
    if as_json:
        print_json({"schema": 1, "experiments": rows})
        return
    print_table(
        "experiments", list(rows[0]), [[text(v) for v in row.values()] for row in rows], width=160
    )


@command.command()
@click.argument("names", nargs=-1)
@click.option(
    "--claim",
    "claims",
    multiple=True,
    metavar="ID",
    help="Run the experiment of this claim, and judge this claim alone; repeatable.",
)
@click.option(
    "--scale",
    type=click.Choice(["quick", "full"]),
    default="quick",
    show_default=True,
    help="Sizes: quick takes minutes, full uses the paper's sizes.",
)
@click.option(
    "--out", type=options.FOLDER, help="Folder for tables and pictures.  [default: results/SCALE]"
)
@click.option(
    "--resume/--fresh",
    "resume",
    default=True,
    show_default=True,
    help="Continue from the results in the folder, or start again.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    callback=options.workers,
    help="Number of processes.  [default: one per core]",
)
@click.option("--cluster", help="Address of a dask scheduler to submit the work to.")
@options.as_json
def run(
    names: tuple[str, ...],
    claims: tuple[str, ...],
    scale: Literal["quick", "full"],
    out: Path | None,
    resume: bool,
    workers: int | None,
    cluster: str | None,
    as_json: bool,
) -> int:
    """Run experiments by name, or all of them. Finished parts are not run again."""
    from ..experiments.kit.run import Run
    from ..experiments.registry import NAMES, get
    from ..figures.registry import draw
    from ..runs.executors import make_executor

    if not names and not claims:
        raise BadInput("NAMES is missing: name experiments, 'all', or a --claim.")
    names = (*names, *(_experiment_of(claim) for claim in claims))
    chosen = [get(name) for name in (NAMES if "all" in names else dict.fromkeys(names))]
    folder = out or Path("results") / scale
    if not resume:
        _forget(folder)
    expected = sum(experiment.minutes.get(scale, 0.0) for experiment in chosen)
    count = "1 experiment" if len(chosen) == 1 else f"{len(chosen)} experiments"
    about = "1 minute" if expected < 1.5 else f"{expected:.0f} minutes"
    say(
        f"{count} into {folder}, about {about} on two cores; if interrupted, the same command "
        "continues"
    )
    judged: list[tuple[Claim, Judgement]] = []
    with (
        make_executor(workers or os.cpu_count() or 1, "inline", cluster) as executor,
        options.progress("experiments") as tick,
    ):
        for experiment in chosen:
            say(f"{experiment.name}: {experiment.title}")
            experiment.run(Run(folder, scale, executor, tick))
            for picture in draw(experiment.name, folder):
                say(f"  {_files(picture)}")
            judged += [
                (claim, claim.check(folder))
                for claim in experiment.claims
                if not claims or claim.name in claims
            ]
    rows = [
        {"claim": claim.name, "about": claim.about, "statement": claim.sentence,
         "source": claim.source, "verdict": judgement.verdict, "evidence": judgement.evidence,
         "data": " ".join(claim.data)}
        for claim, judgement in judged
    ]  # fmt: skip
    _write_claims(folder / CLAIMS, rows)
    if as_json:
        print_json({"schema": 1, "folder": str(folder), "claims": rows})
    else:
        _print_claims(rows)
    return 1 if any(row["verdict"] == "fails" for row in rows) else 0


@command.command(name="draw")
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--tables",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("results/quick"),
    show_default=True,
    help="Folder with the tables of the experiments.",
)
@click.option(
    "--out", type=options.FOLDER, help="Folder for the pictures.  [default: beside the tables]"
)
def draw_(names: tuple[str, ...], tables: Path, out: Path | None) -> None:
    """Draw the pictures of experiments, or of 'all', from their tables; nothing is run.

    Each picture is written as PNG, SVG and PDF. The tables of the committed pictures are in
    figures/gallery.
    """
    from ..experiments.registry import NAMES, get
    from ..figures.registry import draw

    for name in NAMES if "all" in names else dict.fromkeys(names):
        for picture in draw(get(name).name, tables, out):
            say(_files(picture))


def _files(picture: Path) -> str:
    """The files of a picture, as a shell would name them."""
    return f"{picture}.{{png,svg,pdf}}"


def _print_claims(rows: list[dict[str, str]]) -> None:
    """One line a claim, and below them the evidence of those that do not hold."""
    columns = ["claim", "about", "verdict"]
    print_table("claims", columns, [[row[name] for name in columns] for row in rows])
    for row in rows:
        if row["verdict"] != "holds" or len(rows) < _FEW:
            tell(f"{row['claim']} {row['verdict']}: {row['statement']}\n  {row['evidence']}")
    held = sum(row["verdict"] == "holds" for row in rows)
    tell(f"{held} of {len(rows)} claims hold; {CLAIMS} has what was run for each.")


def _experiment_of(claim: str) -> str:
    """The experiment that has a claim. Raises BadInput for an unknown one."""
    homes = {row["claim"]: row["experiment"] for row in _experiments()}
    if claim not in homes:
        raise BadInput(f"there is no claim '{claim}'.{did_you_mean(claim, homes)}")
    return str(homes[claim])


def _forget(folder: Path) -> None:
    for path in (
        path
        for kind in ("*.csv", "*.png", "*.svg", "*.pdf", "*.parts")
        for path in folder.glob(kind)
    ):
        path.unlink()


def _write_claims(path: Path, rows: list[dict[str, str]]) -> None:
    """Renew the rows of the claims just judged; those of other experiments stay."""
    from ..files import replaced

    judged = {row["claim"]: row for row in rows}
    if path.exists():
        with path.open(newline="") as file:
            judged = {row["claim"]: row for row in csv.DictReader(file)} | judged
    ordered = [judged[row["claim"]] for row in _experiments() if row["claim"] in judged]
    with replaced(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(ordered)
