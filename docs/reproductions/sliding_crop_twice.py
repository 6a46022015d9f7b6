"""transformers 5.23.0, 5.24.0: a sliding layer that is cropped twice comes out short."""

import torch
from transformers import DynamicCache, LlamaConfig

config = LlamaConfig(num_hidden_layers=1, num_attention_heads=1, head_dim=64, hidden_size=64)
config.sliding_window, config.layer_types = 16, ["sliding_attention"]
cache = DynamicCache(config=config)
cache.activate_past_recording()


def tokens(count):
    return torch.randn(1, 1, count, 64), torch.randn(1, 1, count, 64)


cache.update(*tokens(40), 0)
cache.crop(-3)  # the last 15 of 37 tokens stay: what the next token may see
cache.crop(-3)  # of 34 tokens the last 15 are wanted
print("tokens in the cache, 15 are wanted:", cache.layers[0].keys.shape[-2])
wanted, _ = cache.get_mask_sizes(1, 0)
keys, _ = cache.update(*tokens(1), 0)
print("a mask is made for", wanted, "keys, and update returns", keys.shape[-2])
