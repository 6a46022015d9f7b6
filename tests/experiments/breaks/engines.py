"""How each claim about other people's caches is broken in the committed table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from kvbarrier.experiments.engines.measure import TABLE

Change = Callable[[pd.DataFrame], None]


def _changed(change: Change) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        table = pd.read_csv(folder / TABLE)
        change(table)
        table.to_csv(folder / TABLE, index=False)

    return apply


def _presses_fail(table: pd.DataFrame) -> None:
    presses = table["target"].str.startswith("kvpress:")
    table["failed"] = table["failed"].astype(object).mask(presses, "Alice: raised something.")


def _shorter_than_the_secret(table: pd.DataFrame) -> None:
    table.loc[table["failed"].isna().idxmax(), "rate"] = 0.99


def _one_wrong(table: pd.DataFrame) -> None:
    table.loc[table["target"] == "hf:dynamic", "wrong"] = 1


def _a_better_ranking(table: pd.DataFrame) -> None:
    table.loc[table["keeps"].notna(), "bit_error"] -= 0.02


def _freed(table: pd.DataFrame) -> None:
    table.loc[table["bob"] == "asks", "wire"] = 0.3


def _rotation_is_free(table: pd.DataFrame) -> None:
    table.loc[table["target"] == "hf:quantized", "bit_error"] = 0.0


def _smaller(table: pd.DataFrame) -> None:
    table.loc[table["target"] == "llamacpp:q8_0", "rate"] = 16.5


def _a_tail_that_nobody_names(table: pd.DataFrame) -> None:
    table.loc[table["feed"] == "stream", "wire"] += 0.5


BREAKS = {
    "engines.played": _changed(_presses_fail),
    "engines.blind": _changed(_shorter_than_the_secret),
    "engines.full": _changed(_one_wrong),
    "engines.evictions": _changed(_a_better_ranking),
    "engines.masks": _changed(_freed),
    "engines.bytes": _changed(_a_tail_that_nobody_names),
    "engines.basis": _changed(_rotation_is_free),
    "engines.llamacpp": _changed(_smaller),
}
