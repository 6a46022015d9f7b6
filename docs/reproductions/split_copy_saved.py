"""llama.cpp b9190, cells apart: a state saved between llama_memory_seq_cp and a decode is empty.

seq_cp between parts copies positions at once and keys and values at the next decode.
"""

from tiny_llama import context, decode

for unified in (True, False):
    ctx = context(sequences=2, unified=unified)
    decode(ctx, [(7 * t) % 100 for t in range(40)], 0)
    ctx.memory_seq_cp(0, 1, -1, -1)
    saved = context(sequences=2, unified=unified)
    saved.set_state_seq_data(ctx.get_state_seq_data(1), 1)
    got, wanted = decode(saved, [5], 40, 1), decode(ctx, [5], 40, 1)
    pool = "one pool:   " if unified else "cells apart:"
    print(pool, "the saved copy's logits are off by", abs(got - wanted).max().round(4))
