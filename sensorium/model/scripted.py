"""A language model that says what it was told to say: for tests of agents and graphs without weights."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from typing import Any, cast

from sensorium.errors import CallerError, ModelError
from sensorium.model.contract import Ask, ModelEvent, Piece, Reply, Usage, require_readable, shown

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
            _check(text, ask)
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


def _check(text: str, ask: Ask) -> None:
    if ask.choices is not None and text not in ask.choices:
        raise ModelError(f"the scripted model said {text!r}; it may say {', '.join(map(repr, ask.choices))}")
    if ask.schema is not None:
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ModelError(f"the scripted model said {text!r}, which is not JSON: {error}") from error
        fault = _misfit(value, ask.schema, "reply")
        if fault:
            raise ModelError(f"the scripted model said {text!r}, which does not fit the schema: {fault}")


_KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def _misfit(value: Any, schema: Mapping[str, Any], at: str) -> str:
    """What is wrong with a value; empty where nothing is.

    Held to: type, enum, anyOf, properties, required, items, maxLength.
    """
    if "anyOf" in schema:
        faults = [_misfit(value, option, at) for option in schema["anyOf"]]
        return "" if "" in faults else "; ".join(faults)
    if "enum" in schema and value not in schema["enum"]:
        return f"{at} is {value!r}, none of {schema['enum']}"
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        return f"{at} is {value!r}, not of type {' or '.join(kinds)}"
    if isinstance(value, dict):
        return _object_misfit(cast("dict[str, Any]", value), schema, at)
    if isinstance(value, list):
        items = cast("Sequence[object]", value)
        inner = (_misfit(item, schema.get("items", {}), f"{at}[{index}]") for index, item in enumerate(items))
        return next((fault for fault in inner if fault), "")
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        return f"{at} has {len(value)} characters, more than {schema['maxLength']}"
    return ""


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and not (isinstance(value, bool) and kind in ("number", "integer"))


def _object_misfit(value: dict[str, Any], schema: Mapping[str, Any], at: str) -> str:
    properties = schema.get("properties", {})
    missing = [name for name in schema.get("required", []) if name not in value]
    if missing:
        return f"{at} lacks {', '.join(missing)}"
    unknown = [name for name in value if properties and name not in properties]
    if unknown:
        return f"{at} has {', '.join(unknown)}, which the schema does not name"
    inner = (_misfit(value[name], properties[name], f"{at}.{name}") for name in properties if name in value)
    return next((fault for fault in inner if fault), "")
