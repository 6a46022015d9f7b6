"""The measurement of compressors on a real model's streams: a process of its own, JSON to JSON.

    python -m kvbarrier.compressors.engines.natural.worker < request > answer

The request: ``texts`` (kind and name each), ``prompt`` and ``continuation`` (tokens), ``every`` (of
the continuation's tokens one in so many is asked for the attention error), ``settings`` (target,
params, budget_bits of one head or null each). The answer: ``versions``, and for every text its
losses, the geometry of every layer, and what every setting made of it; or ``error``, one sentence.

After the prompt each KV head's cache is one message. Then the next tokens come, once with what the
model itself would have seen (for the attention error), once with what it sees through the restored
caches in all layers (for the loss).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import KVBarrierError
from . import geometry as of_keys
from . import texts
from .heads import NaturalHeads, grouped
from .smollm import SmolLM, Stream, causal, versions


@dataclass(frozen=True)
class Plan:
    """How long prompt and continuation are, in tokens, and which of the latter are asked for."""

    prompt: int
    continuation: int
    every: int


def main() -> int:
    """Read a request, write an answer; 1 if it is an error."""
    # What a library prints must not be taken for the answer.
    answer_to, sys.stdout = sys.stdout, sys.stderr
    try:
        answer = answered(json.load(sys.stdin))
    except KVBarrierError as error:
        answer = {"error": str(error)}
    json.dump(answer, answer_to)
    return int("error" in answer)


def answered(request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a request.

    Raises:
        BadInput: a text, a compressor or the model is not there, or a text is too short.
    """
    plan = Plan(request["prompt"], request["continuation"], request["every"])
    chosen = [texts.named(kind, name) for kind, name in request["texts"]]
    model = SmolLM()
    return {
        "versions": versions(),
        "texts": [of_text(model, plan, text, request["settings"]) for text in chosen],
    }


def of_text(
    model: SmolLM, plan: Plan, text: texts.Text, settings: list[Mapping[str, Any]]
) -> dict[str, Any]:
    """All of one text: its facts, geometry by layer, and by setting error, loss and memory."""
    # The last token is only foretold.
    ids = model.tokens(text.text, plan.prompt + plan.continuation + 1)
    stream = model.stream(ids[:-1])
    return {
        "kind": text.kind,
        "name": text.name,
        "digest": text.digest,
        "loss": float(model.losses(ids, plan.continuation).mean()),
        "geometry": geometry(stream, plan.prompt),
        "settings": [of_setting(model, plan, ids, stream, one) for one in settings],
    }


def of_setting(
    model: SmolLM,
    plan: Plan,
    ids: NDArray[np.int64],
    stream: Stream,
    setting: Mapping[str, Any],
) -> dict[str, Any]:
    """One compressor on one text: charged bits, bytes, attention error, mean loss in nats."""
    _stop_if_orphaned()
    n = plan.prompt
    heads = NaturalHeads(
        setting["target"],
        setting["params"],
        setting["budget_bits"],
        stream.Q[:, :n],
        stream.K[:, :n],
        stream.V[:, :n],
        plan.continuation,
    )
    losses = model.losses(ids[n:], plan.continuation, n, heads.answers)
    return {
        "charged_bits": heads.charged,
        "wire_bytes": heads.wire_bytes,
        "attention_error": attention_error(heads, stream, plan),
        "loss": float(losses.mean()),
    }


def attention_error(heads: NaturalHeads, stream: Stream, plan: Plan) -> float:
    """|o - o*| / |o*| over the tokens asked for, the mean over layers and query heads."""
    n, every = plan.prompt, plan.every
    found = []
    for l in range(len(stream.Q)):
        Q, K, V = stream.Q[l, n:], stream.K[l], stream.V[l]
        exact = causal(Q, K, V)[every - 1 :: every]
        said = heads.answers(l, Q, K[n:], V[n:], every)
        wrong = np.square(said - exact, dtype=np.float64).sum(axis=(0, 2))
        found.append(np.sqrt(wrong / np.square(exact, dtype=np.float64).sum(axis=(0, 2))))
    return float(np.mean(found))


def geometry(stream: Stream, prompt: int) -> list[dict[str, float]]:
    """By layer, the later tokens' queries over the prompt's keys: the mean over KV heads."""
    rows = []
    for Q, K in zip(stream.Q, stream.K, strict=True):
        by_head = grouped(Q[prompt:], K.shape[1])
        found = [
            of_keys.of_head(by_head[:, h].reshape(-1, K.shape[2]), K[:prompt, h])
            for h in range(K.shape[1])
        ]
        rows.append(of_keys.mean(found))
    return rows


_PARENT = os.getppid()


def _stop_if_orphaned() -> None:
    # Whoever asked is gone, by a signal perhaps, and nobody reads the answer.
    if os.getppid() != _PARENT:
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main())
