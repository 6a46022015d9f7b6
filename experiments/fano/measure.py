"""Fano's bound against the best protocols there are: exact optima, and every secret of 12 bits.

1. The least mean bit error of any protocol for N <= 4 secret bits and L messages, L = 1 .. 2^N,
   computed in three ways that share no code (``reductions.protocol_optimum``), beside Fano's curve.
2. Every inequality of the bound's proof, for an optimal protocol of each (N, L) and for every
   protocol of N <= 3 bits.
3. Seven encoders of N = 12 bits into m = 0 .. 12, tried on all 4096 secrets: how many come back
   with at most k errors, beside the no-hypercompression bound 2^m V(12, k).

Nothing here is a sample: all numbers are counts over all secrets, so there is no interval.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..kit.experiment import Claim, Experiment, Judgement, Run, judge
from ..kit.tables import Tables, fill, read_table

OPTIMUM = "fano-optimum.csv"
CHAIN = "fano-chain.csv"
CHAIN_ALL = "fano-chain-all.csv"
HYPER = "fano-hypercompression.csv"
#: float64 entropies of exact fractions: a few 2^-53 of at most 4 bits each
ROUNDING = 1e-12
BITS = (1, 2, 3, 4)
N = 12
TRIES = {"quick": 8, "full": 200}


def run(job: Run) -> None:
    """Fill the four tables; one that is already there is left alone."""
    from ...reductions.codebooks import ENCODERS

    tries = TRIES[job.scale]
    tables: Tables = {
        OPTIMUM: [(optimum, (bits,)) for bits in BITS],
        CHAIN: [(optimal_chains, (bits,)) for bits in BITS],
        CHAIN_ALL: [(all_chains, (bits,)) for bits in BITS[:3]],
        HYPER: [(hypercompression, (name, tries)) for name in ENCODERS],
    }
    fill(job, "fano", tables)


def optimum(bits: int) -> list[dict[str, Any]]:
    """For L = 1 .. 2^bits: the least total errors by each computation that ends."""
    from ...reductions import protocol_optimum
    from ...reductions.bounds import error_floor

    most = protocol_optimum.LARGEST["partitions"]
    partitions = protocol_optimum.by_partitions(bits) if bits <= most else None
    codebooks = protocol_optimum.by_codebooks(bits)
    subsets, _ = protocol_optimum.by_subsets(bits)
    return [
        {
            "N": bits,
            "L": L,
            "bits": math.log2(L),
            "asked": bits * 2**bits,
            "errors_partitions": partitions[L - 1] if partitions else "",
            "errors_codebooks": codebooks[L - 1],
            "errors_subsets": subsets[L - 1],
            "fano_floor": error_floor(math.log2(L) / bits),
        }
        for L in range(1, 2**bits + 1)
    ]


def optimal_chains(bits: int) -> list[dict[str, Any]]:
    """The five quantities of the proof for the optimal partition of the subset computation."""
    from ...reductions import protocol_optimum

    _, splits = protocol_optimum.by_subsets(bits)
    rows = []
    for L, cells in enumerate(splits, start=1):
        link = protocol_optimum.chain(bits, cells, L)
        rows.append(
            {"N": bits, "L": L, "concave": link.concave, "fano": link.fano,
             "marginal": link.marginal, "joint": link.joint, "length": link.length}
        )  # fmt: skip
    return rows


def all_chains(bits: int) -> list[dict[str, Any]]:
    """For each number of cells: how many partitions, and the least slack of each inequality."""
    from ...reductions import protocol_optimum

    slacks: dict[int, list[tuple[float, ...]]] = {}
    for cells in protocol_optimum.partitions(2**bits):
        slacks.setdefault(len(cells), []).append(protocol_optimum.chain(bits, cells).slacks)
    names = ("slack_concave", "slack_fano", "slack_chain", "slack_length")
    return [
        {"N": bits, "L": L, "protocols": len(found)}
        | dict(zip(names, np.min(found, axis=0).tolist(), strict=True))
        for L, found in sorted(slacks.items())
    ]


def hypercompression(encoder: str, tries: int) -> list[dict[str, Any]]:
    """For every m and k: of all 4096 secrets, how many come back with at most k wrong bits."""
    from ...protocols.game import coins
    from ...reductions import codebooks

    key = coins.COMMITTED_KEYS["experiments"]
    rows = []
    for m in range(N + 1):
        seed = coins.public_seed(key, f"fano {encoder}", m)
        draw = np.random.Generator(np.random.Philox(seed))
        words = codebooks.ENCODERS[encoder](N, m, draw, tries)
        within = codebooks.within(N, words).tolist()
        ball = 0
        for k in range(N + 1):
            ball += math.comb(N, k)
            rows.append(
                {"encoder": encoder, "m": m, "k": k, "reconstructions": len(np.unique(words)),
                 "secrets": 2**N, "within": within[k], "bound": 2**m * ball}
            )  # fmt: skip
    return rows


def _above_fano(folder: Path) -> Judgement:
    table = read_table(folder, OPTIMUM)
    error = table["errors_subsets"] / table["asked"]
    excess = error - table["fano_floor"]
    inner = table[(table["L"] > 1) & (table["L"] < 2.0 ** table["N"])]
    nearest = excess[inner.index].idxmin()
    at = table.loc[nearest]
    # A wrong bit less, over all secrets together, is the least that a better protocol could gain.
    seen = int((excess - 1 / table["asked"] < -ROUNDING).sum())
    return judge(
        bool((excess >= -ROUNDING).all()),
        f"{len(table)} pairs (N, L), exact optima; on the curve at L = 1 and L = 2^N, and at least "
        f"{excess[nearest]:.4f} above it between (N = {at['N']:.0f}, L = {at['L']:.0f}: "
        f"{error[nearest]:.4f} against {at['fano_floor']:.4f}); with a wrong bit less, over all "
        f"secrets together, {seen} pairs would lie below it",
    )


def _chain_holds(folder: Path) -> Judgement:
    optimal = read_table(folder, CHAIN)
    terms = optimal[["concave", "fano", "marginal", "joint", "length"]].to_numpy()
    every = read_table(folder, CHAIN_ALL)
    slacks = every.filter(like="slack_").to_numpy()
    least = min(float(np.diff(terms, axis=1).min()), float(slacks.min()))
    gap = optimal.loc[(optimal["joint"] - optimal["marginal"]).idxmax()]
    return judge(
        least >= -ROUNDING,
        f"{len(optimal)} optimal protocols of N <= 4 bits and all {every['protocols'].sum():,} of "
        f"N <= 3: no inequality fails by more than {abs(min(least, 0.0)):.0e} bits (rounding "
        f"allowed: {ROUNDING:.0e}); the chain rule gives away most at N = {gap['N']:.0f}, "
        f"L = {gap['L']:.0f}: {gap['joint'] - gap['marginal']:.3f} bits",
    )


def _computations_agree(folder: Path) -> Judgement:
    table = read_table(folder, OPTIMUM)
    tried = table[table["errors_partitions"].notna()]
    apart = int((table["errors_codebooks"] != table["errors_subsets"]).sum())
    apart += int((tried["errors_partitions"] != tried["errors_subsets"]).sum())
    return judge(
        apart == 0,
        f"{apart} differences: all encoders against subsets at {len(tried)} pairs (N, L) with "
        f"N <= 3, all decoders against subsets at {len(table)} with N <= 4",
    )


def _no_hypercompression(folder: Path) -> Judgement:
    table = read_table(folder, HYPER)
    complete = len(table) == table["encoder"].nunique() * (N + 1) ** 2
    over = int((table["within"] > table["bound"]).sum())
    beyond = int((table["reconstructions"] > 2 ** table["m"]).sum())
    tight = table[(table["within"] == table["bound"]) & (table["bound"] < table["secrets"])]
    tight = tight[tight["m"] > 0]  # one reconstruction meets it at every k
    return judge(
        complete and over == 0 and beyond == 0,
        f"{over} of {len(table)} cells (encoder, m, k) above the bound, each over all "
        f"{int(table['secrets'].min())} secrets; {len(tight)} with m > 0 meet it exactly where it "
        f"is below 1, up to k = {int(tight['k'].max())}",
    )


EXPERIMENT = Experiment(
    name="fano",
    title="Fano's bound against the exact optimum over all protocols of a few bits",
    run=run,
    minutes={"quick": 0.1, "full": 0.5},
    claims=(
        Claim(
            "fano.bound",
            "Theorem 5",
            "No deterministic protocol for N <= 4 bits and an m-bit message has mean error below "
            "the e with m = N (1 - h(e)): the exact optimum lies on or above Fano's curve",
            "reconstructed",
            (OPTIMUM,),
            _above_fano,
        ),
        Claim(
            "fano.chain",
            "Theorem 23",
            "For the optimal protocols, and for every protocol of N <= 3 bits, "
            "sum_i (1 - h(e_i)) <= sum_i I(X_i; M) <= I(X; M) <= m: each inequality of the proof, "
            "computed exactly",
            "reconstructed",
            (CHAIN, CHAIN_ALL),
            _chain_holds,
        ),
        Claim(
            "fano.optimum",
            "observation",
            "Computations that share nothing, trying all encoders (N <= 3), trying all decoders "
            "and dynamic programming over subsets (N <= 4), give the same optimum",
            "ours",
            (OPTIMUM,),
            _computations_agree,
        ),
        Claim(
            "fano.hypercompression",
            "observation",
            "Over all 2^12 secrets of N = 12 bits, Pr[distance <= k] <= 2^m V(N,k)/2^N for every "
            "encoder tried, every m and every k",
            "ours",
            (HYPER,),
            _no_hypercompression,
        ),
    ),
)
