"""A run for test_kill to kill: ``python killed_run.py RESULTS GAME``; a line on stdout a batch.

GAME is ``fake`` (conftest's, serial), ``process`` or ``inline`` (the real one, two workers).
"""

from __future__ import annotations

import sys
from importlib import util
from pathlib import Path

from kvbarrier.runs.executors import make_executor
from kvbarrier.runs.results import ResultsFile
from kvbarrier.runs.runner import Facts, run_cells
from kvbarrier.runs.stopping import FixedMessages

spec = util.spec_from_file_location("helpers", Path(__file__).with_name("conftest.py"))
assert spec is not None
assert spec.loader is not None
helpers = util.module_from_spec(spec)
spec.loader.exec_module(helpers)


def main(path: str, game: str) -> None:
    fake = game == "fake"
    cells = [helpers.make_cell(name, budget=None) for name in ("lossless", "zero")]
    with make_executor(1 if fake else 2, "inline" if fake else game) as executor, \
            ResultsFile(path) as store:  # fmt: skip
        print("open", flush=True)
        run_cells(
            cells, store, stopping=FixedMessages(80 if fake else 8), executor=executor,
            isolation="inline" if fake else game,
            play=helpers.fake_play if fake else None,
            facts=(lambda cell: Facts(helpers.SOURCE, True)) if fake else None,
            progress=lambda step: print(step.done, flush=True),
        )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
