"""``kvbarrier attack TARGET --reduction indistinguishability``: the game of Theorem 19."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import refuse_folder, write_whole
from . import options
from .render import print_json, print_table, prints_to_stderr, say, tell

if TYPE_CHECKING:
    from ..protocols.players.isolation import Limits
    from ..runs.query_attack import QueryReport


def attack_queries(
    target: str,
    *,
    n: int,
    d: int,
    eta: float,
    params: Mapping[str, Any],
    sweep: Mapping[str, Sequence[Any]],
    messages: int | None,
    isolation: str | None,
    limits: Limits,
    out: Path | None,
    as_json: bool,
) -> int:
    """Play the game, print what it means, return the exit code.

    ``messages`` are trials; ``isolation`` None is the default one; ``out`` is a folder for
    trials.csv and verdict.json. Exit code 4 if a point is impossible, 3 if trials failed, else 0.

    Raises:
        BadInput, PluginFailure: among them an answer that read outside its plan (exit code 3).
    """
    from ..protocols.game.query_game import QueryInstance
    from ..runs import query_attack

    if out is not None:
        refuse_folder(out)
    plan = query_attack.QueryAttack(
        target,
        QueryInstance(n, d, eta),
        params=params,
        sweep=sweep,
        trials=query_attack.TRIALS if messages is None else messages,
        isolation=isolation,
        limits=limits,
    )
    with options.progress("attack") as tick, prints_to_stderr():
        report = query_attack.play_attack(plan, lambda done, total: tick(target, done, total))
    document = report.as_dict()
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        query_attack.write_trials(out / "trials.csv", report)
        text = json.dumps(document, indent=2, allow_nan=False)
        write_whole(out / "verdict.json", text + "\n")
        say(f"wrote {out / 'trials.csv'} and verdict.json")
    if as_json:
        print_json(document)
    else:
        _print(report, document["points"])
    return _exit_code(report, document["points"])


def _print(report: QueryReport, points: list[dict[str, Any]]) -> None:
    instance = report.attack.instance
    adaptive = ", adaptive" if points[0]["adaptive"] else ""
    columns = [
        "parameters", "f", "error", "95 % interval", "line", "D_0", "rarest D_i", "minimax",
        "ledger", "guarantee", "trials",
    ]  # fmt: skip
    print_table(
        f"{points[0]['algorithm']}{adaptive}: D_0 against D_i, n = {instance.n}, d = {instance.d}, "
        f"eta = {instance.eta:g}, {report.isolation}",
        columns,
        [_row(point) for point in points],
        caption="f: share of the n-1 hideable tokens that "
        + ("it reads on D_0. " if adaptive else "the committed plan reads. ")
        + "line: "
        "(1-f)/2, the least error when D_0 has probability 1/2. minimax: (1-f)/(2-f), "
        "the least error on the worst of D_0 and all D_i. rarest D_i: the error on "
        "the token (with its number) that the fewest plans read. guarantee: error at "
        "most 1/10 on each of these.",
        width=140,
    )
    for sentence in [text for played in report.played for text in played.failed][:5]:
        tell(f"failed: {sentence}")
    if any(point["guarantee"] == "not-broken" for point in points):
        tell("not-broken means: on this family of streams, which hides one token.")
    left = [p["line"] for p in points if p["line"]["verdict"] == "not-excluded"]
    unseen = [line for line in left if line["could_catch"]["error"] is None]
    if unseen:
        tell(
            f"not-excluded: at {len(unseen)} of {len(points)} points the trials are too few to "
            "catch a cheat, even one without errors."
        )
    if any(point["line"]["verdict"] == "impossible" for point in points):
        tell(
            "impossible: no reader of these few tokens has such a small error: there is a "
            "hidden channel, or a bug in kvbarrier."
        )


def _row(point: dict[str, Any]) -> list[str]:
    error, rarest = point["error"], point["error_rarest"]
    plain = point["error_plain"]["estimate"]
    return [
        ", ".join(f"{name}={value}" for name, value in point["params"].items()) or "-",
        f"{point['f']:.4f}",
        f"{error['estimate']:.4f}",
        f"{error['low']:.3f} to {error['high']:.3f}",
        f"{point['line']['prior']:.4f}",
        "-" if plain is None else f"{plain:.4f}",
        f"{rarest['estimate']:.4f} ({rarest['place']})",
        f"{point['line']['worst_case']:.4f}",
        point["line"]["verdict"],
        point["guarantee"],
        str(point["trials"]) + (f", {point['failed']} failed" if point["failed"] else ""),
    ]


def _exit_code(report: QueryReport, points: list[dict[str, Any]]) -> int:
    if any(point["line"]["verdict"] == "impossible" for point in points):
        return 4
    return 3 if any(played.failed for played in report.played) else 0
