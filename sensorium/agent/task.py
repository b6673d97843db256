"""What an agent was asked, and what came with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

from sensorium.agent.empty import found_nothing
from sensorium.agent.hand import Hand
from sensorium.agent.media import Media, media_of
from sensorium.agent.render import cut, fence, render, render_all
from sensorium.errors import CallerError
from sensorium.model.contract import Message
from sensorium.parts import Data, Latent, Text, Value
from sensorium.spec.ports import PortType, Signature

__all__ = ["FOUND_NOTHING", "HISTORY_CHARS", "Call", "Task", "Trimmed", "fruitless", "trim"]

HISTORY_CHARS = 6000
"""Most characters of earlier messages in a prompt; `trim` says which are left out where there are more."""

FOUND_NOTHING = "found nothing"
"""What a model, and the user, is told of a call that brought nothing."""


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

    @property
    def told(self) -> tuple[str, str]:
        """What the model is told of it: where that comes from, and the text, which is data."""
        if self.failed:
            return f"{self.tool} failed", self.failed.encode("utf-8", "backslashreplace").decode()
        return self.tool, FOUND_NOTHING if self.found_nothing else render_all(self.outputs)


def fruitless(calls: Sequence[Call]) -> list[str]:
    """The tools whose last call found nothing, in the order in which they were first called."""
    last = {call.tool: call for call in calls}
    return [tool for tool, call in last.items() if call.found_nothing]


@dataclass(frozen=True, slots=True)
class Task:
    """A request with everything that came with it."""

    request: str
    history: tuple[Message, ...]
    """What was said before."""
    facts: tuple[tuple[str, str], ...]
    """Further inputs as text: port and what it holds."""
    hand: Hand
    media: Media = ()
    """Pictures, sounds and latents that the model takes itself."""
    gave: tuple[str, ...] = ()
    """For each message of the history, what tools gave for it, within marks; empty where they gave nothing."""

    said: str = ""
    """All of it as text: what latents say, then the request and the rest."""

    @classmethod
    def of(cls, signature: Signature, inputs: Mapping[str, Value], reads: Set[str] = frozenset()) -> Task:
        """The task that an agent's inputs set, for a model that takes parts of the kinds `reads` beside text.

        Raises:
            CallerError: The history is not a list of messages, or a latent has no text that says the same.
        """
        texts = {port: value.value for port, value in inputs.items() if isinstance(value, Text)}
        main = "request" if "request" in texts else next(iter(texts), "")
        latents = {port: value for port, value in inputs.items() if isinstance(value, Latent)}
        taken = [port for port, latent in latents.items() if latent.rung]
        _require_twins({port: latent for port, latent in latents.items() if port not in taken})
        told = {
            **{port: text for port, text in texts.items() if port != main},
            **_told(signature.inputs, inputs, taken),
        }
        hand = Hand().given(inputs, signature.inputs)
        history, gave = _history(inputs.get("history"))
        facts, media = tuple(told.items()), media_of(inputs, reads)
        twins = [latent.twin for latent in latents.values() if latent.twin]
        rest = [fence(port, text) for port, text in told.items() if port not in latents]
        said = "\n\n".join((*twins, *filter(None, (texts.get(main, ""), *rest))))
        return cls(texts.get(main, ""), history, facts, hand, media, gave, said)


def _told(types: Mapping[str, PortType], inputs: Mapping[str, Value], taken: Sequence[str]) -> dict[str, str]:
    """Inputs that a model reads as text and that are no texts themselves."""
    kinds = ("number", "flag", "data", "segments", "latent")
    return {
        port: render(value)
        for port, value in inputs.items()
        if port != "history" and port not in taken and value is not None and port in types and types[port].kind in kinds
    }


def _require_twins(latents: Mapping[str, Latent]) -> None:
    mute = [port for port, latent in latents.items() if latent.twin is None]
    if mute:
        raise CallerError(
            f"input {mute[0]} is a latent of space {latents[mute[0]].space}, which this language model cannot read, "
            "and no text stands in for it; wire it from an output that has a twin"
        )


def _history(value: Value) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    if value is None:
        return (), ()
    try:
        assert isinstance(value, Data)
        entries = cast("Sequence[Any]", value.value)
        return tuple(_message(entry) for entry in entries), tuple(_gave(entry) for entry in entries)
    except (AssertionError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CallerError(
            'history is not a list of messages; give [{"role": "user" or "assistant", "text": TEXT}, ...], and with it '
            '"gave": [[TOOL, TEXT], ...] where tools gave something'
        ) from error


def _gave(entry: Mapping[str, Any]) -> str:
    return "\n".join(fence(str(source), str(text)) for source, text in entry.get("gave", ()))


def _message(entry: Mapping[str, Any]) -> Message:
    role: Literal["user", "assistant"] = "assistant" if entry["role"] == "assistant" else "user"
    return Message(role, str(entry["text"]))


class Trimmed(NamedTuple):
    """Messages that fit, and how many older ones do not."""

    kept: tuple[Message, ...]
    num_left_out: int


def trim(history: Sequence[Message], most: int = HISTORY_CHARS) -> Trimmed:
    """The newest messages within `most` characters, beginning with one of the user's.

    Whenever they grow beyond that, the oldest go at once until half of it is filled: between two such moments each
    history begins as the one before it, and a model that has read that reads only what is new. The first message says
    how many are left out. A newest message that is too long by itself is cut.
    """
    first, room = 0, most
    for index, message in enumerate(history):
        room -= len(message.content)
        if room < 0:
            while first < index and most - room > most // 2:
                room += len(history[first].content)
                first += 1
    while first < len(history) and history[first].role != "user":
        first += 1
    kept = [Message(message.role, cut(message.content, most)) for message in history[first:]]
    if first and kept:
        kept[0] = Message("user", f"({first} earlier messages left out)\n{kept[0].content}")
    return Trimmed(tuple(kept), first)
