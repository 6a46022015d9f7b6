"""``kvbarrier bound``: the limit at a size."""

from __future__ import annotations

import click

from ..errors import BadInput
from .render import number, print_json, print_table


@click.command(name="bound")
@click.option("--keys", default="jl", show_default=True, help="Public key set; see list keys.")
@click.option("--n", type=int, help="Data tokens.  [default: the whole family, 512 for jl]")
@click.option("--d", type=int, default=64, show_default=True, help="Head dimension.")
@click.option("--eta", type=float, help="Multiplicative error of the algorithm.  [default: 0.5]")
@click.option("--gamma", type=float, help="Additive error instead of a multiplicative one.")
@click.option(
    "--values",
    type=click.Choice(["01", "pm1"]),
    default="01",
    show_default=True,
    help="Alphabet of the values: {0,1} or {-1,+1}.",
)
@click.option(
    "--success",
    type=float,
    default=0.9,
    show_default=True,
    help="Probability with which each bit must be answered.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Draw of random key sets.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    keys: str,
    n: int | None,
    d: int,
    eta: float | None,
    gamma: float | None,
    values: str,
    success: float,
    seed: int,
    as_json: bool,
) -> None:
    """The smallest memory that any algorithm with this guarantee needs.

    Every answer states its success probability, its logit range and its bits per number.
    """
    from ..reductions.limit import index_limit

    if eta is not None and gamma is not None:
        raise BadInput("give --eta or --gamma, not both: an error is multiplicative or additive.")
    eta = 0.5 if eta is None and gamma is None else eta
    limit = index_limit(
        keys, n, d, keys_seed=seed, values=values, eta=eta, gamma=gamma, success=success
    )
    if as_json:
        print_json(limit.as_dict())
        return
    error = f"(1±{eta:g})-approximate" if eta is not None else f"additive error {gamma:g}"
    none = "none (its condition fails)"
    rows = [
        ("data tokens n, dimension d", f"{limit.n}, {limit.d}"),
        ("attention output", error),
        ("success probability per bit", number(success)),
        ("coherence of the keys", number(limit.coherence)),
        ("scale C of Bob's query (tight)", f"{limit.scale:.3f}"),
        ("  closed form from the closest pair", f"{limit.closed_scale:.3f}"),
        (
            "  the paper's (reconstructed)",
            none if limit.paper_scale is None else f"{limit.paper_scale:.3f}",
        ),
        ("logit range R = C max|k|^2 (nats)", f"{limit.logit_range:.3f}"),
        ("bits per number", number(limit.bits_per_number)),
        ("secret bits", str(limit.secret_bits)),
        ("bound (bits)", f"{limit.bound_bits:.1f}"),
        ("bound per token (bits)", f"{limit.bound_bits_per_token:.3f}"),
        ("largest compression of a 16-bit cache", f"{limit.compression_ratio_limit:.2f}x"),
    ]
    print_table(f"Index reduction, {keys} keys", ["quantity", "value"], rows)
