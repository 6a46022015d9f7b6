"""An adaptive reader: it stops at the first key that differs from the newest one's.

    kvbarrier attack examples/adaptive_reader.py --reduction indistinguishability

On the hard family it is right, and reads everything on D_0, where no key differs: only that counts.
"""


class UntilItDiffers:
    def answer(self, q, reader):
        newest = reader.key(reader.n - 1)
        for i in range(reader.n - 1):
            key = reader.key(i)
            if (key != newest).any():
                return (reader.value(i) + reader.value(reader.n - 1)) / 2
        return reader.value(reader.n - 1)
