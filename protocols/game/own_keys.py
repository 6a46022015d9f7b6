"""The instance of a model's own keys, read from a file.

Secrets derive from an instance's id, so the id must not depend on where the file lies: it has the
file's name, and a digest of the keys and of which tokens are secret. Whoever makes an instance from
the command line has both computed; one from a results file has them written there, and needs the
file itself only to be played.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...compressors.plugin.contract import Shape
from ...errors import BadInput
from .instance import Instance

if TYPE_CHECKING:
    from ...reductions.own_keys import OwnTokens
    from ...reductions.reduction import Reduction


@dataclass(frozen=True)
class OwnKeys(Instance):
    """A head's own keys (``reductions.own_keys_game``); values have as many numbers as keys.

    Attributes:
        keys: the path of the file (``compressors.captured.key_file``); its name alone in ids.
        norm: r, or a quantile of the file's queries such as "p50", which becomes its number.
        at: the KV head, "LAYER.HEAD"; None for the only one.
        values, gamma: as for the Index reduction.
        secret_tokens, digest: how many tokens are secret, and 16 hexadecimal digits of the keys
            and of which they are. None: they are computed.
    """

    keys: str = ""
    norm: str | float | None = None
    at: str | None = None
    values: str = "01"
    gamma: float | None = None
    secret_tokens: int | None = None
    digest: str | None = None
    reduction: ClassVar[str] = "own-keys"

    def _check(self) -> None:
        if not self.keys or self.norm is None:
            raise BadInput(
                "The own-keys reduction needs a file of keys and the largest norm of a query: "
                "give --keys FILE.npy --norm R."
            )
        if self.scale != "tight":
            raise BadInput("The own-keys reduction has no --scale: its queries are as --norm says.")
        if self.digest is not None:
            return
        from ...compressors.captured.key_file import KeyFile, norm_of

        file = KeyFile(self.keys)
        place, said = file.place(self.at), norm_of(str(self.norm))
        norm = said if isinstance(said, float) else file.query_norm(place, said[0], self.n)
        for name, value in (("at", str(place)), ("norm", norm)):
            object.__setattr__(self, name, value)
        head = self._head()
        object.__setattr__(self, "secret_tokens", int(head.certified.sum()))
        object.__setattr__(self, "digest", _digest(head))

    @property
    def coordinates(self) -> bool:
        """A bit is a coordinate of an output."""
        return True

    @property
    def keys_played(self) -> str:
        """The file's name and the head."""
        return f"{PurePath(self.keys).name} {self.at}"

    @property
    def shape(self) -> Shape:
        """The public shape of the stream; Bob appends one token."""
        return Shape(tokens=self.n, d_k=self.d, d_v=self.d, extra=1)

    @property
    def secret_rows(self) -> int:
        """A row for each certified token."""
        assert self.secret_tokens is not None
        return self.secret_tokens

    @property
    def row_bits(self) -> int:
        """A bit a number."""
        return self.d

    def spec(self) -> dict[str, Any]:
        """The file is told by its name."""
        return super().spec() | {"keys": PurePath(self.keys).name}

    def _size_with_rows(self, rows: int) -> str:
        return "leave --rows out, as the keys say how many tokens are certified"

    def _head(self) -> OwnTokens:
        path = Path(self.keys)
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            raise BadInput(
                f"The keys of this instance are in {self.keys}, which is not here: run the "
                "command where the file is."
            ) from None
        assert isinstance(self.norm, float)
        found = _solved(
            str(path), changed, self.at, self.n, self.norm, self.values, self.eta, self.gamma
        )
        if found.keys.shape != (self.n, self.d):
            raise BadInput(
                f"{self.keys} has {len(found.keys)} keys of dimension {found.keys.shape[1]}, and "
                f"{self.n} of dimension {self.d} were meant: leave --n and --d out."
            )
        return found

    def _build(self) -> Reduction:
        from ...reductions.own_keys_game import OwnKeysReduction

        head = self._head()
        if _digest(head) != self.digest:
            raise BadInput(
                f"{self.keys} does not have the keys that this instance was played on, or this "
                "machine certifies other tokens of them: play it again into a new file."
            )
        return OwnKeysReduction.build(head, self.d)


def _digest(head: OwnTokens) -> str:
    data = head.keys.astype("<f4").tobytes() + np.packbits(head.certified).tobytes()
    return hashlib.sha256(repr(head.keys.shape).encode() + data).hexdigest()[:16]


@lru_cache(maxsize=4)
def _solved(
    path: str, changed: int, at: str | None, n: int, norm: float, values: str, eta: float | None,
    gamma: float | None,
) -> OwnTokens:  # fmt: skip
    """The head's tokens; ``changed``, when the file was written last, keeps the cache true."""
    from ...compressors.captured.key_file import KeyFile
    from ...reductions.own_keys import own_tokens

    file = KeyFile(path)
    keys = file.keys(file.place(at), n)
    return own_tokens(keys, norm, values=values, eta=eta, gamma=gamma)
