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
from typing import Any

import numpy as np

from ..kit.run import Run
from ..kit.tables import Tables, fill

OPTIMUM = "fano-optimum.csv"
CHAIN = "fano-chain.csv"
CHAIN_ALL = "fano-chain-all.csv"
HYPER = "fano-hypercompression.csv"
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
