"""One phase of a check, in a process of its own that ends with all it started."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from ...compressors.plugin.blame import is_ours
from ..players.isolation import environment
from ..players.reaper import GRACE
from .heard import Phase

_TAIL = 2000
_KEPT_OF_ERRORS = 1 << 14
_MOST_SAID = 1 << 29
_FRAME = re.compile(r'File "([^"]+)", line (\d+) in (\S+)')


def run(order: dict[str, Any], seconds: float) -> Phase:
    """Have :mod:`.child` do what ``order`` says within ``seconds``; a crash or a hang is a finding.

    Raises what :meth:`.heard.Phase.hear` raises.
    """
    private = tempfile.mkdtemp(prefix="kvbarrier-check-")
    for name in ("home", "tmp"):
        os.mkdir(f"{private}/{name}")
    try:
        return _listen({**order, "seconds": seconds}, private)
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _listen(order: dict[str, Any], private: str) -> Phase:
    phase, seconds = Phase(), order["seconds"]
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-P", "-m", f"{__package__}.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(private),
        start_new_session=True,
    ) as process:
        said, words = bytearray(), bytearray()
        readers = [
            threading.Thread(target=_drain, args=(process.stdout, said, _MOST_SAID, False)),
            threading.Thread(target=_drain, args=(process.stderr, words, _KEPT_OF_ERRORS, True)),
        ]
        for reader in readers:
            reader.daemon = True
            reader.start()
        try:
            with suppress(BrokenPipeError):
                assert process.stdin is not None
                process.stdin.write(json.dumps(order).encode())
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds + GRACE)
        finally:
            end(process)
        late = time.monotonic() - began >= seconds
        for reader in readers:
            reader.join(1.0)  # what still holds its end of the pipe is none of ours
    err = bytes(words)
    for line in bytes(said).splitlines():
        phase.hear(line)
    if ending := _ending(phase, process.returncode, late, seconds, err):
        phase.codes.append(ending)
    return phase


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that oversees another (``reaper.overseen``), and let it end the rest before."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ending(
    phase: Phase, code: int, late: bool, seconds: float, err: bytes
) -> tuple[str, str] | None:
    """The finding that the end of a process is, if it is one."""
    step = f"in the step '{phase.doing}'"
    if phase.wrong:
        return "crashes", f"{step} {phase.wrong}."
    if late and not phase.done:
        return "hangs", f"{step} it is not done after {seconds:g} s{_where(err)}."
    if code != 0:
        return "crashes", _last_words(step, code, err)
    return None if phase.done else ("crashes", f"{step} its process ended by itself.")


def _drain(pipe: IO[bytes], kept: bytearray, most: int, last: bool) -> None:
    """Read a pipe to its end; of what is too much keep the ``last`` part, or the first."""
    with suppress(ValueError, OSError):  # closed meanwhile
        while data := os.read(pipe.fileno(), 1 << 16):
            if last:
                kept += data
                del kept[:-most]
            elif len(kept) < most:
                kept += data


def _last_words(step: str, code: int, err: bytes) -> str:
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    lines = err.decode(errors="replace").strip().splitlines()
    frames = ((line, _FRAME.search(line)) for line in lines)
    tail = "\n".join(line for line, frame in frames if not (frame and is_ours(frame[1])))[-_TAIL:]
    return f"{step} its process {how}{_where(err)}." + (f"\n{tail}" if tail else "")


def _where(err: bytes) -> str:
    """The plug-in's line that faulthandler wrote down, in parentheses, or nothing."""
    for file, line, name in _FRAME.findall(err.decode(errors="replace")):
        if not is_ours(file):
            return f" ({Path(file).name}, line {line}, in {name})"
    return ""
