"""A codec of keys and values: encode, decode, and nothing else; attention is kvbarrier's.

Every token's vector becomes d numbers of 4 bits between its own least and largest one, which are
kept in 16 bits each: the scalar quantiser that most KV-cache packages start from.

    kvbarrier attack codec:examples/four_bit_codec.py:FourBits
    kvbarrier attack 'codec:examples/four_bit_codec.py:FourBits?levels=4' --n 512 --d 64

A package's own codec needs no more than this: import it, and call it in encode and decode.
"""

import numpy as np


class FourBits:
    """``levels`` up to 16 of the 4 bits are used."""

    def __init__(self, levels: int = 16):
        self.top = levels - 1
        self.ratio = 16 / 4  # our own word, in which the two ends are forgotten: it will show

    def encode(self, x):  # float32[tokens, d]; d is even
        ends = np.stack([x.min(axis=1), x.max(axis=1)], axis=1).astype(np.float16)
        least, largest = ends.astype(np.float32).T[:, :, None]
        scale = np.where(largest > least, largest - least, 1)
        codes = np.clip(np.rint((x - least) / scale * self.top), 0, self.top).astype(np.uint8)
        return codes[:, 0::2] << 4 | codes[:, 1::2], ends

    def decode(self, data):  # what encode returned, in another process
        packed, ends = data
        codes = np.stack([packed >> 4, packed & 15], axis=2).reshape(len(packed), -1)
        least, largest = ends.astype(np.float32).T[:, :, None]
        return least + codes * (largest - least) / self.top
