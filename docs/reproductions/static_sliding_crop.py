"""transformers 5.24.0: StaticSlidingWindowLayer.crop past the window takes the wrong tokens."""

import torch
from transformers import LlamaConfig, StaticCache

config = LlamaConfig(num_hidden_layers=1, num_attention_heads=1, head_dim=64, hidden_size=64)
config.sliding_window, config.layer_types = 64, ["sliding_attention"]
cache = StaticCache(config=config, max_cache_len=256)


def tokens(first, end):  # token t holds the number t in every key and value
    rows = torch.arange(float(first), end)[None, None, :, None].expand(1, 1, -1, 64).clone()
    return rows, rows.clone()


cache.update(*tokens(0, 107), 0)
print("is_croppable says:         ", cache.is_croppable)
cache.crop(-7)  # tokens 100-106 are rejected
print("get_seq_length():          ", int(cache.get_seq_length()))
keys, _ = cache.update(*tokens(100, 101), 0)
held = [int(t) for t in keys[0, 0, :, 0]]
print("the 64 newest are wanted:   37-100")
print("held:                      ", f"{held[0]}-{held[-2]} and {held[-1]}")
