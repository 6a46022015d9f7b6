"""What the tables of ``natural`` decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..kit.experiment import Judgement, claim, judge
from .measure import GEOMETRY, HARD, LOSS, RANGES

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95
#: nats a token by which attention through a full cache may differ from the model's own
SAME = 1e-3
#: the pair that changes places; the first has less memory
KEEPS_FEW, KEEPS_ALL = "snapkv 1/8", "quantized bits=2"
#: at more memory hardly anything is lost on either side
SMALL = 0.3
_FULL_CACHE = "exact dtype=fp32"


def interval(values: pd.Series, level: float = LEVEL) -> tuple[float, float, float]:
    """Low end, mean and high end of Student's interval for the mean; infinite for one value.

    >>> import pandas as pd
    >>> low, middle, high = interval(pd.Series([1.0, 2.0, 3.0]))
    >>> round(low, 3), middle, round(high, 3)
    (-0.484, 2.0, 4.484)
    """
    from scipy.stats import t

    middle = float(values.mean())
    if len(values) < 2:
        return -np.inf, middle, np.inf
    reach = float(t.ppf((1 + level) / 2, len(values) - 1) * values.std() / np.sqrt(len(values)))
    return middle - reach, middle, middle + reach


def by_setting(losses: pd.DataFrame, column: str) -> pd.DataFrame:
    """Over texts, by setting: ``low``, ``mean`` and ``high`` of a column, and ``share``."""
    import pandas as pd

    rows = {}
    for name, group in losses.groupby("setting", sort=False):
        low, middle, high = interval(group[column])
        rows[name] = {
            "compressor": group["compressor"].iloc[0], "family": group["family"].iloc[0],
            "share": group["share"].mean(), "texts": len(group),
            "low": low, "mean": middle, "high": high,
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index")


def _bit_errors(hard: pd.DataFrame, basis: str = "literal") -> pd.Series:
    """Bit error on the hard instance, by setting."""
    errors: pd.Series = hard[hard["basis"] == basis].set_index("setting")["bit_error"]
    return errors


@claim("natural.same", "observation", "ours", LOSS)
def same(losses: pd.DataFrame) -> Judgement:
    """A full cache behind the contract, in every layer and head, leaves the model's losses as they
    are.
    """
    full = losses[losses["setting"] == _FULL_CACHE]
    far = float(full["increase"].abs().max())
    wrong = float(full["attention_error"].max())
    return judge(
        far < SAME and wrong < SAME,
        f"{len(full)} texts; largest difference in mean loss {far:.1e} nats a token, largest "
        f"relative error of attention outputs {wrong:.1e}",
    )


@claim("natural.inversion", "observation", "ours", LOSS, HARD, preregistered=False)
def inversion(losses: pd.DataFrame, hard: pd.DataFrame) -> Judgement:
    """A few tokens that the prompt's last queries chose lose most bits of the hard instance and
    little of natural text; all tokens at 2 bits a number, the reverse.
    """
    wide = losses.pivot_table(index=["kind", "text"], columns="setting", values="increase")
    low, middle, high = interval(wide[KEEPS_ALL] - wide[KEEPS_FEW])
    shares = by_setting(losses, "increase")["share"]
    said = []
    hard_ahead = True
    for basis in ("literal", "rotated"):
        errors = _bit_errors(hard, basis)
        hard_ahead &= bool(errors[KEEPS_ALL] < errors[KEEPS_FEW] / 2)
        said.append(f"{errors[KEEPS_ALL]:.3f} against {errors[KEEPS_FEW]:.3f} ({basis})")
    return judge(
        hard_ahead and low > 0,
        f"{KEEPS_ALL} ({shares[KEEPS_ALL]:.3f} of the cache) and {KEEPS_FEW} "
        f"({shares[KEEPS_FEW]:.3f}): bit errors {', '.join(said)}; on {len(wide)} texts the "
        f"former costs {middle:.2f} nats a token more [{low:.2f}, {high:.2f}]",
        decided=not low < 0 < high,
    )


@claim("natural.kinds", "observation", "ours", LOSS, preregistered=False)
def kinds(losses: pd.DataFrame) -> Judgement:
    """The two change places on prose, code, tables and text in many languages alike."""
    wide = losses.pivot_table(index=["kind", "text"], columns="setting", values="increase")
    more = wide[KEEPS_ALL] - wide[KEEPS_FEW]
    means = more.groupby("kind").mean()
    worst = float(more.min())
    said = ", ".join(f"{kind} {mean:.2f}" for kind, mean in means.items())
    return judge(
        bool((means > 0).all()) and len(means) >= 4,
        f"mean of what {KEEPS_ALL} costs over {KEEPS_FEW}, nats a token: {said}; the least of all "
        f"texts is {worst:.2f}",
    )


@claim("natural.proxy", "observation", "ours", LOSS, HARD, preregistered=False)
def proxy(losses: pd.DataFrame, hard: pd.DataFrame) -> Judgement:
    """At little memory the order by next-token loss is that of attention errors on natural streams,
    and not that of bit errors on the hard instance.
    """
    from scipy.stats import spearmanr

    small = losses[losses["share"] < SMALL]
    increase = by_setting(small, "increase")["mean"]
    attention = by_setting(small, "attention_error")["mean"]
    errors = _bit_errors(hard).reindex(increase.index)
    by_attention = float(spearmanr(attention, increase).statistic)
    by_bits = float(spearmanr(errors, increase).statistic)
    return judge(
        by_attention > 0.7 and by_bits < 0.5,
        f"{len(increase)} settings below {SMALL:g} of the cache; rank correlation with the "
        f"increase of loss: {by_attention:.2f} for attention errors, {by_bits:.2f} for bit errors",
    )


def _layers(geometry: pd.DataFrame) -> pd.DataFrame:
    """The means over texts, by layer, less the first, which looks at single tokens."""
    natural = geometry[(geometry["kind"] != "hard") & (geometry["layer"] > 0)]
    means: pd.DataFrame = natural.drop(columns=["kind", "text"]).groupby("layer").mean()
    return means


@claim("natural.range", "observation", "ours", GEOMETRY, RANGES, preregistered=False)
def logit_range(geometry: pd.DataFrame, ranges: pd.DataFrame) -> Judgement:
    """The logit range that certifies 4096 tokens is one that some query of natural text reaches in
    every layer but the first, and above the median query's in most.
    """
    layers = _layers(geometry)
    certified = ranges.set_index("n")["logit_range"]
    needed = float(certified.loc[4096])
    middle, most = layers["range_50"], layers["range_max"]
    above = int((middle > needed).sum())
    return judge(
        bool((most > needed).all()) and above < len(layers) / 2,
        f"{needed:.2f} nats certify 4096 tokens, {certified.loc[512]:.2f} certify 512; by layer "
        f"the largest range of a query is {most.min():.1f} to {most.max():.1f} nats and the median "
        f"query's {middle.min():.1f} to {middle.max():.1f}, above the former in {above} of "
        f"{len(layers)} layers",
    )


@claim("natural.keys", "observation", "ours", GEOMETRY, preregistered=False)
def keys(geometry: pd.DataFrame) -> Judgement:
    """Real keys fill fewer dimensions than certified ones, and yet queries as long as the model's
    own can read most tokens one by one.
    """
    layers = _layers(geometry)
    hard = geometry[geometry["kind"] == "hard"].iloc[0]
    dimension, read = layers["dimension"], layers["addressed"]
    return judge(
        bool(dimension.max() < hard["dimension"] / 1.5 and read.mean() > 0.8),
        f"effective dimension {dimension.min():.0f} to {dimension.max():.0f} by layer, "
        f"{hard['dimension']:.0f} on the hard instance; mean |cos| of centred keys "
        f"{layers['cosine_centred'].mean():.2f} and {hard['cosine_centred']:.2f}; tokens that a "
        f"query along their key can read {read.mean():.0%} and {hard['addressed']:.0%}",
    )
