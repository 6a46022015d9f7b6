"""float16 by the interpreter's own rounding, one number at a time (``struct``'s format "e")."""

from __future__ import annotations

import struct

import numpy as np


def narrow(rows):
    """float32[m] -> float16[m], to nearest, ties to even."""
    said = b"".join(struct.pack("<e", float(x)) for x in rows)
    return np.frombuffer(said, dtype="<f2")


def widen(halves):
    """float16[m] -> float32[m]."""
    said = [struct.unpack("<e", one.tobytes())[0] for one in halves]
    return np.array(said, dtype=np.float32)
