"""An agent at work on one request: it calls tools step by step, and answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, cast

from sensorium.agent.empty import is_empty
from sensorium.agent.frontier import Offer, needs, offer, producers
from sensorium.agent.prompts import FOUND_NOTHING, Prompts
from sensorium.agent.script import Script
from sensorium.agent.sentences import Sentences, split
from sensorium.agent.task import HISTORY_CHARS, Call, Task, fruitless
from sensorium.agent.toolbox import Card, Toolbox
from sensorium.errors import CallerError, ModelError, OperatorError, RefusedError, ToolError
from sensorium.model.contract import Ask, Model, Piece, Reply
from sensorium.parts import Flag, Number, Text, Value, values_digest
from sensorium.spec.agent import ANSWER, SENTENCES, AgentSpec
from sensorium.spec.ports import PortType

__all__ = ["Agent"]

_TOLD = (CallerError, ToolError, OperatorError, RefusedError)
"""Failures of a tool that the model is told of, and the agent goes on."""


def _silent(_: str) -> None:
    """Tells nobody."""


@dataclass(slots=True)
class _Progress:
    """How far the agent is with one request."""

    task: Task
    calls: list[Call] = field(default_factory=list[Call])
    made: set[str] = field(default_factory=set[str])
    """Digests of the calls that were made, so that none is made twice."""
    goal: str = ""
    """The tool that the last calls lead up to."""
    notes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Agent:
    """A role, a language model and tools.

    The model chooses the tool that it wants next, or to answer. What is called is legal by construction: a tool whose
    ports the parts at hand can feed, or one that makes, out of a part at hand, what the wanted tool still lacks.
    """

    spec: AgentSpec
    script: Script
    model: Model
    toolbox: Toolbox
    tell: Callable[[str], None] = _silent
    """Hears the answer, piece by piece, as it comes."""
    tell_sentence: Callable[[str], None] = _silent
    """Hears the answer, sentence by sentence, as each is whole; an agent with the output `sentences`."""

    async def work(self, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """A value for each output port.

        Raises:
            ModelError: The model failed.
            CallerError: The request does not fit into the model's context, whatever is left out of the history.
            PausedError: A call waits for a person.
        """
        signature = self.spec.signature
        progress = _Progress(Task.of(signature, inputs))
        await self._act(progress)
        said = next(port for port in (ANSWER, *signature.outputs) if port in signature.outputs)
        written = {
            port: kind
            for port, kind in signature.outputs.items()
            if port != said and kind.kind in _WRITTEN and not kind.is_list
        }
        outputs: dict[str, Value] = dict.fromkeys(signature.outputs)
        answer = await self._answer(progress) + self._reservation(progress.calls)
        outputs[said] = Text(answer)
        if self.spec.has_sentences:
            outputs[SENTENCES] = tuple(Text(sentence) for sentence in split(answer))
        if written:
            outputs.update(await self._write(self._prompts.further(progress.task, written), written))
        return outputs | _made(progress.calls, outputs, signature.outputs)

    @property
    def _prompts(self) -> Prompts:
        return Prompts(self.script, self.toolbox.cards, self.spec.limits.answer_tokens)

    async def _act(self, progress: _Progress) -> None:
        """Calls tools until the model answers, nothing new can be called, or the steps are used up."""
        while len(progress.calls) < self.spec.limits.steps:
            chosen = await self._next(progress)
            if chosen is None:
                return
            inputs = dict(chosen.inputs)
            if chosen.to_write:
                inputs |= await self._write(self._prompts.fill(progress.task, progress.calls, chosen), chosen.to_write)
            if _digest(chosen.card, inputs) in progress.made:
                return
            await self._call(progress, chosen.card, inputs)

    async def _next(self, progress: _Progress) -> Offer | None:
        """The next call; None to answer."""
        offers = self._legal(progress)
        if progress.goal in offers:
            return offers[progress.goal]
        scores: Mapping[str, float] = {}
        wanted = progress.goal
        if not wanted:
            wanted, scores = await self._choose(progress, offers)
        if wanted == ANSWER:
            return None
        if wanted in offers:
            return offers[wanted]
        return self._towards(wanted, offers, scores, progress)

    def _legal(self, progress: _Progress) -> dict[str, Offer]:
        found = {card.name: offer(card, progress.task.hand) for card in self.toolbox.cards}
        failed = {call.tool for call in progress.calls if call.failed}
        return {
            name: made
            for name, made in found.items()
            if made is not None
            and name not in failed
            and (made.to_write or _digest(made.card, made.inputs) not in progress.made)
        }

    async def _choose(self, progress: _Progress, offers: Mapping[str, Offer]) -> tuple[str, Mapping[str, float]]:
        """What the model wants, and how much it wants each tool.

        Tools that nothing at hand can feed are among the choices, so that wanting one is not mistaken for wanting
        another; those that have had their say are not.
        """
        names = [
            card.name
            for card in self.toolbox.cards
            if card.name in offers or not any(call.tool == card.name for call in progress.calls)
        ]
        if not any(name in offers for name in names):
            return ANSWER, {}
        ask = self._prompts.choose(progress.task, progress.calls, (*names, ANSWER))
        reply = await _reply(self.model, ask)
        if reply.text not in (ask.choices or ()):
            raise ModelError(f"the model chose {reply.text!r}; it may choose {', '.join(ask.choices or ())}")
        return reply.text, reply.scores

    def _towards(
        self, wanted: str, offers: Mapping[str, Offer], scores: Mapping[str, float], progress: _Progress
    ) -> Offer | None:
        """The legal call that makes what the wanted tool lacks; None where no call does."""
        card = next(card for card in self.toolbox.cards if card.name == wanted)
        used = {call.tool for call in progress.calls if progress.goal}
        for group in needs(card, progress.task.hand):
            able = [made for made in producers(group, offers.values()) if made.card.name not in used | {wanted}]
            if not able:
                lacking = " or ".join(sorted({kind.kind for kind in group}))
                progress.notes.append(f"({wanted} could not be called: there is no {lacking} at hand)")
                return None
            progress.goal = wanted
            return max(able, key=lambda made: scores.get(made.card.name, 0.0))
        return None

    async def _call(self, progress: _Progress, card: Card, inputs: dict[str, Value]) -> None:
        progress.made.add(_digest(card, inputs))
        if card.name == progress.goal:
            progress.goal = ""
        try:
            outputs = await self.toolbox.call(card.name, inputs)
        except _TOLD as error:
            progress.goal = ""
            progress.calls.append(Call(card.name, {}, failed=str(error)))
            return
        progress.calls.append(Call(card.name, outputs))
        hand = progress.task.hand.with_parts(outputs, card.signature.outputs, is_given=False)
        progress.task = replace(progress.task, hand=hand)

    async def _write(self, ask: Ask, ports: Mapping[str, PortType]) -> dict[str, Value]:
        """What the model writes into ports.

        Raises:
            ModelError: It wrote something else; a reply that its limit of tokens cut off is no JSON.
        """
        reply = await _reply(self.model, ask)
        try:
            written = cast("dict[str, Any]", json.loads(reply.text))
            return {port: _part(written[port], kind) for port, kind in ports.items()}
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"the model wrote {reply.text!r} where JSON with {', '.join(ports)} was asked") from error

    async def _answer(self, progress: _Progress) -> str:
        """The answer, told as it comes. The history gives way, oldest first, where it does not fit."""
        history_chars = HISTORY_CHARS
        while True:
            ask = self._prompts.answer(progress.task, progress.calls, progress.notes, history_chars)
            try:
                return await self._said(ask)
            except CallerError:
                if not progress.task.history or history_chars == 0:
                    raise
                history_chars = history_chars // 2 if history_chars > _LEAST_HISTORY_CHARS else 0

    def _reservation(self, calls: Sequence[Call]) -> str:
        """A line behind the answer where tools found nothing, told like the answer: the model may claim otherwise."""
        empty = [f"{tool} {FOUND_NOTHING}" for tool in fruitless(calls)]
        if not empty:
            return ""
        line = f"({'; '.join(empty)})"
        self.tell(f"\n{line}")
        self._pass_on([line])
        return f"\n{line}"

    async def _said(self, ask: Ask) -> str:
        sentences = Sentences()

        def hear(piece: str) -> None:
            self.tell(piece)
            self._pass_on(sentences.feed(piece))

        reply = await _reply(self.model, ask, hear)
        self._pass_on(sentences.rest())
        return reply.text.strip()

    def _pass_on(self, sentences: Sequence[str]) -> None:
        if self.spec.has_sentences:
            for sentence in sentences:
                self.tell_sentence(sentence)


_WRITTEN = ("text", "number", "flag")
_LEAST_HISTORY_CHARS = 500


async def _reply(model: Model, ask: Ask, tell: Callable[[str], None] = _silent) -> Reply:
    async with aclosing(cast("Any", model.ask(ask))) as events:
        async for event in events:
            match event:
                case Piece(text):
                    tell(text)
                case Reply():
                    return event
                case _:
                    raise AssertionError(f"{event} is no event of a model")
    raise ModelError("the model ended without a reply")


def _digest(card: Card, inputs: Mapping[str, Value]) -> str:
    return f"{card.name} {values_digest(dict(inputs))}"


def _part(value: object, kind: PortType) -> Value:
    match kind.kind, value:
        case _, None if kind.is_optional:
            return None
        case "text", str():
            return Text(value)
        case "flag", bool():
            return Flag(value)
        case "number", int() | float() if not isinstance(value, bool):
            return Number(float(value))
        case _:
            raise ValueError(f"{value!r} is no {kind}")


def _made(calls: Sequence[Call], outputs: Mapping[str, Value], types: Mapping[str, PortType]) -> dict[str, Value]:
    """For each output that nobody wrote, what the last call that made such a part gave."""
    found: dict[str, Value] = {}
    for port, kind in types.items():
        if outputs[port] is not None or kind.kind in _WRITTEN:
            continue
        for call in reversed(calls):
            fitting = [value for value in call.outputs.values() if not is_empty(value) and _is_kind(value, kind)]
            if fitting:
                found[port] = fitting[0]
                break
    return found


def _is_kind(value: Value, kind: PortType) -> bool:
    return not isinstance(value, tuple) and not kind.is_list and value is not None and value.kind == kind.kind
