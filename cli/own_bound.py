"""What ``kvbarrier bound`` says of the keys in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput
from .options import progress
from .render import number, print_json, print_table, say, tell

if TYPE_CHECKING:
    from ..runs.own_keys import FileLimit

#: a longer table has a row for each layer
_MOST_ROWS = 24


def bound_own_keys(
    path: str, norm: str | None, at: tuple[str, ...], n: int | None, *, values: str,
    eta: float | None, gamma: float | None, success: float, certificate: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Print the bound for the keys of a file. Raises BadInput."""
    from ..compressors.captured.key_file import KeyFile
    from ..runs.own_keys import file_limit

    if norm is None:
        raise BadInput(
            "Keys from a file need --norm: the largest norm of a query that the guarantee covers, "
            "or a quantile of the queries in the file, such as --norm p50."
        )
    file = KeyFile(path)
    places = [file.place(text) for text in at] or list(file.places)
    if certificate is not None and len(places) > 1:
        raise BadInput("A certificate is for one head: name it with --at LAYER.HEAD.")
    with progress("bound") as tick:
        found = file_limit(
            file, norm, places, tokens=n, values=values, eta=eta, gamma=gamma, success=success,
            progress=tick,
        )  # fmt: skip
    if certificate is not None:
        from ..protocols.certificates.of_own_keys import own_keys_certificate
        from ..protocols.certificates.verify import write_certificate

        head = found.heads[0]
        document = own_keys_certificate(head.tokens, success, file.d_v)
        say(f"wrote {certificate}: {write_certificate(certificate, document).sentence}")
    if as_json:
        print_json({"file": path, **found.as_dict()})
        return
    _print(path, found)


def _print(path: str, found: FileLimit) -> None:
    one = found.heads[0].limit
    error = f"(1±{one.eta:g})-approximate" if one.eta is not None else f"within ±{one.gamma:g}"
    each = len(found.heads) <= _MOST_ROWS
    parts = (
        [(str(head.place), type(found)((head,))) for head in found.heads]
        if each
        else [(str(layer), part) for layer, part in found.by_layer().items()]
    )
    rows = [
        (
            name,
            number(max(head.limit.norm for head in part.heads)),
            f"{part.total('certified_tokens'):.0f} of {part.total('n'):.0f}",
            f"{part.total('bound_bits'):.0f}",
            f"{part.total('secret_bits') / (part.total('n') * one.d_v):.3f}",
        )
        for name, part in parts
    ]
    print_table(
        f"Own keys of {path}: answers {error}, success {one.success:g}",
        ["head" if each else "layer", "norm r", "certified tokens", "bound (bits)", "bits/number"],
        rows,
    )
    bits, cache = found.total("bound_bits"), 16 * found.total("n") * (one.d + one.d_v)
    most = f"; no compression of the 16-bit cache beyond {cache / bits:.2f}x" if bits else ""
    tell(
        f"Any cache that answers every query of norm up to r needs {bits:.0f} bits for "
        f"these {found.total('n'):.0f} tokens{most}. This speaks of all values and of all queries "
        "of such a norm, not of this text's own."
    )
    _say_why(found)


def _say_why(found: FileLimit) -> None:
    from ..reductions.own_keys import REASONS

    for name, count in found.reasons().items():
        tell(f"{count} tokens are not certified: {REASONS[name]}.")
    none = [head for head in found.heads if not head.limit.certified_tokens]
    norms = [head.smallest_norm for head in none if head.smallest_norm is not None]
    if none:
        least = (
            f"the smallest norm that certifies one is {min(norms):.4g}"
            if norms
            else "no token is certified at 4096 times that norm either"
        )
        which = "No token is" if len(none) == len(found.heads) else f"In {len(none)} heads none is"
        tell(f"{which} certified at this norm: {least}.")
