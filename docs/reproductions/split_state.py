"""llama.cpp b9190, cells apart: the restored state of a context has only the last sequence."""

from tiny_llama import context, decode

PROMPTS = [[(7 * t + s) % 100 for t in range(40)] for s in range(2)]
for unified in (True, False):
    ctx = context(sequences=2, unified=unified)
    for sequence in (0, 1):
        decode(ctx, PROMPTS[sequence], 0, sequence)
    saved = context(sequences=2, unified=unified)
    saved.set_state_data(ctx.get_state_data())
    for sequence in (0, 1):
        wanted, got = (decode(one, [5], 40, sequence) for one in (ctx, saved))
        pool = "one pool:   " if unified else "cells apart:"
        print(pool, "sequence", sequence, "logits off by", abs(got - wanted).max().round(4))
