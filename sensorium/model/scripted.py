"""A language model that says what it was told to say: for tests of agents and graphs without weights."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Collection, Sequence

from sensorium.errors import CallerError, ModelError
from sensorium.model.contract import Ask, ModelEvent, Piece, Reply, Usage, require_readable, shown
from sensorium.model.fitting import misfit

__all__ = ["ScriptedModel"]


class ScriptedModel:
    """A `Model` whose replies are given. It is held to what it is asked, as a real model is by its decoding.

    Args:
        replies: Replies in order, or a function from an ask to its reply.
        context_tokens: Prompts of more words than this are refused; None refuses none.
        is_held: Whether replies are held to what the ask allows, in kind and length; a server may let any pass.
        reads: Kinds of part that it takes beside text.
    """

    def __init__(
        self,
        replies: Sequence[str] | Callable[[Ask], str],
        *,
        context_tokens: int | None = None,
        is_held: bool = True,
        reads: Collection[str] = (),
    ) -> None:
        self.asked: list[Ask] = []
        self.reads = frozenset(reads)
        """Kinds of part that it takes beside text."""
        self._replies = replies
        self._context_tokens = context_tokens
        self._is_held = is_held

    @property
    def identity(self) -> str:
        """Digest of the replies; of the function's name where they are a function."""
        said = self._replies.__qualname__ if callable(self._replies) else list(self._replies)
        return hashlib.sha256(f"scripted {json.dumps(said)}".encode()).hexdigest()

    def prompt(self, ask: Ask) -> str:
        """The messages, each behind its role in brackets."""
        return "\n".join(f"[{message.role}]\n{shown(message)}" for message in ask.messages)

    async def ask(self, ask: Ask) -> AsyncGenerator[ModelEvent, None]:
        """The next reply, word by word.

        Raises:
            ModelError: No reply is left, or the reply is none that the ask allows.
            CallerError: The messages have more words than `context_tokens`, or hold parts that it does not read.
        """
        require_readable(ask, self.reads)
        self.asked.append(ask)
        num_words = len(self.prompt(ask).split())
        self._check_length(num_words)
        text = self._next(ask)
        finish = False
        if self._is_held:
            fault = misfit(text, ask)
            if fault:
                raise ModelError(f"the scripted model said {text!r}; {fault}")
            text, finish = _ended(text, ask)
        words = text.split(" ")
        for index, word in enumerate(words):
            await asyncio.sleep(0)
            yield Piece(word if index == 0 else f" {word}")
        scores = {choice: 0.0 if choice == text else -10.0 for choice in ask.choices or ()}
        yield Reply(text, Usage(num_words, len(words)), "length" if finish else "stop", scores)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _check_length(self, num_words: int) -> None:
        limit = self._context_tokens
        if limit is not None and num_words > limit:
            raise CallerError(
                f"the prompt has {num_words} tokens, {num_words - limit} more than the {limit} of the model's context; "
                "shorten the request"
            )

    def _next(self, ask: Ask) -> str:
        if callable(self._replies):
            return self._replies(ask)
        position = len(self.asked) - 1
        if position >= len(self._replies):
            raise ModelError(f"the scripted model has {len(self._replies)} replies and was asked for one more")
        return self._replies[position]


def _ended(text: str, ask: Ask) -> tuple[str, bool]:
    """The reply up to a stop text or to the most tokens, and whether the latter ended it."""
    for stop in ask.stop:
        text = text.split(stop, 1)[0]
    words = text.split(" ")
    return " ".join(words[: ask.max_tokens]), len(words) > ask.max_tokens
