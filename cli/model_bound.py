"""What ``kvbarrier bound`` says about whole models, a logit range, and a claimed compression."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from .render import number, print_json, print_table, tell

if TYPE_CHECKING:
    from ..reductions.model_limit import LayerLimit, ModelLimit
    from ..reductions.model_shape import ModelShape

_MOST_BYTES = 1 << 20


def bound_model(
    file: Path, context: int, dtype: str, *, success: float, eta: float,
    compression: float | None, as_json: bool,
) -> None:  # fmt: skip
    """Print the table of a model's configuration file. Raises BadInput."""
    from ..reductions.model_limit import excluded, model_limit

    limit = model_limit(read_model(file), context, dtype=dtype, success=success, eta=eta)
    by = None if compression is None else excluded(limit, compression)
    if as_json:
        document = limit.as_dict()
        if compression is not None:
            document |= {"claimed_compression": compression, "excluded_by": by}
        print_json(document)
        return
    _print_model(limit, dtype)
    if compression is not None:
        tell(_sentence(compression, by, limit.compression, limit.compression_kv, limit.success))


def read_model(file: Path) -> ModelShape:
    """The shape that a configuration file tells. Raises BadInput."""
    from ..reductions.model_shape import read_config

    return read_config(_read(file))


def _read(file: Path) -> Any:
    if file.stat().st_size > _MOST_BYTES:
        raise BadInput(f"{file} is too large for a model's configuration: give its config.json.")
    try:
        return json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{file} is not JSON ({error}): give the model's config.json.") from None


def _print_model(limit: ModelLimit, dtype: str) -> None:
    print_table(
        f"{limit.model} at {limit.context} tokens",
        ["layers", "kind", "KV heads", "tokens", "d_k, d_v", f"{dtype} cache (MiB)"],
        [
            *([str(one.layers), one.kind, str(one.heads), str(one.tokens),
               f"{one.d_k}, {one.d_v}", _mib(one.cache_bits)] for one in limit.layers),
            ["all", "", "", "", "", _mib(limit.cache_bits)],
        ],
    )  # fmt: skip
    rows = [row for one in limit.layers for row in _bounds(str(one.layers), one.kind, one)]
    rows += _bounds("all", "", limit)
    print_table(
        "The least memory, and the largest compression, with secret bits in:",
        ["layers", "kind", "secrets in", "least (MiB)", "most", "nats"], rows,
        caption=f"Guarantee: every coordinate within (1±{limit.eta:g}), each bit right with "
                f"probability {limit.success:g}; one bit a number. On some stream with logits "
                "up to the stated nats, no algorithm with this guarantee uses less memory "
                "than least, or compresses more than most."
                + "".join(f" {one.kind}: if {one.hypothesis}." for one in limit.layers
                          if one.hypothesis),
    )  # fmt: skip


def _bounds(layers: str, kind: str, one: LayerLimit | ModelLimit) -> list[list[str]]:
    both = (
        ("values", one.bound_bits, one.compression, one.logit_range),
        ("keys and values", one.bound_bits_kv, one.compression_kv, one.logit_range_kv),
    )
    return [
        [layers, kind, secrets, _mib(bits), f"{most:.2f}x", "-" if nats is None else f"{nats:.1f}"]
        for secrets, bits, most, nats in both
    ]


def _mib(bits: float) -> str:
    return number(bits / 8 / (1 << 20))


def _sentence(claimed: float, by: str | None, values: float, both: float, success: float) -> str:
    guarantee = f"at success {success:g}"
    if by is None:
        return (
            f"{claimed:g}x is not excluded {guarantee}: no instance here forbids compressions "
            f"up to {both:.2f}x. A stricter --success may."
        )
    limit = values if by == "values" else both
    return (
        f"{claimed:g}x is excluded {guarantee}, by secrets in the {by}: no algorithm with this "
        f"guarantee compresses more than {limit:.2f}x."
    )


def bound_compression(claimed: float, limit: Any, secrets: str = "values") -> str:
    """The sentence for one head's limit, with secrets in its ``secrets``.

    Raises BadInput for no factor.
    """
    if not claimed > 0:
        raise BadInput(f"A compression must be a positive factor, not {claimed:g}.")
    most = limit.compression_ratio_limit
    return _sentence(claimed, secrets if claimed > most else None, most, most, limit.success)


def bound_range(logit_range: float, d: int, *, success: float, eta: float, as_json: bool) -> None:
    """Print the most that any known key set certifies within a logit range. Raises BadInput."""
    from ..reductions.bounds import index_bound_bits
    from ..reductions.key_choice import most_tokens

    if not 0 < logit_range < float("inf"):
        raise BadInput(f"A logit range must be a positive number of nats, not {logit_range:g}.")
    choice = most_tokens(d, logit_range, eta)
    if choice is None:
        raise BadInput(
            f"Within {logit_range:g} nats no two keys in d = {d} can be told apart at eta = "
            f"{eta:g}: give a larger --logit-range."
        )
    secret = choice.n * d
    bound = index_bound_bits(secret, success)
    facts = {
        "logit_range": logit_range, "d": d, "eta": eta, "success": success, "keys": choice.keys,
        "n": choice.n, "needed_range": choice.logit_range, "secret_bits": secret,
        "bound_bits": bound, "bits_per_number": 1.0,
        "compression_ratio_limit": 32 * choice.n * d / bound,
    }  # fmt: skip
    if as_json:
        print_json(facts)
        return
    rows = [
        ("logit range R (nats)", f"{logit_range:g}"),
        ("most tokens n (a power of two), dimension d", f"{choice.n}, {d}"),
        ("by keys", f"{choice.keys}, with {choice.logit_range:.3f} nats"),
        ("attention output", f"(1±{eta:g})-approximate"),
        ("success probability per bit", number(success)),
        ("bits per number", "1"),
        ("secret bits", str(secret)),
        ("bound (bits)", f"{bound:.1f}"),
        ("largest compression of a 16-bit cache", f"{facts['compression_ratio_limit']:.2f}x"),
    ]
    print_table(f"What {logit_range:g} nats certify", ["quantity", "value"], rows)
