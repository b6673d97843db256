"""What an agent asks its model, message by message. Every word comes from the agent's `prompt.md` or from the task."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sensorium.agent.asking import silent
from sensorium.agent.frontier import Offer, is_written
from sensorium.agent.media import with_media
from sensorium.agent.render import fence, has_han
from sensorium.agent.script import Answered, Choice, Filling, Script
from sensorium.agent.task import FOUND_NOTHING, HISTORY_CHARS, Call, Task, fruitless, trim
from sensorium.agent.toolbox import Card
from sensorium.model.contract import Ask, CallOffer, Message
from sensorium.spec.agent import ANSWER
from sensorium.spec.ports import PortType

__all__ = ["Prompts", "earlier", "port_schema"]

_CHOICE_TOKENS = 32
_WRITTEN_TOKENS = 300
_WRITTEN_CHARS = 1200
_PLAIN: dict[str, dict[str, Any]] = {
    "number": {"type": "number"},
    "flag": {"type": "boolean"},
    "text": {"type": "string", "minLength": 1, "maxLength": _WRITTEN_CHARS},
}
_HISTORY_SHARE = 4
"""Writing a call takes this part of the history that an answer takes."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """The asks of one agent.

    A prompt goes from what stays to what changes: instructions, examples, what was said before as it was sent then, and
    last what tools gave and the request. So a model that keeps what it has read reads only what is new.
    """

    script: Script
    cards: Sequence[Card]
    answer_tokens: int
    tell_trimmed: Callable[[int, str], None] = silent
    """Hears how many earlier messages a prompt leaves out, and why."""

    def choose(self, task: Task, calls: Sequence[Call], choices: Sequence[str]) -> Ask:
        """Which of `choices` comes next."""
        tools = "\n".join(f"- {card.name}: {_one_line(card.about)}" for card in self.cards)
        system = Message("system", self.script.choosing.replace("{tools}", tools))
        turns = _choices(self.script.choices, frozenset(card.name for card in self.cards) | {ANSWER})
        asked = Message("user", _with_done(task.request, ", ".join(call.tool for call in calls)))
        ask = Ask((system, *turns, asked), max_tokens=_CHOICE_TOKENS, choices=tuple(choices))
        return with_media(ask, task.media)

    def call(self, task: Task, calls: Sequence[Call]) -> Ask:
        """Which tool is called next, and with what; or `answer`."""
        tools = "\n".join(f"- {card.name}: {_one_line(card.about)}" for card in self.cards)
        system = Message("system", self.script.calling.replace("{tools}", tools))
        asked = self._request(task, calls, HISTORY_CHARS // _HISTORY_SHARE)
        offers = (*map(_call_offer, self.cards), CallOffer(ANSWER, "No tool; reply in words.", _schema({})))
        ask = Ask((system, *self._called(), Message("user", asked)), max_tokens=_WRITTEN_TOKENS, calls=offers)
        return with_media(ask, task.media)

    def _called(self) -> Sequence[Message]:
        """Examples of calls: those of whole plans of one call, and of none."""
        known = {card.name: card for card in self.cards}
        shown: list[Message] = []
        for example in self.script.plans:
            nodes = json.loads(example.written)["nodes"]
            if len(nodes) <= 1 and all(node["tool"] in known for node in nodes):
                first = dict(nodes[0]) if nodes else {"tool": ANSWER}
                name = first.pop("tool")
                told = json.dumps({"name": name, "arguments": first}, ensure_ascii=False, separators=(",", ":"))
                shown += (Message("user", example.request), Message("assistant", told))
        return shown

    def fill(self, task: Task, calls: Sequence[Call], offer: Offer) -> Ask:
        """What the ports that no part can feed are given."""
        card = offer.card
        text = self.script.filling.replace("{tool}", card.name).replace("{about}", _one_line(card.about))
        examples = [filling for filling in self.script.fillings if filling.tool == card.name]
        asked = self._request(task, calls, HISTORY_CHARS // _HISTORY_SHARE)
        messages = (Message("system", text), *_shown(examples), Message("user", asked))
        ask = Ask(messages, max_tokens=_WRITTEN_TOKENS, schema=_schema(offer.to_write))
        return with_media(ask, task.media)

    def further(self, task: Task, said: Mapping[str, str], ports: Mapping[str, PortType]) -> Ask:
        """The agent's further outputs; `said` is what it has written already, by output."""
        text = self.script.outputs.replace("{ports}", "\n".join(f"- {port}: {kind}" for port, kind in ports.items()))
        examples = [filling for filling in self.script.further if _keys(filling.written) == set(ports)]
        known = {**dict(task.facts), **said}
        wanted = dict.fromkeys(example.given[0] for example in examples if example.given is not None)
        given = [(port, known[port]) for port in wanted if port in known]
        messages = (Message("system", text), *_shown(examples), Message("user", _behind(given, task.request)))
        ask = Ask(messages, max_tokens=_WRITTEN_TOKENS, schema=_schema(ports))
        return with_media(ask, task.media)

    def reading(self, task: Task, *, thinks: bool) -> Ask:
        """What is read for others: the inputs as they stand, and who the agent is where it is to think."""
        facts = [fence(port, text) for port, text in task.facts]
        told = "\n\n".join(filter(None, (task.request, *facts, self.script.role if thinks else "")))
        return with_media(Ask((Message("user", told),), self.answer_tokens), task.media)

    def answer(self, task: Task, calls: Sequence[Call], notes: Sequence[str], history_chars: int) -> Ask:
        """The answer in words.

        The examples are those of results, and stand there once tools gave something in the conversation: a small model
        that is asked about nothing of the kind says again what it was shown. What stands next to the request weighs
        most; examples of having found nothing stand there, where that is so, and nowhere else.
        """
        results = _results(task, calls, notes)
        found, nothing = self._answers(task.request, calls)
        shown = found if results or any(task.gave) else ()
        gave = task.gave or ("",) * len(task.history)
        said = [
            Message(message.role, self._told(results_then, message.content))
            for message, results_then in zip(task.history, gave, strict=True)
        ]
        history = _trimmed(said, history_chars, "an answer", self.tell_trimmed)
        asked = Message("user", self._told(results, task.request))
        ask = Ask((Message("system", self.script.role), *shown, *history, *nothing, asked), self.answer_tokens)
        return with_media(ask, task.media)

    def _answers(self, request: str, calls: Sequence[Call]) -> tuple[Sequence[Message], Sequence[Message]]:
        """Examples of answers, and those of the tools that found nothing now.

        Of the latter, which stand right before the request, only those in its writing, where there are any: a model
        answers in the language of what it has just read.
        """
        empty = fruitless(calls)
        examples = self.script.answers
        found = [example for example in examples if example.result != FOUND_NOTHING]
        nothing = [example for example in examples if example.result == FOUND_NOTHING and example.tool in empty]
        alike = [example for example in nothing if has_han(example.request) is has_han(request)]
        return self._exchanges(found), self._exchanges(alike or nothing)

    def _exchanges(self, examples: Sequence[Answered]) -> Sequence[Message]:
        return [
            message
            for example in examples
            for message in (
                Message("user", self._told(fence(example.tool, example.result), example.request)),
                Message("assistant", example.answer),
            )
        ]

    def _told(self, results: str, request: str) -> str:
        """A request behind what tools gave; by itself where they gave nothing."""
        return f"{self.script.results.replace('{results}', results)}\n{request}" if results else request

    def _request(self, task: Task, calls: Sequence[Call], history_chars: int) -> str:
        """The request behind what was said before and what tools gave, both as data."""
        before = earlier(task.history, history_chars, "a call", self.tell_trimmed)
        results = _results(task, calls, ())
        return "\n".join([*before, *([results] if results else []), task.request])


