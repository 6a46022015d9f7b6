"""transformers 5.23.0, 5.24.0: QuantizedCache.batch_select_indices moves only the newest tokens."""

import torch
from transformers import LlamaConfig, QuantizedCache

config = LlamaConfig(num_hidden_layers=1, num_attention_heads=1, head_dim=64, hidden_size=64)
cache = QuantizedCache(backend="hqq", config=config, nbits=4)


def tokens(count):  # sequence s holds the number s in every key and value
    rows = torch.arange(3.0)[:, None, None, None].expand(3, 1, count, 64).clone()
    return rows, rows.clone()


cache.update(*tokens(60), 0)  # a prompt: quantised at once
cache.update(*tokens(7), 0)  # and tokens after it: kept as they are, in the residual
cache.batch_select_indices(torch.tensor([2, 0, 1]))
keys, _ = cache.update(*tokens(1), 0)
print("wanted in sequences 0, 1, 2:    [2, 0, 1]")
print("tokens 0-59, of the prompt:    ", keys[:, 0, :60].mean((1, 2)).round().int().tolist())
print("tokens 60-66, of the residual: ", keys[:, 0, 60:67].mean((1, 2)).round().int().tolist())
