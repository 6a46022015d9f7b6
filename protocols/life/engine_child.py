"""The process in which an engine lives through schedules: ``python -m ...life.engine_child``.

Standard input holds one JSON document, what to try; every line on the real standard output is one
JSON document, a trial; what the engine prints goes to standard error. Ends with its parent.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from typing import Any

from ...errors import BadInput, KVBarrierError
from ..players import reaper


def main() -> int:
    """Try what was asked for, in a fork whose daemons end with it."""
    request = json.load(sys.stdin)
    return reaper.overseen(lambda: _try(request), request["limit"])


def _try(request: dict[str, Any]) -> int:
    faulthandler.enable()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**words: Any) -> None:
        out.write(json.dumps(words) + "\n")
        out.flush()

    from .engines import trials, versions

    try:
        say(versions=versions(request["target"], request["params"]))
        for trial in trials(request["target"], request["params"], request["seconds"]):
            say(trial=trial.as_dict())
    except BadInput as error:
        say(bad_input=str(error))
    except KVBarrierError as error:
        say(failed=str(error))
    say(done=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
