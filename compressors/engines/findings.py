"""What the memories and the Bobs of one setting say against each other, in words.

The table and ``attack`` print the same sentences. Shares are of the 16-bit K and V cache.
"""

from __future__ import annotations

from collections.abc import Mapping

#: shares of the cache and errors further apart than this are told
APART = 0.02


def unexplained(said: Mapping[str, float | None]) -> bool:
    """Whether the longest message has more than what is in memory, and *beside* is not why.

    >>> tail = {"wire": 0.38, "resident": 0.28, "beside": 0.25}
    >>> unexplained(tail), unexplained(tail | {"beside": 0.05})
    (False, True)
    """
    wire, resident = said.get("wire"), said.get("resident")
    there = sum(said.get(name) or 0.0 for name in ("resident", "side", "beside"))
    return wire is not None and resident is not None and wire > there + APART


def of_memories(said: Mapping[str, float | None], beside_is: str = "") -> list[str]:
    """The sentences about *declared*, *claimed*, *logical*, *resident*, *side*, *wire*, *constant*.

    A share that is None or missing is not known, and nothing is said of it. ``beside_is`` is what
    *beside* is.

    >>> of_memories({"declared": 0.1, "resident": 1.0, "logical": 1.0, "wire": 1.0})
    ['declared 0.1, real bytes 1']
    """
    declared, claimed, logical, resident, wire, constant = (
        said.get(name)
        for name in ("declared", "claimed", "logical", "resident", "wire", "constant")
    )
    side = said.get("side") or 0.0
    found = []
    promises = {"declared": declared, "claimed": claimed}
    if declared is not None and claimed is not None and abs(declared - claimed) <= APART:
        promises = {"declared and claimed": declared}
    for word, promised in promises.items():
        if promised is not None and wire is not None and wire > promised + APART:
            found.append(f"{word} {promised:.3g}, real bytes {wire:.3g}")
    if resident is not None and logical is not None and resident > logical + APART:
        found.append(f"{resident:.2f} stays in memory behind tensors that show {logical:.2f}")
    if side > APART:
        found.append(f"{side:.2f} more is parked on modules")
    if constant is not None and constant > APART:
        found.append(f"{constant:.2f} of the message does not depend on the stream")
    if resident is not None and wire is not None and wire > resident + side + APART:
        rest = "the rest is how they are written, and what lies outside of arrays"
        found.append(
            f"the message has {wire:.2f} where arrays of {resident + side:.2f} are in memory: "
            f"{rest if unexplained(said) else beside_is}"
        )
    return found


def of_errors(
    asks: float | None, reads: float | None, rotated: float | None, apart: float = APART
) -> list[str]:
    """The sentences about bit errors: by asking, by reading, and by asking on the rotated stream.

    ``apart``: further apart than this are told, and more where samples of rows may differ by more.

    >>> of_errors(0.45, 0.0, None)
    ['hides and does not free: 0.450 by asking, 0.000 by reading']
    """
    found = []
    if asks is not None and reads is not None and asks - reads > apart:
        found.append(f"hides and does not free: {asks:.3f} by asking, {reads:.3f} by reading")
    if asks is not None and reads is not None and reads - asks > apart:
        found.append("its rows cannot be read off the message as they are")
    if asks is not None and rotated is not None and abs(rotated - asks) > apart:
        found.append(f"the basis decides: {asks:.3f} literal, {rotated:.3f} rotated")
    return found
