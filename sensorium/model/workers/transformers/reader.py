"""A model that reads on from where two prompts are the same."""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache

__all__ = ["Reader"]

CHUNK_TOKENS = 512
"""Most tokens that are read at once."""


class Reader:
    """Gives what comes next after tokens; what it read last is kept, and read again only from where tokens differ.

    Args:
        model: A causal language model of transformers.
        device: Where it is.
    """

    def __init__(self, model: Any, device: str) -> None:
        self.num_cached = 0
        """How many of the tokens last read had been read before."""
        self._model = model
        self._device = device
        self._ids: list[int] = []
        self._cache = DynamicCache()

    def read(self, ids: list[int]) -> torch.Tensor:
        """Logits of the next token, float32 [vocabulary], on the model's device."""
        same = _common(self._ids, ids[:-1])
        if same == 0:
            self._cache = DynamicCache()
        elif same < len(self._ids):
            self._cache.crop(same - len(self._ids))
        self._ids = ids[:same]
        self.num_cached = same
        logits: torch.Tensor | None = None
        for start in range(same, len(ids), CHUNK_TOKENS):
            chunk = torch.tensor([ids[start : start + CHUNK_TOKENS]], device=self._device)
            told = self._model(input_ids=chunk, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
            logits = told.logits[0, -1].float()
            self._ids = ids[: start + CHUNK_TOKENS]
        assert logits is not None, "a prompt has at least one token"
        return logits


def _common(left: list[int], right: list[int]) -> int:
    length = min(len(left), len(right))
    return next((index for index in range(length) if left[index] != right[index]), length)
