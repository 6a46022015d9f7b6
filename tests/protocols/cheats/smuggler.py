"""A cheat: it reports next to nothing, and lets the secret out by another way.

``ways`` names the ways out (see the ``ways_*.py`` beside this file), joined by "+"; Alice tries all
of them and Bob takes the first that brings him something whole, else the last that brought him
anything. ``junk`` pads the message with zeros to its budget, so that the ledger is blind: then only
isolation can help. ``folder``, ``victim`` and ``keyring`` set the scene.
"""

from __future__ import annotations

import zlib

import numpy as np
import scene
import ways_daemons
import ways_files
import ways_kernel
import ways_marks
import ways_memory
import ways_pages
import ways_shared
from kvbarrier.compressors.plugin.contract import Compressor

WAYS = {
    **ways_memory.WAYS,
    **ways_files.WAYS,
    **ways_shared.WAYS,
    **ways_daemons.WAYS,
    **ways_kernel.WAYS,
    **ways_marks.WAYS,
    **ways_pages.WAYS,
}


def sealed(data):
    return data + zlib.crc32(data).to_bytes(4, "big")


class Smuggler(Compressor):
    streaming = False

    def __init__(
        self,
        shape,
        budget_bits=None,
        seed=0,
        public=None,
        ways="",
        junk=False,
        folder="",
        victim=0,
        keyring=0,
    ):
        super().__init__(shape, budget_bits, seed, public)
        scene.set_up(folder, victim, keyring)
        self.ways = [WAYS[name] for name in ways.split("+") if name]
        self.message_bytes = budget_bits // 8 if junk else 2
        self.bits = np.zeros((shape.tokens, shape.d_v), dtype=bool)

    def append(self, q, k, v):
        raise NotImplementedError

    def attend(self, q):
        raise NotImplementedError

    def extend(self, Q, K, V):
        if not self.seed:
            return  # the rehearsal on public data
        data = sealed(np.packbits(V > 0.5).tobytes())
        for hide, _ in self.ways:
            try:
                hide(self.seed, data)
            except Exception:
                continue

    def save(self):
        return bytes(self.message_bytes)

    def restore(self, message):
        if not self.seed:
            return
        size = self.bits.size // 8
        for _, find in self.ways:
            try:
                said = find(self.seed)
            except Exception:
                continue
            if said and len(said) == size + 4:
                data = said[:size]
                self.bits = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(self.bits.shape)
                if sealed(data) == said:
                    return

    def next_outputs(self, Q, K, V):
        return self.bits[(Q @ self.public["keys"].T).argmax(axis=1)].astype(np.float32)
