"""llama.cpp b9190, one pool of cells: llama_memory_seq_add on a sequence moves its copy as well."""

from tiny_llama import context, decode

PROMPT = [(7 * t) % 100 for t in range(60)]
ctx = context(sequences=2)
decode(ctx, PROMPT, 0)
ctx.memory_seq_cp(0, 1, -1, -1)
print("copy, before:  positions", ctx.memory_seq_pos_min(1), "to", ctx.memory_seq_pos_max(1))
ctx.memory_seq_rm(0, 4, 20)
ctx.memory_seq_add(0, 20, -1, -16)
print("copy, after:   positions", ctx.memory_seq_pos_min(1), "to", ctx.memory_seq_pos_max(1))
print("nothing was done to the copy: its tokens 20-59 now stand where the source's do")
