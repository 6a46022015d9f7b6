"""llama.cpp b9190, cells apart: llama_memory_seq_keep(1) leaves the tokens of sequence 0."""

from tiny_llama import context, decode

for unified in (True, False):
    ctx = context(sequences=2, unified=unified)
    for sequence in (0, 1):
        decode(ctx, [(7 * t) % 100 for t in range(30)], 0, sequence)
    ctx.memory_seq_keep(1)
    pool = "one pool:   " if unified else "cells apart:"
    print(pool, "sequence 0 still has", ctx.memory_seq_pos_max(0) + 1, "of 30 tokens")
