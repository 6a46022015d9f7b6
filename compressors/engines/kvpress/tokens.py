"""Prompts as token ids, for the presses that read ``input_ids``.

Id 0 is a token of zeros, for whatever words a press adds; ids 1..n are the stream's triples, in
order. FINCH needs a delimiter and a question after it: the question is the stream's last tokens.
KVzip and KVgrad have the model repeat its context, and look up a tokenizer by the model's name:
the name is a folder with a tokenizer in it to which every word is id 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import kvpress
import torch
from kvpress import BasePress
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from ....errors import BadInput
from ...plugin.contract import Float32
from ..hf.carrier import Carrier
from .factory import members

#: what SnapKV observes by default
QUESTION = 64

_NEUTRAL = 0
_WORD = "[UNK]"


@contextmanager
def prompt(carrier: Carrier, press: BasePress, Q: Float32, K: Float32, V: Float32) -> Iterator[Any]:
    """Give the ids of a prompt, int64[1, m], while the press finds what it looks for.

    Raises:
        BadInput: the stream is too short for a question.
    """
    n = len(K)
    ids = carrier.write_table(1, Q, K, V)
    for part in members(press):
        if isinstance(part, kvpress.FinchPress):
            if n <= QUESTION:
                raise BadInput(
                    f"FinchPress uses the last {QUESTION} tokens as its question: give more tokens."
                )
            part.delimiter_token_id = _NEUTRAL
            delimiter = torch.tensor([[_NEUTRAL]])
            ids = torch.cat([ids[:, :-QUESTION], delimiter, ids[:, -QUESTION:]], dim=1)
    with TemporaryDirectory() as folder:
        _write_tokenizer(Path(folder))
        carrier.config._name_or_path = folder
        try:
            yield ids
        finally:
            carrier.config._name_or_path = ""


def _write_tokenizer(folder: Path) -> None:
    Tokenizer(WordLevel({_WORD: _NEUTRAL}, unk_token=_WORD)).save(str(folder / "tokenizer.json"))
    named = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": _WORD}
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
