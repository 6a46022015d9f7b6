"""``kvbarrier bound``: the limit at a size."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import BadInput
from ..files import refuse_place
from . import options
from .model_bound import bound_compression, bound_model, bound_range
from .own_bound import bound_own_keys
from .render import number, print_json, print_table, say, tell
from .wide_bound import bound_alphabet, bound_payload

#: options that have no meaning where the keys come from a file
_FAMILY = (
    "reduction", "d", "alphabet", "key_bits", "seed", "logit_range", "compression", "model",
    "context", "dtype",
)  # fmt: skip
#: options that say which reduction of one head is meant
_ONE_HEAD = ("reduction", "keys", "n", "values", "alphabet", "key_bits", "seed", "certificate")


@click.command(name="bound")
@click.option(
    "--reduction",
    type=click.Choice(["index", "key-payload"]),
    default="index",
    show_default=True,
    help="Where the secrets are: in values, or in keys too.",
)
@options.keys
@click.option(
    "--norm",
    metavar="R",
    help="For keys from a file: the largest norm of a query, or a quantile of the file's queries "
    "such as p50.",
)
@click.option(
    "--at",
    multiple=True,
    metavar="LAYER.HEAD",
    help="For keys from a file: a KV head; repeat the option for several.  [default: all]",
)
@click.option(
    "--n",
    type=options.COUNT,
    help="Data tokens.  [default: the whole family or file; 512 for jl and for key-payload]",
)
@click.option("--d", type=options.DIMENSION, default=64, show_default=True, help="Head dimension.")
@click.option("--eta", type=float, help="Multiplicative error of the algorithm.  [default: 0.5]")
@options.gamma
@options.values
@options.alphabet
@options.key_bits
@click.option(
    "--success",
    type=float,
    default=0.9,
    show_default=True,
    help="Probability that each bit (with --alphabet: each number) is answered correctly.",
)
@options.seed
@click.option(
    "--logit-range",
    type=float,
    help="Instead of --keys: the most that any known key set certifies within this many nats.",
)
@click.option("--compression", type=float, help="A compression ratio; say whether it is excluded.")
@click.option(
    "--model",
    type=options.READ,
    help="Instead of one head: the config.json of a model, with --context and --dtype.",
)
@click.option(
    "--context", type=options.COUNT, default=131072, show_default=True, help="Tokens of context."
)
@click.option("--dtype", default="bf16", show_default=True, help="Number format of the cache.")
@click.option(
    "--certificate",
    type=options.WRITE,
    help="Write a certificate of the bound to this file, for verify.",
)
@options.as_json
def command(
    reduction: str,
    keys: str,
    norm: str | None,
    at: tuple[str, ...],
    n: int | None,
    d: int,
    eta: float | None,
    gamma: float | None,
    values: str,
    alphabet: int | None,
    key_bits: int | None,
    success: float,
    seed: int,
    logit_range: float | None,
    compression: float | None,
    model: Path | None,
    context: int,
    dtype: str,
    certificate: Path | None,
    as_json: bool,
) -> None:
    """Compute the smallest memory that any algorithm with this guarantee needs.

    Every answer states its success probability, its logit range and its bits per number.
    """
    from ..reductions.limit import index_limit

    if certificate is not None:
        refuse_place(certificate)
    if eta is not None and gamma is not None:
        raise BadInput("give --eta or --gamma, not both: an error is multiplicative or additive.")
    if options.is_key_file(keys):
        _refuse_given(f"--keys {keys}", _FAMILY)
        bound_own_keys(
            keys, norm, at, n, values=values, eta=0.5 if eta is None and gamma is None else eta,
            gamma=gamma, success=success, certificate=certificate, as_json=as_json,
        )  # fmt: skip
        return
    _refuse("--keys FILE", ("norm", "at"))
    if model is not None or logit_range is not None:
        _other_questions(
            model, logit_range, compression, d, context, dtype, success, eta, gamma, as_json
        )
        return
    _refuse("--model", ("context", "dtype"))
    if reduction == "key-payload":
        if gamma is not None:
            raise BadInput("--reduction key-payload needs a relative error: give --eta.")
        beside = ("keys", "seed", "values", "alphabet", "certificate")
        _refuse_given("--reduction key-payload", beside)
        bound_payload(
            n, d, key_bits=key_bits, eta=0.5 if eta is None else eta, success=success,
            compression=compression, as_json=as_json,
        )  # fmt: skip
        return
    _refuse("--reduction key-payload", ("key_bits",))
    eta = 0.5 if eta is None and gamma is None else eta
    if alphabet is not None:
        _refuse_given("--alphabet", ("values", "certificate"))
        bound_alphabet(
            keys, n, d, levels=alphabet, seed=seed, eta=eta, gamma=gamma, success=success,
            compression=compression, as_json=as_json,
        )  # fmt: skip
        return
    limit = index_limit(
        keys, n, d, keys_seed=seed, values=values, eta=eta, gamma=gamma, success=success
    )
    verdict = None if compression is None else bound_compression(compression, limit)
    if certificate is not None:
        from ..protocols.certificates.of_limit import limit_certificate
        from ..protocols.certificates.verify import write_certificate

        proved = write_certificate(certificate, limit_certificate(limit))
        say(f"wrote {certificate}: {proved.sentence}")
    if as_json:
        document = limit.as_dict()
        if compression is not None:
            beyond = compression > limit.compression_ratio_limit
            document |= {
                "claimed_compression": compression, "excluded_by": "values" if beyond else None,
            }  # fmt: skip
        print_json(document)
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
    if verdict is not None:
        tell(verdict)


def _other_questions(
    model: Path | None, logit_range: float | None, compression: float | None, d: int,
    context: int, dtype: str, success: float, eta: float | None, gamma: float | None,
    as_json: bool,
) -> None:  # fmt: skip
    """A whole model, or a logit range, in place of one key set."""
    if gamma is not None:
        raise BadInput("--model and --logit-range need a relative error: give --eta.")
    eta = 0.5 if eta is None else eta
    if model is not None:
        _refuse_given("--model", ("logit_range", "d", *_ONE_HEAD))
        bound_model(
            model, context, dtype, success=success, eta=eta, compression=compression,
            as_json=as_json,
        )  # fmt: skip
        return
    _refuse_given("--logit-range", ("compression", "context", "dtype", *_ONE_HEAD))
    assert logit_range is not None
    bound_range(logit_range, d, success=success, eta=eta, as_json=as_json)


def _refuse(needed: str, names: tuple[str, ...]) -> None:
    """Options that mean something only beside another one."""
    for option in options.given(names):
        raise BadInput(f"{option} has a meaning only with {needed}: give both, or neither.")


def _refuse_given(beside: str, names: tuple[str, ...]) -> None:
    for option in options.given(names):
        raise BadInput(f"{option} has no meaning with {beside}: leave it out.")
