"""The program from Python: the same words as on the command line, and a report for notebooks.

    import kvbarrier

    report = kvbarrier.attack(MyCache, n=256, d=64, budget="1/4")
    report                      # a table in a notebook
    report.to_frame()           # tidy: one row a point, columns documented in COLUMNS
    report.plot("plot.png")

The class may stand in a module, in a script or in a notebook cell. What the command line says as an
error sentence is raised here as an exception with that sentence (``kvbarrier.KVBarrierError``).
"""

from __future__ import annotations

import base64
import html
import inspect
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BadInput, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from .protocols.check.findings import CheckReport
    from .runs.runner import Step

COLUMNS = {
    "compressor": "the target's name",
    "params": "its own parameters, as name=value",
    "budget": "memory asked for, a fraction of the 16-bit K and V cache; NaN: no limit",
    "n": "data tokens",
    "d": "head dimension",
    "bits_per_secret_bit": "charged bits of the message per secret bit (M/N)",
    "share_of_cache": "charged bits per bit of the 16-bit K and V cache",
    "bit_error": "wrong bits per bit asked",
    "low": "lower end of the anytime-valid interval of bit_error, over messages",
    "high": "its upper end",
    "level": "its confidence level",
    "error_floor": "the least error that Fano's bound allows at this memory",
    "guarantee": "the theorem's verdict: broken, not-broken or undecided",
    "memory": "the ledger's verdict: impossible or not-excluded",
    "messages": "independent messages played",
    "failed": "messages that failed: all their bits count as guessed",
    "over_budget": "whether a message was larger than its budget",
    "declared": "the declaration's verdict: as-declared, not-as-declared, undecided; else None",
}
"""The columns of :meth:`AttackReport.to_frame`, with units."""

_SHOWN = ("compressor", "budget", "share_of_cache", "bit_error", "low", "high", "guarantee")


@dataclass(frozen=True)
class AttackReport:
    """What an attack found. ``points`` are plain dicts, in the form of ``attack --json``.

    ``document`` is the whole JSON document; of loaded results it holds the points alone.
    """

    target: str
    points: tuple[Mapping[str, Any], ...]
    document: Mapping[str, Any] = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """One row a point; :data:`COLUMNS` says what each column is."""
        import pandas as pd

        return pd.DataFrame([_row(point) for point in self.points], columns=list(COLUMNS))

    def plot(self, path: str | Path | None = None, title: str | None = None) -> Picture:
        """Draw error against memory; with a ``path``, also into that PNG, SVG or PDF file.

        Raises BadInput for a path of another kind.
        """
        from .figures import error_vs_memory
        from .figures.style import refuse_other_picture
        from .runs.points import curve_label

        labelled = [{**point, "series": curve_label(dict(point))} for point in self.points]
        if path is not None:
            refuse_other_picture(Path(path), "plot")
            error_vs_memory.draw(labelled, Path(path), title=title)
        with tempfile.TemporaryDirectory() as folder:
            shown = Path(folder) / "plot.png"
            error_vs_memory.draw(labelled, shown, title=title)
            return Picture(shown.read_bytes())

    def __repr__(self) -> str:
        said: dict[str, int] = {}
        for point in self.points:
            verdict = str(point["guarantee"]["verdict"])
            said[verdict] = said.get(verdict, 0) + 1
        parts = ", ".join(f"{count} {verdict}" for verdict, count in said.items())
        count = len(self.points)
        return f"<attack on {self.target}: {count} point{'s' * (count != 1)}; {parts}>"

    def _repr_html_(self) -> str:
        frame = self.to_frame()[list(_SHOWN)]
        return f"<p>{html.escape(repr(self))}</p>{frame.to_html(index=False, float_format='%.4g')}"


@dataclass(frozen=True)
class Picture:
    """A PNG that a notebook shows; ``png`` has its bytes."""

    png: bytes = field(repr=False)

    def _repr_png_(self) -> str:
        return base64.b64encode(self.png).decode()


