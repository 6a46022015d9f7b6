"""transformers 5.23.0, 5.24.0: DynamicCache, cropped to nothing, keeps its batch size."""

import torch
from transformers import DynamicCache

cache = DynamicCache()


def tokens(sequences):
    return torch.randn(sequences, 1, 1, 64), torch.randn(sequences, 1, 1, 64)


cache.update(*tokens(2), 0)
cache.crop(-1)  # nothing is left
cache.batch_select_indices(torch.tensor([0]))  # one sequence goes on: nothing is done
try:
    cache.update(*tokens(1), 0)
    print("the next token is taken")
except RuntimeError as error:
    print("the next token raises:", error)
