"""The process in which a check runs somebody's code: ``python -m kvbarrier.protocols.check.child``.

Standard input holds one JSON document, what to do; every line on the real standard output is one
JSON document, what happened; what the plug-in prints goes to standard error. Ends with its parent.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...errors import BadInput, HarnessFault, PluginFailure
from ..players import reaper

Say = Callable[..., None]

CUT = 17
"""Where the stream is cut whose rest another process plays."""


def main() -> int:
    """Serve one phase of a check, in a fork whose daemons end with it."""
    request = json.load(sys.stdin)
    return reaper.overseen(lambda: _phase(request), request["seconds"])


def _phase(request: dict[str, Any]) -> int:
    faulthandler.enable()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**words: Any) -> None:
        out.write(json.dumps(words, default=_plain) + "\n")
        out.flush()

    from ...compressors.plugin.blame import is_our_fault, our_fault

    try:
        _serve(request, say)
    except HarnessFault as fault:
        say(ours=str(fault))
    except Exception as error:
        if not is_our_fault(error):
            raise
        say(ours=str(our_fault(error, "checking it")))
    return 0


def _plain(value: Any) -> Any:
    return value.item()


def _serve(request: dict[str, Any], say: Say) -> None:
    from ...compressors.plugin.blame import is_our_fault
    from ...compressors.targets import resolve
    from .probes import told
    from .subject import Subject, facts

    try:
        target = resolve(request["target"], request["params"])
    except PluginFailure as failure:
        say(code="not-loaded", detail=told(failure))
        say(done=True)
        return
    except BadInput as error:
        say(bad_input=str(error))
        return
    say(facts=dict(facts(target)))
    os.chdir(os.environ["HOME"])
    limit_memory(request["memory_bytes"])
    try:
        _PHASES[request["phase"]](Subject(target), request, say)
    except HarnessFault:
        raise
    except BaseException as error:
        if is_our_fault(error):
            raise
        say(code="raises", detail=told(error))
    say(done=True)


def limit_memory(memory_bytes: int) -> None:
    """Allow that much address space beyond what the imports took (Linux)."""
    import resource

    try:
        with open("/proc/self/statm") as statm:
            taken = int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (taken + memory_bytes,) * 2)


def _conform(subject: Any, request: dict[str, Any], say: Say) -> None:
    from . import probes as check_probes
    from .examination import climb

    if any(_probe(probe, subject, say) for probe in check_probes.GATES):
        return
    found: set[str] = set()

    def noted(**words: Any) -> None:
        found.update({words["code"]} if "code" in words else ())
        say(**words)

    for probe in check_probes.REST:
        _probe(probe, subject, noted)
    say(probe="the last run")
    _keep_for_elsewhere(subject, say)
    if not (found & BLOCKING or subject.target.knows_keys):
        climb(subject, say, request["ladder_seconds"], _words(request), request.get("only", ()))


BLOCKING = {"raises", "wrong-output", "not-finite", "scaled-scores", "not-plain", "bad-message"}
"""After these the laws would only repeat them."""


def _words(request: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The words of a declaration that come before the target's own, and those that come after."""
    return request["expect"], request["otherwise"]


def _again(subject: Any, request: dict[str, Any], say: Say) -> None:
    """The rungs that found something, in a fresh process; where chance may play, with other
    coins."""
    from .examination import climb, rung
    from .subject import SEED

    for name in request["rungs"]:
        coins = SEED if rung(name).exact else SEED + 1
        climb(
            replace(subject, seed=coins), say, request["ladder_seconds"], _words(request), (name,)
        )


def _keep_for_elsewhere(subject: Any, say: Say) -> None:
    from .probes import looped, saved

    one = subject.played(1)
    cut = None
    if one.streaming:
        cut = saved(subject.begun(CUT)).hex()
    outputs = looped(subject, one)
    message = saved(one).hex()
    # Whatever outlives an instance outside its message now belongs to another stream.
    subject.played(2).save()
    say(message=message, cut=cut, outputs=outputs.tolist())


def _probe(probe: Any, subject: Any, say: Say) -> int:
    from ...compressors.plugin.answers import WrongAnswer
    from .probes import code_of, told

    say(probe=(probe.__doc__ or probe.__name__).splitlines()[0].rstrip("."))
    found = 0
    try:
        for code, detail in probe(subject):
            say(code=code, detail=detail)
            found += 1
    except WrongAnswer as wrong:
        say(code=code_of(wrong), detail=str(wrong))
        found += 1
    except BaseException as error:
        plain = isinstance(error, PluginFailure) and "not plain data" in str(error)
        say(code="not-plain" if plain else "raises", detail=told(error))
        found += 1
    return found


def _elsewhere(subject: Any, request: dict[str, Any], say: Say) -> None:
    """Restore, ask, and only then see a stream: in this process nothing is left of the other."""
    from .probes import looped, saved, told

    for name in ("message", "cut"):
        if request[name] is None:
            continue
        say(probe=f"restoring a message in a fresh process ({name})")
        try:
            twin = subject.build()
            twin.restore(bytes.fromhex(request[name]))
            if name == "cut":
                subject.go_on(twin, CUT)
            outputs = looped(subject, twin)
            say(answered=name, outputs=outputs.tolist())
        except BaseException as error:
            say(code="state-elsewhere", detail=f"in a fresh process {told(error)}")
            return
    say(probe="the same stream in a fresh process")
    say(again=saved(subject.played(1)).hex())


def _once(subject: Any, request: dict[str, Any], say: Say) -> None:
    """One stream, the first thing that this process ever sees."""
    from .probes import looped, saved

    say(probe="the first stream of a fresh process")
    one = subject.played(1)
    say(again=f"{saved(one).hex()} {looped(subject, one).tolist()}")


def _explain(subject: Any, request: dict[str, Any], say: Say) -> None:
    """The message of one stream, attribute by attribute."""
    from dataclasses import asdict

    from .explain import explain

    say(probe="a stream whose message is explained")
    say(explained=asdict(explain(subject)))


_PHASES = {
    "conform": _conform,
    "elsewhere": _elsewhere,
    "once": _once,
    "again": _again,
    "explain": _explain,
}


if __name__ == "__main__":
    sys.exit(main())
