"""Keys, queries and values of a model's heads on a text: a process of its own, JSON to JSON.

    python -m kvbarrier.compressors.engines.natural.capture < request > answer

The request: ``model`` (a folder, or null for the packaged weights), ``text`` (or a kind and a name
of ``texts``, some of which come with this environment), ``tokens``, ``layers`` and ``heads`` (KV
heads; lists, or null for all), ``out``, the file to write, in the format of
``compressors.captured.key_file``. The answer: the sizes and what they depend on; or ``error``, one
sentence.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import BadInput, KVBarrierError
from . import texts
from .smollm import SmolLM, versions


def main() -> int:
    """Read a request, write the file and an answer; 1 if it is an error."""
    # What a library prints must not be taken for the answer.
    answer_to, sys.stdout = sys.stdout, sys.stderr
    try:
        answer = captured(json.load(sys.stdin))
    except KVBarrierError as error:
        answer = {"error": str(error)}
    json.dump(answer, answer_to)
    return int("error" in answer)


def captured(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write the file, and say what is in it.

    Raises:
        BadInput: the model is not there or of another kind, the text is too short, or a layer or
            head is none of the model's.
    """
    model = SmolLM(request["model"])
    layers = _chosen(request["layers"], model.layers, "layer")
    heads = _chosen(request["heads"], model.kv_heads, "KV head")
    text = request["text"]
    ids = model.tokens(
        text if isinstance(text, str) else texts.named(*text).text, request["tokens"]
    )
    stream = model.stream(ids)
    group = model.heads // model.kv_heads
    asking = [h * group + g for h in heads for g in range(group)]
    about = {"model": request["model"] or "SmolLM2-135M-Instruct", **versions()}
    with Path(request["out"]).open("wb") as file:
        np.savez(
            file,
            keys=_heads(stream.K, layers, heads),
            queries=_heads(stream.Q, layers, asking),
            values=_heads(stream.V, layers, heads),
            layers=np.array(layers),
            heads=np.array(heads),
            tokens=ids,
            about=np.array(json.dumps(about)),
        )
    sizes = {"layers": layers, "heads": heads, "tokens": len(ids), "d": model.d, "group": group}
    return sizes | about


def _heads(part: Any, layers: list[int], heads: list[int]) -> Any:
    """[layers, tokens, heads, d] -> the chosen, [layers, heads, tokens, d]."""
    return np.ascontiguousarray(part[layers][:, :, heads].transpose(0, 2, 1, 3))


def _chosen(asked: list[int] | None, count: int, what: str) -> list[int]:
    every = list(range(count))
    for number in asked or ():
        if number not in every:
            raise BadInput(f"The model has the {what}s 0 to {count - 1}, and no {what} {number}.")
    return every if asked is None else asked


if __name__ == "__main__":
    sys.exit(main())
