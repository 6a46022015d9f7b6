"""A random llama of one layer for llama.cpp, and a context of it: what the reproductions share."""

import gguf
import numpy as np
from cyllama.llama import llama_cpp as api

api.disable_logging()
D, V = 64, 100


class Model(api.LlamaModel):
    n_vocab = property(lambda self: V)  # get_logits_ith asks for it


def context(sequences=1, unified=True, path="/tmp/tiny.gguf"):
    rng, writer = np.random.default_rng(0), gguf.GGUFWriter(path, "llama")
    for name, value in {
        "context_length": 512, "embedding_length": D, "feed_forward_length": D, "block_count": 1,
        "head_count": 1, "head_count_kv": 1, "layer_norm_rms_eps": 1e-5, "vocab_size": V,
        "tokenizer_model": "none",
    }.items():  # fmt: skip
        getattr(writer, f"add_{name}")(value)
    shapes = {"token_embd": (V, D), "output": (V, D)}
    shapes |= {f"blk.0.attn_{name}": (D, D) for name in ("q", "k", "v", "output")}
    shapes |= {f"blk.0.ffn_{name}": (D, D) for name in ("gate", "up", "down")}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.normal(0, 0.3, shape).astype(np.float32))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(D, np.float32))
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file()
    writer.close()
    model, params = api.LlamaModelParams(), api.LlamaContextParams()
    params.n_ctx, params.n_seq_max, params.kv_unified = 256 * sequences, sequences, unified
    return api.LlamaContext(Model(path, model, False), params, False)


def decode(ctx, tokens, first, sequence=0):
    """Append tokens at positions from ``first`` on; return the logits after the last."""
    batch = api.LlamaBatch(n_tokens=len(tokens), embd=0, n_seq_max=1)
    for at, token in enumerate(tokens):
        batch.add(token, first + at, [sequence], at == len(tokens) - 1)
    ctx.decode(batch)
    return np.array(ctx.get_logits_ith(len(tokens) - 1))
