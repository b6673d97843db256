"""Decoding held to a JSON Schema."""

from __future__ import annotations

import json
from typing import Any

import llguidance
import llguidance.hf
import llguidance.torch
import torch

__all__ = ["Constraint"]


class Constraint:
    """What may come next; everything, where there is no schema.

    Args:
        tokenizer: The model's.
        num_tokens: Size of the model's vocabulary.
        schema: A JSON Schema as text, or None; what is written has its keys in the schema's order.

    Raises:
        ValueError: The schema says what decoding cannot be held to.
    """

    def __init__(self, tokenizer: Any, num_tokens: int, schema: str | None) -> None:
        self._matcher: Any = None
        if schema is None:
            return
        own: Any = llguidance.hf.from_tokenizer(tokenizer, n_vocab=num_tokens)
        told = json.dumps({"x-guidance": {"whitespace_flexible": False}, **json.loads(schema)})
        self._matcher = llguidance.LLMatcher(own, llguidance.LLMatcher.grammar_from_json_schema(told))
        self._mask: Any = llguidance.torch.allocate_token_bitmask(1, num_tokens)
        self._check()

    def masked(self, logits: torch.Tensor) -> torch.Tensor:
        """The logits, minus infinity where a token may not come."""
        if self._matcher is None:
            return logits
        llguidance.torch.fill_next_token_bitmask(self._matcher, self._mask)
        allowed = logits.cpu()[None]
        llguidance.torch.apply_token_bitmask_inplace(allowed, self._mask)
        return allowed[0]

    def take(self, token: int) -> None:
        """Goes on behind a token."""
        if self._matcher is not None:
            self._matcher.consume_token(token)
            self._check()

    @property
    def has_ended(self) -> bool:
        """Whether the JSON is whole."""
        return self._matcher is not None and bool(self._matcher.is_stopped())

    def _check(self) -> None:
        if fault := self._matcher.get_error():
            raise ValueError(f"the reply cannot be held to its JSON Schema: {fault}")
