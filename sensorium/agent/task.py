"""What an agent was asked, and what came with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal, cast

from sensorium.agent.empty import found_nothing
from sensorium.agent.hand import Hand
from sensorium.agent.media import Media, media_of
from sensorium.agent.render import cut, render
from sensorium.errors import CallerError
from sensorium.model.contract import Message
from sensorium.parts import Data, Latent, Text, Value
from sensorium.spec.ports import PortType, Signature

__all__ = ["Call", "Task", "fruitless", "trim"]

HISTORY_CHARS = 6000
"""Most characters of earlier messages in a prompt. The oldest messages go first, whole; the prompt says how many."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that an agent made."""

    tool: str
    outputs: Mapping[str, Value]
    failed: str = ""
    """Why it failed; empty where it did not."""

    @property
    def found_nothing(self) -> bool:
        """Whether it ended well, and brought nothing."""
        return not self.failed and found_nothing(self.outputs)


def fruitless(calls: Sequence[Call]) -> list[str]:
    """The tools whose last call found nothing, in the order in which they were first called."""
    last = {call.tool: call for call in calls}
    return [tool for tool, call in last.items() if call.found_nothing]


@dataclass(frozen=True, slots=True)
class Task:
    """A request with everything that came with it."""

    request: str
    history: tuple[Message, ...]
    facts: tuple[tuple[str, str], ...]
    """Further inputs as text: port and what it holds."""
    hand: Hand
    crossed: tuple[str, ...]
    """Latent inputs that were read as their text."""
    media: Media = ()
    """Pictures and sounds that the model takes itself."""

    @classmethod
    def of(cls, signature: Signature, inputs: Mapping[str, Value], reads: Set[str] = frozenset()) -> Task:
        """The task that an agent's inputs set, for a model that takes parts of the kinds `reads` beside text.

        Raises:
            CallerError: The history is not a list of messages, or a latent has no text that says the same.
        """
        texts = {port: value.value for port, value in inputs.items() if isinstance(value, Text)}
        main = "request" if "request" in texts else next(iter(texts), "")
        latents = {port: value for port, value in inputs.items() if isinstance(value, Latent)}
        _require_twins(latents)
        told = {**{port: text for port, text in texts.items() if port != main}, **_told(signature.inputs, inputs)}
        hand = Hand().given(inputs, signature.inputs)
        history, facts, media = _history(inputs.get("history")), tuple(told.items()), media_of(inputs, reads)
        return cls(texts.get(main, ""), history, facts, hand, tuple(latents), media)


def _told(types: Mapping[str, PortType], inputs: Mapping[str, Value]) -> dict[str, str]:
    """Inputs that a model reads as text and that are no texts themselves."""
    kinds = ("number", "flag", "data", "segments", "latent")
    return {
        port: render(value)
        for port, value in inputs.items()
        if port != "history" and value is not None and port in types and types[port].kind in kinds
    }


def _require_twins(latents: Mapping[str, Latent]) -> None:
    mute = [port for port, latent in latents.items() if latent.twin is None]
    if mute:
        raise CallerError(
            f"input {mute[0]} is a latent of space {latents[mute[0]].space}, which this language model cannot read, "
            "and no text stands in for it; wire it from an output that has a twin"
        )


def _history(value: Value) -> tuple[Message, ...]:
    if value is None:
        return ()
    try:
        assert isinstance(value, Data)
        return tuple(_message(entry) for entry in cast("Sequence[Any]", value.value))
    except (AssertionError, KeyError, TypeError, AttributeError) as error:
        raise CallerError(
            'history is not a list of messages; give [{"role": "user" or "assistant", "text": TEXT}, ...]'
        ) from error


def _message(entry: Mapping[str, Any]) -> Message:
    role: Literal["user", "assistant"] = "assistant" if entry["role"] == "assistant" else "user"
    return Message(role, str(entry["text"]))


def trim(history: Sequence[Message], most: int = HISTORY_CHARS) -> tuple[Message, ...]:
    """The newest messages within `most` characters, beginning with one of the user's.

    Where older ones were left out, the first message says how many. A newest message that is too long by itself is cut.
    """
    kept: list[Message] = []
    room = most
    for message in reversed(history):
        if room < len(message.content) and kept:
            break
        kept.append(Message(message.role, cut(message.content, max(room, 0))))
        room -= len(message.content)
    kept.reverse()
    while kept and kept[0].role != "user":
        kept.pop(0)
    num_left_out = len(history) - len(kept)
    if num_left_out and kept:
        kept[0] = Message("user", f"({num_left_out} earlier messages left out)\n{kept[0].content}")
    return tuple(kept)
