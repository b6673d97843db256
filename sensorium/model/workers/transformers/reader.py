"""A model that reads a prompt on from where it is the same as the one before."""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache

__all__ = ["Reader"]

CHUNK_TOKENS = 64
"""Tokens that are read at once, counted from the beginning of each prompt."""


class Reader:
    """Gives what comes next after tokens.

    A prompt is read in chunks of one size, and only whole chunks are kept for the next prompt. So how much was kept
    changes no bit of what is computed: in 16 bits, other chunks give other roundings.

    Args:
        model: A causal language model of transformers.
        device: Where it is.
    """

    def __init__(self, model: Any, device: str) -> None:
        self.num_cached = 0
        """How many tokens of the last prompt had been read before."""
        self._model = model
        self._device = device
        self._ids: list[int] = []
        """Tokens of the last prompt."""
        self._num_read = 0
        """Tokens in the cache, those behind the prompt among them."""
        self._cache = DynamicCache()

    def read(self, ids: list[int]) -> torch.Tensor:
        """Logits of what follows a prompt, float32 [vocabulary], on the model's device."""
        same = _common(self._ids, ids[:-1]) // CHUNK_TOKENS * CHUNK_TOKENS
        self._keep(same)
        self.num_cached, self._ids = same, ids
        starts = range(same, len(ids), CHUNK_TOKENS)
        return [self._step(ids[start : start + CHUNK_TOKENS]) for start in starts][-1]

    def go_on(self, token: int) -> torch.Tensor:
        """Logits of what follows when `token` comes next, float32 [vocabulary]."""
        return self._step([token])

    def _keep(self, num_tokens: int) -> None:
        if num_tokens == 0:
            self._cache = DynamicCache()
        elif num_tokens < self._num_read:
            self._cache.crop(num_tokens - self._num_read)
        self._num_read = num_tokens

    def _step(self, ids: list[int]) -> torch.Tensor:
        tokens = torch.tensor([ids], device=self._device)
        told = self._model(input_ids=tokens, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        self._num_read += len(ids)
        logits: torch.Tensor = told.logits[0, -1].float()
        return logits


def _common(left: list[int], right: list[int]) -> int:
    length = min(len(left), len(right))
    return next((index for index in range(length) if left[index] != right[index]), length)