def earlier(history: Sequence[Message], most: int, what: str, tell: Callable[[int, str], None]) -> list[str]:
    """What was said before, as data; nothing where nothing was.

    Args:
        history: Earlier messages.
        most: Most characters of them.
        what: What the prompt is for.
        tell: Hears how many messages are left out, and why.
    """
    said = "\n".join(f"{message.role}: {message.content}" for message in _trimmed(history, most, what, tell))
    return [fence("earlier messages", said)] if said else []


def _trimmed(history: Sequence[Message], most: int, what: str, tell: Callable[[int, str], None]) -> Sequence[Message]:
    kept, num_left_out = trim(history, most) if most else ((), len(history))
    if num_left_out:
        tell(num_left_out, f"the prompt for {what} takes {most:,} characters of what was said before")
    return kept


@lru_cache(maxsize=64)
def _choices(examples: tuple[Choice, ...], known: frozenset[str]) -> tuple[Message, ...]:
    """Examples that name known tools alone. There are many, and a choice is asked for at each step."""
    return tuple(
        message
        for example in examples
        if example.tool in known and all(name in known for name in _names(example.done))
        for message in (
            Message("user", _with_done(example.request, example.done)),
            Message("assistant", example.tool),
        )
    )


def _results(task: Task, calls: Sequence[Call], notes: Sequence[str]) -> str:
    facts = [fence(port, text) for port, text in task.facts]
    return "\n".join([*facts, *(fence(*call.told) for call in calls), *notes])


def _shown(examples: Sequence[Filling]) -> list[Message]:
    return [
        message
        for example in examples
        for message in (
            Message("user", _behind([example.given] if example.given else [], example.request)),
            Message("assistant", example.written),
        )
    ]


def _behind(given: Sequence[tuple[str, str]], request: str) -> str:
    """A request behind what the agent was given, as data."""
    return "\n".join([*(fence(port, text) for port, text in given), request])


def _call_offer(card: Card) -> CallOffer:
    ports = {port: kind for port, kind in card.signature.inputs.items() if is_written(kind)}
    return CallOffer(card.name, _one_line(card.about), _schema(ports))


def _schema(ports: Mapping[str, PortType]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {port: port_schema(kind) for port, kind in ports.items()},
        "required": list(ports),
        "additionalProperties": False,
    }


def port_schema(kind: PortType) -> dict[str, Any]:
    """JSON Schema of what a model writes into a port."""
    plain = _PLAIN[kind.kind]
    return {"anyOf": [plain, {"type": "null"}]} if kind.is_optional else plain


def _keys(written: str) -> set[str]:
    return set(json.loads(written))


def _with_done(request: str, done: str) -> str:
    return f"{request}\n(done: {done})" if done else request


def _names(done: str) -> list[str]:
    return [name.strip() for name in done.split(",") if name.strip()]


def _one_line(text: str) -> str:
    return " ".join(text.split())
