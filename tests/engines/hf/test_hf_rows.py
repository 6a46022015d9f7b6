"""The declared rows of the transformers engine, which any interpreter can read."""

from kvbarrier.compressors.engines.hf.rows import OUT_OF_REACH, ROWS
from kvbarrier.compressors.engines.schemes import scheme_of


def test_the_rows_are_settings_of_this_engine():
    settings = {(row.target, *sorted(row.params.items())) for row in ROWS}
    assert len(settings) == len(ROWS) >= 8
    assert {scheme_of(row.target).name for row in ROWS} == {"hf"}
    # At least half are other people's than transformers' own.
    assert sum(row.distribution != "transformers" for row in ROWS) >= len(ROWS) / 2


def test_what_is_promised_is_a_share_of_the_cache():
    promised = [row.declared for row in ROWS if row.declared is not None]
    assert promised
    assert all(0 < share <= 1 for share in promised)
    assert all(len(row.note) < 100 for row in ROWS)


def test_every_target_out_of_reach_has_a_reason():
    assert OUT_OF_REACH
    assert all(len(reason) > 20 for reason in OUT_OF_REACH.values())
    assert not {row.target for row in ROWS} & OUT_OF_REACH.keys()
