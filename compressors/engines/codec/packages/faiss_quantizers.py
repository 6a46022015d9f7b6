"""faiss-cpu: its scalar and product quantisers, trained on what they encode.

What training found is part of the data: a codebook that only Alice has is no public thing.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

faiss.omp_set_num_threads(1)


class Codec:
    """``factory``: a string of faiss that names one, SQ4, SQ8 or PQ16x8 say."""

    package = "faiss-cpu"

    def __init__(self, d: int, factory: str = "SQ4") -> None:
        self.d, self.factory = d, factory

    def encode(self, x: Any) -> Any:
        """The trained quantiser as faiss writes it, and the codes."""
        index = faiss.index_factory(self.d, self.factory)
        if isinstance(index, faiss.IndexPQ):
            # It would order the codes for a search, by annealing, and train on fewer rows for it.
            index.do_polysemous_training = False
        index.train(x)
        return faiss.serialize_index(index), index.sa_encode(x)

    def decode(self, data: Any) -> Any:
        """float32[n, d]."""
        index, codes = data
        return faiss.deserialize_index(np.ascontiguousarray(index)).sa_decode(codes)
