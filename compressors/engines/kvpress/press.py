"""NVIDIA's kvpress: any of its presses on a genuine model, ``kvpress:KnormPress?...``.

A prefill press compresses the cache of a prompt, inside ``with press(model)``; a decoding press
works on tokens that come one by one. Questions are asked outside of it: decoding no longer needs
the press. The indices that a press stores on the attention modules for masking are part of the
message, because decoding needs them; so is what a decoding press keeps between two tokens.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from ....errors import BadInput, PluginFailure
from ...plugin.contract import Float32
from ..engine import Engine, own_only
from ..hf.carrier import Carrier
from ..memories import Memories, sizes
from .factory import build, promised, traits
from .message import PressState, tensors_in, unpack, wait_with, waiting_in
from .tokens import prompt

# Their warnings are about speed and about models that were not tried.
logging.getLogger("kvpress").setLevel(logging.ERROR)


class KVPress(Engine):
    """A press behind the contract.

    Args:
        what: a press class of kvpress.
        dtype: of model and cache: ``bf16``, ``fp16`` or ``fp32``.
        model: the carrier's family (``hf.families``).
        params: the press's own, and those of the presses inside it (see ``factory``).

    Raises:
        BadInput: kvpress does not have this press or parameter, it needs downloads, it rejects a
            value, or it does not support a way to feed or to ask.
    """

    packages = ("torch", "transformers", "kvpress")

    def set_up(
        self, *, what: str, dtype: str = "bf16", model: str = "plain", **params: Any
    ) -> None:
        """Build the press, its carrier, and an empty cache."""
        shape = self.shape
        self.press = build(what, params)
        self.traits = traits(self.press)
        one_mask = not self.traits.masks and not (self.traits.uneven and shape.layers > 1)
        self.asks = ("mask", "serial") if one_mask else ("serial",)
        fits = {"prefill": self.traits.prefills, "stream": self.traits.decodes}
        self.feeds = tuple(feed for feed, may in fits.items() if may)
        if self.traits.eager and self.traits.masks:
            raise BadInput(
                f"{what} masks, which kvpress cannot do with eager attention, and the press "
                "inside it needs the attention weights, which only eager attention gives: use "
                "another press inside it."
            )
        attention = "eager" if self.traits.eager else None
        vocabulary = shape.tokens + 1 if self.traits.tokens else 0
        self.carrier = Carrier(shape, dtype, attention, vocabulary, family=model)
        if any(w is not None and w <= shape.tokens for w in self.carrier.windows):
            raise BadInput(
                f"{what} presses all layers alike, and in {model} some slide past this stream: use "
                "a model without such layers, or fewer tokens."
            )
        self.cache: Any = DynamicCache()
        self.seen = 0
        self._pressed: list[int] | None = None
        self._waiting: list[dict[str, Any]] = []
        self._most = 0

    # -- feeding -------------------------------------------------------------------------------

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take tokens in order; behind a prompt that was pressed they are a question's, not its."""
        if self._pressed is None:
            super().extend(Q, K, V)
            return
        # kvpress finds no mask for a query of zeros, which no word of a question has.
        Q = np.where(np.any(Q, axis=-1, keepdims=True), Q, K)
        for q, k, v in zip(Q, K, V, strict=True):
            self.carrier.forward(self.cache, self.carrier.embed(q[None], k[None], v[None]))

    def crop(self, tokens: int) -> None:
        """Take a question and its answer back, as kvpress's pipeline does before the next one.

        Raises:
            ValueError: tokens of the prompt are among them; a press has no way to take those back.
        """
        prompt_tokens = self.shape.tokens
        if self._pressed is None or tokens < prompt_tokens:
            raise ValueError(f"the prompt of {prompt_tokens} tokens was pressed and stays")
        left = tokens - prompt_tokens
        for layer, held in zip(self.cache.layers, self._pressed, strict=True):
            layer.keys = layer.keys[:, :, : held + left]
            layer.values = layer.values[:, :, : held + left]

    def _prefill(self, Q: Float32, K: Float32, V: Float32) -> None:
        self._press_prompt(Q, K, V)
        self._pressed = [layer.get_seq_length() for layer in self.cache.layers]

    def _press_prompt(self, Q: Float32, K: Float32, V: Float32) -> None:
        with self._coins(0):
            if not self.traits.tokens:
                with self.press(self.carrier.model):
                    self.carrier.forward(self.cache, self.carrier.embed(Q, K, V))
                return
            with prompt(self.carrier, self.press, Q, K, V) as ids, self.press(self.carrier.model):
                self.carrier.forward(self.cache, ids)

    def _step(self, q: Float32, k: Float32, v: Float32) -> None:
        if self.traits.masks and not np.asarray(q).any(axis=-1).all():
            raise BadInput(
                f"{self.what} masks while it decodes, and kvpress finds no mask for a query of "
                "zeros: use --queries gaussian."
            )
        token = self.carrier.embed(q[None], k[None], v[None])
        with self._coins(self.seen), self.press(self.carrier.model), torch.no_grad():
            # A press forgets everything at the end of its context.
            wait_with(self.press, self._waiting)
            self.carrier.model.model(
                inputs_embeds=token,
                past_key_values=self.cache,
                # What was evicted counts too: kvpress asks for logical positions.
                position_ids=torch.tensor([[self.seen]]),
                use_cache=True,
            )
            self._waiting = waiting_in(self.press)
        self._most = max(self._most, self._waits)
        self.seen += 1

    @property
    def _waits(self) -> int:
        """Bytes of what waits for the press's next round."""
        return sizes(tensors_in(self._waiting))[1]

    @contextmanager
    def _coins(self, step: int) -> Iterator[None]:
        # Presses draw from torch's global generator.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(self.rng(step).integers(1 << 62)))
            yield

    # -- asking --------------------------------------------------------------------------------

    def _ask_masked(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        mask = torch.from_numpy(own_only(len(Q), self.cache.get_seq_length()))
        token = self.carrier.embed(Q, K, V)
        return self.carrier.forward(self._twin(), token, mask[None, None])

    def _ask_serial(self, q: Float32, k: Float32, v: Float32) -> Float32:
        token = self.carrier.embed(q[None], k[None], v[None])
        answer: Float32 = self.carrier.forward(self._twin(), token)[0]
        return answer

    def _twin(self) -> Any:
        # An update replaces the tensors of a layer, so they need no copies.
        twin = copy.copy(self.cache)
        twin.layers = [copy.copy(layer) for layer in self.cache.layers]
        return twin

    # -- the message ---------------------------------------------------------------------------

    def save(self) -> bytes:
        """The cache as bytes. Raises PluginFailure if the prompt is not whole yet."""
        if self._pending:
            raise PluginFailure(f"{self.what} compresses a whole prompt at once, not a part of it.")
        return super().save()

    def _message(self) -> bytes:
        """Everything that decoding needs (see ``message``); empty if that is nothing."""
        return self._state().pack() if self.cache.layers else b""

    def _take(self, message: bytes) -> None:
        if not message:
            return
        state = unpack(message, self.shape, self.carrier.width, self.carrier.dtype)
        self.cache, self.seen, self._waiting = state.as_cache(), state.seen, state.waiting
        if self.feed == "prefill":
            self._pressed = [layer.get_seq_length() for layer in self.cache.layers]
        for module, rows in zip(self._modules(), state.masked, strict=True):
            indices = None if rows is None else torch.nonzero(rows[None], as_tuple=True)
            module.masked_key_indices = indices

    def _state(self) -> PressState:
        layers = self.cache.layers
        masked: list[Any] = []
        for layer, indices in zip(layers, self._masks(), strict=True):
            rows = torch.zeros(layer.keys.shape[:3], dtype=torch.bool)
            if indices is not None:
                rows[tuple(indices)] = True
            masked.append(None if indices is None else rows[0])
        keys, values = [one.keys[0] for one in layers], [one.values[0] for one in layers]
        return PressState(keys, values, masked, self.seen, self._waiting)

    def _modules(self) -> list[Any]:
        return [layer.self_attn for layer in self.carrier.model.model.layers]

    def _masks(self) -> list[Any]:
        return [getattr(module, "masked_key_indices", None) for module in self._modules()]

    # -- what it says of itself ----------------------------------------------------------------

    def _rows(self) -> tuple[list[list[Float32]], list[list[Float32]]]:
        d = (self.shape.d_k, self.shape.d_v)
        parts = [(layer.keys[0], layer.values[0]) for layer in self.cache.layers]
        keys, values = (
            [[rows[:, : d[at]].float().numpy() for rows in pair[at]] for pair in parts]
            for at in (0, 1)
        )
        return keys, values

    def memories(self) -> Memories:
        """The cache, the indices on the modules, and what the press itself claims."""
        held = [t for layer in self.cache.layers for t in (layer.keys, layer.values)]
        side = tensors_in([part for part in self._masks() if part is not None])
        share, basis = promised(self.press, self.shape.tokens)
        logical, resident = sizes(held)
        return Memories(
            logical,
            resident,
            side=sizes(side)[1] + self._waits,
            claimed=None if share is None else round(share * self.shape.cache_bits_16 / 8),
            basis=basis,
            beside=max(0, self._most - self._waits),
            beside_is="what waits for the next round of the press, at its most",
        )
