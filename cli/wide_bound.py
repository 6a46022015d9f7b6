"""What ``kvbarrier bound`` says if a token hides more than one bit per number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .model_bound import bound_compression
from .render import number, print_json, print_table, tell

if TYPE_CHECKING:
    from ..reductions.wide_limits import AlphabetLimit, PayloadLimit


def bound_alphabet(
    keys: str, n: int | None, d: int, *, levels: int, seed: int, eta: float | None,
    gamma: float | None, success: float, compression: float | None, as_json: bool,
) -> None:  # fmt: skip
    """Print the bound of the Index reduction with B levels a number. Raises BadInput."""
    from ..reductions.wide_limits import alphabet_limit

    limit = alphabet_limit(
        keys, n, d, levels=levels, keys_seed=seed, eta=eta, gamma=gamma, success=success
    )
    most = "any number" if limit.most_levels is None else str(limit.most_levels)
    if limit.value_range is None:
        alphabet, law = f"{levels}, an even grid in [0, 1]", "levels that this error leaves apart"
    else:
        alphabet = f"{levels}, geometric, over a factor of {limit.value_range:.4g}"
        law = "levels that stay distinct under this error, over that factor"
    rows = [
        ("data tokens n, dimension d", f"{limit.n}, {limit.d}"),
        ("levels of a value", alphabet),
        (law, most),
        ("attention output", _error(eta, gamma)),
        ("success probability per number", number(success)),
        ("coherence of the keys", number(limit.coherence)),
        ("scale C of Bob's query (tight)", f"{limit.scale:.3f}"),
        ("  closed form from the closest pair", f"{limit.closed_scale:.3f}"),
        ("logit range R = C max|k|^2 (nats)", f"{limit.logit_range:.3f}"),
        ("bits per number", number(limit.bits_per_number)),
        ("secret bits", str(limit.secret_bits)),
        *_bound(limit),
    ]
    _print(f"Index reduction, {keys} keys, {levels} levels", rows, limit, compression, as_json)


def bound_payload(
    n: int | None, d: int, *, key_bits: int | None, eta: float, success: float,
    compression: float | None, as_json: bool,
) -> None:  # fmt: skip
    """Print the bound of the key-payload reduction. Raises BadInput."""
    from ..reductions.wide_limits import payload_limit
    from .options import DEFAULT_TOKENS

    limit = payload_limit(
        DEFAULT_TOKENS if n is None else n, d, key_bits=1 if key_bits is None else key_bits,
        eta=eta, success=success,
    )  # fmt: skip
    rows = [
        ("data tokens n, dimension d", f"{limit.n}, {limit.d}"),
        ("public coordinates of a key (its address)", str(limit.address)),
        ("bits in each other coordinate of a key", str(limit.key_bits)),
        ("attention output", _error(eta, None)),
        ("success probability per answer", number(success)),
        ("score C of a value's question (tight)", f"{limit.scale:.3f}"),
        ("logit range R, the largest score of any question (nats)", f"{limit.logit_range:.3f}"),
        ("bits per number of K and V", number(limit.bits_per_number)),
        (
            "secret bits, in values and in keys",
            f"{limit.secret_bits} = {limit.secret_bits_in_values} + {limit.secret_bits_in_keys}",
        ),
        *_bound(limit),
    ]
    _print("Key-payload reduction, address keys", rows, limit, compression, as_json)


def _error(eta: float | None, gamma: float | None) -> str:
    return f"additive error {gamma:g}" if eta is None else f"(1±{eta:g})-approximate"


def _bound(limit: AlphabetLimit | PayloadLimit) -> list[tuple[str, str]]:
    return [
        ("bound (bits)", f"{limit.bound_bits:.1f}"),
        ("bound per token (bits)", f"{limit.bound_bits_per_token:.3f}"),
        ("largest compression of a 16-bit cache", f"{limit.compression_ratio_limit:.2f}x"),
    ]


def _print(
    title: str, rows: list[tuple[str, str]], limit: AlphabetLimit | PayloadLimit,
    compression: float | None, as_json: bool,
) -> None:  # fmt: skip
    by = "values" if limit.reduction == "index" else "keys and values"
    verdict = None if compression is None else bound_compression(compression, limit, by)
    if as_json:
        document: dict[str, Any] = limit.as_dict()
        if compression is not None:
            beyond = compression > limit.compression_ratio_limit
            document |= {
                "claimed_compression": compression, "excluded_by": by if beyond else None,
            }  # fmt: skip
        print_json(document)
        return
    print_table(title, ["quantity", "value"], rows)
    if verdict is not None:
        tell(verdict)
