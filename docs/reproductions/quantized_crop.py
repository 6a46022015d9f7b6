"""transformers 5.23.0, 5.24.0: QuantizedCache.crop takes tokens away and leaves the length."""

import torch
from transformers import LlamaConfig, QuantizedCache

config = LlamaConfig(num_hidden_layers=1, num_attention_heads=1, head_dim=64, hidden_size=64)
cache = QuantizedCache(backend="hqq", config=config, nbits=4)


def tokens(count):
    return torch.randn(1, 1, count, 64), torch.randn(1, 1, count, 64)


cache.update(*tokens(20), 0)  # a prompt
cache.update(*tokens(4), 0)  # a draft of 4 tokens
cache.crop(-3)  # of which 3 are rejected: 21 tokens are left
print("get_seq_length(), 21 is right:  ", cache.get_seq_length())
keys, _ = cache.update(*tokens(1), 0)
print("keys with the next token, 22:   ", keys.shape[-2])
print("position it is given, 21:       ", cache.get_seq_length() - 1)