def attack(
    target: Any,
    *,
    n: int | None = None,
    d: int = 64,
    budget: Any = None,
    params: Mapping[str, Any] | None = None,
    expect: Any = None,
    messages: int | None = None,
    isolation: str | None = None,
    resume: str | Path | None = None,
    workers: int | None = None,
    progress: Callable[[Step], None] | None = None,
    **game: Any,
) -> AttackReport:
    """Attack a compressor; the words and defaults are those of ``kvbarrier attack``.

    Args:
        target: a class, a function ``compress``, the path of a file, or a catalog name; or several
            of these, which meet the same secrets.
        n, d: data tokens (default 512) and head dimension.
        budget: fractions of the 16-bit cache: a number, "1/4", "free", or several of these.
        params: the compressor's own parameters.
        expect: what should hold, ``{"keeps": "last:256", "bits": 3}`` or the words of the command
            line; None: what the target declares of itself.
        messages: how many to play; None plays until the verdict is decided, at most 256.
        isolation: "inline", "process" or "namespaces"; None takes the best there is.
        resume: a results file to go on from, and to write to.
        workers: batches to play in parallel.
        progress: called with a ``Step`` (``done``, ``most``) after each batch.
        game: further words of the game: ``keys``, ``reduction``, ``eta``, ``gamma``, ``layers``,
            ``heads``, ``queries``, ``basis``, ``bob``, ... as in ``kvbarrier attack --help``.

    Raises:
        BadInput, BudgetTooSmall, PluginFailure: with the sentence of the command line.

    >>> report = attack("zero", n=32, d=16, keys="hypercube", budget="1/4", messages=4)
    >>> report
    <attack on zero: 1 point; 1 broken>
    >>> report.to_frame()[["bits_per_secret_bit", "guarantee"]].values.tolist()
    [[0.0, 'broken']]
    >>> attack(["zero", "exact"], n=32, d=16, keys="hypercube", budget="free", messages=4)
    <attack on zero, exact: 2 points; 1 broken, 1 undecided>
    """
    from .cli import options
    from .cli.typed import typed, whole
    from .compressors.plugin.by_value import target_of
    from .compressors.plugin.declaration import Declaration
    from .runs.attack import Attack
    from .runs.results import Results, ResultsFile
    from .runs.several import play_several

    words = options.defaults()
    for name in game:
        if name not in words:
            known = {*words, *inspect.signature(attack).parameters} - {"game"}
            raise BadInput(f"attack has no argument '{name}'.{did_you_mean(name, known)}")
    first, *others = options.instances(words | typed({"n": n, "d": d, **game}))
    if params is not None and not isinstance(params, Mapping):
        raise BadInput(f"params must be a mapping of names, not {params!r}.")
    targets = target if isinstance(target, list | tuple) else [target]
    if not targets:
        raise BadInput("target names nothing: give a class, a file or a name, or several of these.")
    first_plan = Attack(
        target_of(targets[0]),
        first,
        others=others,
        budgets=None if budget is None else options.budgets(_texts(budget)),
        params=dict(params or {}),
        declaration=Declaration.of(expect),
        messages=None if messages is None else whole("messages", messages),
        isolation=isolation,
    )
    plans = [first_plan, *(replace(first_plan, target=target_of(one)) for one in targets[1:])]
    keep = nullcontext(Results()) if resume is None else ResultsFile(Path(resume))
    with keep as store:
        report = play_several(
            plans, store=store, progress=progress,
            workers=None if workers is None else whole("workers", workers),
        )  # fmt: skip
    names = dict.fromkeys(str(point["compressor"]) for point in report.points)
    return AttackReport(", ".join(names), report.points, report.as_dict())


def _texts(budget: Any) -> tuple[str, ...]:
    several = isinstance(budget, Iterable) and not isinstance(budget, str)
    texts = tuple(str(one) for one in (budget if several else (budget,)))
    if not texts:
        raise BadInput("budget names nothing: give a number, '1/4' or 'free', or several of these.")
    return texts


def check(
    target: Any,
    *,
    expect: Any = None,
    params: Mapping[str, Any] | None = None,
    seconds: float = 120.0,
) -> CheckReport:
    """Check a cache, as ``kvbarrier check`` does: does it hold what it says?

    Args:
        target: a class, a function ``compress``, the path of a file, or a catalog name.
        expect: what it declares, as for :func:`attack`; None: its own words.
        params: its own parameters.
        seconds: the time limit of the whole check.

    Returns:
        The report: ``findings``, ``errors``, ``ok``, ``holds``, ``text()``, ``as_dict()``; print
        shows what the command line does.

    Raises:
        BadInput: there is no such target, parameter or declaration.
    """
    from .compressors.plugin.by_value import target_of
    from .compressors.plugin.declaration import Declaration
    from .protocols.check.ladder import check as climb

    declared = Declaration.of(expect)
    words = () if declared is None else declared.words()
    return climb(target_of(target), params=params, expect=words, seconds=seconds)


def load(*results: str | Path) -> AttackReport:
    """Read results files (``attack --resume`` or ``--out``), merged, as a report.

    Raises:
        BadInput: a file is not there, is torn or foreign, or holds no complete first batch.
    """
    from .runs.points import points_of
    from .runs.results import read_results
    from .runs.rows import union

    files = [Path(file) for file in results]
    points = tuple(points_of(union(*[read_results(file) for file in files])))
    if not points:
        said = ", ".join(map(str, files)) or "no file"
        raise BadInput(f"no complete batch 0 is in {said}: run kvbarrier attack first.")
    names = dict.fromkeys(str(point["compressor"]) for point in points)
    return AttackReport(", ".join(names), points, {"schema": 1, "points": list(points)})


def _row(point: Mapping[str, Any]) -> dict[str, Any]:
    error, ratio = point["bit_error"], point["compression_ratio"]
    budget = point["budget"]
    return {
        "compressor": point["compressor"],
        "params": ", ".join(f"{k}={v}" for k, v in point["params"].items()),
        "budget": float("nan") if budget is None else float(Fraction(budget)),
        "n": point["n"],
        "d": point["d"],
        "bits_per_secret_bit": point["bits_per_secret_bit"],
        "share_of_cache": 0.0 if ratio is None else 1 / ratio,
        "bit_error": error["estimate"],
        "low": error["low"],
        "high": error["high"],
        "level": error["level"],
        "error_floor": point["error_floor"],
        "guarantee": point["guarantee"]["verdict"],
        "memory": point["ledger"]["verdict"],
        "messages": point["messages"],
        "failed": point["failed"],
        "over_budget": point["over_budget"],
        "declared": None if point["declared"] is None else point["declared"]["verdict"],
    }
