"""llama.cpp b9190: a state saved between llama_memory_seq_add and a decode loses the shift."""
# New positions are in the state, old keys, and nothing of the turn that is due.

from tiny_llama import context, decode

PROMPT = [(7 * t) % 100 for t in range(60)]


def shifted():  # tokens 4-19 go, what comes after closes up
    ctx = context()
    decode(ctx, PROMPT, 0)
    ctx.memory_seq_rm(0, 4, 20)
    ctx.memory_seq_add(0, 20, -1, -16)
    return ctx


wanted = decode(shifted(), [5], 44)
saved = context()
saved.set_state_data(shifted().get_state_data())
print(
    "saved at once:            logits off by", abs(decode(saved, [5], 44) - wanted).max().round(4)
)
ctx = shifted()
decode(ctx, [5], 44)  # the keys are turned now
ctx.memory_seq_rm(0, 44, -1)
saved = context()
saved.set_state_data(ctx.get_state_data())
print(
    "saved after one decode:   logits off by", abs(decode(saved, [5], 44) - wanted).max().round(4)
)
