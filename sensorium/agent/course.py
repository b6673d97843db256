"""How far an agent is with one request, and what it calls next."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sensorium.agent.asking import parts_of, reply_to, write
from sensorium.agent.frontier import Offer, needs, offer, producers
from sensorium.agent.plan import Plan, Step, escaped
from sensorium.agent.prompts import Prompts
from sensorium.agent.task import Call, Task
from sensorium.agent.toolbox import Card
from sensorium.errors import ModelError
from sensorium.model.contract import Model
from sensorium.parts import Flag, Number, Text, Value, values_digest
from sensorium.spec.agent import ANSWER
from sensorium.spec.wires import NodeWire

__all__ = ["Chooser", "Course", "Intent"]


@dataclass(frozen=True, slots=True)
class Intent:
    """A call that is to be made, with everything that it is given."""

    card: Card
    node: str
    """What the call is called in the plan."""
    values: dict[str, Value]
    """As the call has it; None where a plan says that it will be made."""
    wires: dict[str, Any]
    """As a graph file writes it."""

    @property
    def step(self) -> Step:
        """The call as part of a plan."""
        outputs = tuple(self.card.signature.outputs)
        return Step(self.node, self.card.name, self.wires, outputs, self.card.kind)


@dataclass(slots=True)
class Course:
    """How far an agent is with one request."""

    task: Task
    plan: Plan
    """What was called so far, or is planned to be."""
    calls: list[Call] = field(default_factory=list[Call])
    made: set[str] = field(default_factory=set[str])
    """Digests of the calls that were made, so that none is made twice."""
    goal: str = ""
    """The tool that the last calls lead up to."""
    notes: list[str] = field(default_factory=list[str])
    promised: set[str] = field(default_factory=set[str])
    """Texts that planned calls are going to give, by the wires that bring them."""

    def begin(self, intent: Intent) -> None:
        """A call is being made."""
        self.made.add(_digest(intent.card, intent.values, intent.wires))
        if intent.card.name == self.goal:
            self.goal = ""

    def fail(self, intent: Intent, why: str) -> None:
        """It failed."""
        self.goal = ""
        self.calls.append(Call(intent.card.name, {}, failed=why))

    def take(self, intent: Intent, outputs: Mapping[str, Value]) -> None:
        """What it gave is at hand."""
        self.calls.append(Call(intent.card.name, outputs))
        self.plan = self.plan.with_step(intent.step)
        hand = self.task.hand.made(intent.node, intent.card.name, outputs, intent.card.signature.outputs)
        self.task = replace(self.task, hand=hand)

    def plan_on(self, intent: Intent) -> None:
        """What it is going to give counts as at hand. A text that it will give is known by the wire that brings it."""
        outputs = intent.card.signature.outputs
        texts = {port: Text(str(NodeWire(intent.node, port))) for port, kind in outputs.items() if kind.kind == "text"}
        self.promised.update(text.value for text in texts.values())
        self.calls.append(Call(intent.card.name, texts))
        self.plan = self.plan.with_step(intent.step)
        self.task = replace(self.task, hand=self.task.hand.planned(intent.node, intent.card.name, outputs))


class _Wanted(NamedTuple):
    """A tool that the model wants, or to answer."""

    name: str
    scores: Mapping[str, float] = {}
    """How much it wants each tool, where it tells."""
    arguments: Any = None
    """What it wrote for it; None where it has not been asked."""


class _Chosen(NamedTuple):
    """The call that comes next."""

    offer: Offer | None
    """None to answer."""
    arguments: Any = None


@dataclass(frozen=True, slots=True)
class Chooser:
    """A model that chooses what is called next. What it can have is legal by construction.

    That is a tool whose ports the parts at hand can feed, or one that makes, out of a part at hand, what the wanted
    tool still lacks.
    """

    model: Model
    prompts: Prompts
    cards: tuple[Card, ...]
    writes_at_once: bool = False
    """Whether the model names a tool and writes what it needs in one reply, as a call, rather than in two."""

    async def next(self, course: Course) -> Intent | None:
        """The next call; None to answer, or where the same call was made before.

        Raises:
            ModelError: The model failed, or wrote something else than was asked.
            CallerError: The request does not fit into its context.
            OperatorError: It is missing.
        """
        chosen, arguments = await self._offer(course)
        if chosen is None:
            return None
        written: dict[str, Value] = {}
        if chosen.to_write and arguments is not None:
            written = parts_of(arguments, chosen.to_write)
        elif chosen.to_write:
            written = await write(self.model, self.prompts.fill(course.task, course.calls, chosen), chosen.to_write)
        wires = chosen.wires | {port: _written(value, course) for port, value in written.items()}
        intent = Intent(chosen.card, course.plan.node_for(chosen.card.name), chosen.values | written, wires)
        return None if _digest(intent.card, intent.values, intent.wires) in course.made else intent

    async def _offer(self, course: Course) -> _Chosen:
        offers = self._legal(course)
        if course.goal in offers:
            return _Chosen(offers[course.goal])
        wanted = _Wanted(course.goal) if course.goal else await self._want(course, offers)
        if wanted.name == ANSWER:
            return _Chosen(None)
        if wanted.name in offers:
            return _Chosen(offers[wanted.name], wanted.arguments)
        return _Chosen(self._towards(wanted.name, offers, wanted.scores, course))

    def _legal(self, course: Course) -> dict[str, Offer]:
        found = {card.name: offer(card, course.task.hand) for card in self.cards}
        failed = {call.tool for call in course.calls if call.failed}
        return {
            name: made
            for name, made in found.items()
            if made is not None
            and name not in failed
            and (made.to_write or _digest(made.card, made.values, made.wires) not in course.made)
        }

    async def _want(self, course: Course, offers: Mapping[str, Offer]) -> _Wanted:
        """What the model wants.

        Tools that nothing at hand can feed are among the choices, so that wanting one is not mistaken for wanting
        another; those that have had their say are not.
        """
        names = [
            card.name
            for card in self.cards
            if card.name in offers or not any(call.tool == card.name for call in course.calls)
        ]
        if not any(name in offers for name in names):
            return _Wanted(ANSWER)
        if self.writes_at_once:
            return await self._call(course, names)
        ask = self.prompts.choose(course.task, course.calls, (*names, ANSWER))
        reply = await reply_to(self.model, ask)
        if reply.text not in (ask.choices or ()):
            raise ModelError(f"the model chose {reply.text!r}; it may choose {', '.join(ask.choices or ())}")
        return _Wanted(reply.text, reply.scores)

    async def _call(self, course: Course, able: Sequence[str]) -> _Wanted:
        """What the model calls. All tools are offered each time, so that prompts begin alike.

        One that has had its say is an answer.
        """
        ask = self.prompts.call(course.task, course.calls)
        reply = await reply_to(self.model, ask)
        names = [offer.name for offer in ask.calls or ()]
        try:
            called: Any = json.loads(reply.text)
            name, arguments = called["name"], called["arguments"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(f"the model said {reply.text!r} where a call of {', '.join(names)} was asked") from error
        if name not in names:
            raise ModelError(f"the model called {name!r}; it may call {', '.join(names)}")
        return _Wanted(name if name in able else ANSWER, arguments=arguments)

    def _towards(
        self, wanted: str, offers: Mapping[str, Offer], scores: Mapping[str, float], course: Course
    ) -> Offer | None:
        """The legal call that makes what the wanted tool lacks; None where no call does."""
        card = next(card for card in self.cards if card.name == wanted)
        used = {call.tool for call in course.calls if course.goal}
        for group in needs(card, course.task.hand):
            able = [made for made in producers(group, offers.values()) if made.card.name not in used | {wanted}]
            if not able:
                lacking = " or ".join(sorted({kind.kind for kind in group}))
                course.notes.append(f"({wanted} could not be called: there is no {lacking} at hand)")
                return None
            course.goal = wanted
            return max(able, key=lambda made: scores.get(made.card.name, 0.0))
        return None


def _written(value: Value, course: Course) -> object:
    """What a model wrote, as a graph file has it. A text that names a planned one is the wire that brings it."""
    match value:
        case Text(text) if text in course.promised:
            return text
        case Text(inner) | Flag(inner) | Number(inner):
            return escaped(inner)
        case _:
            raise AssertionError(f"{value} is nothing that a model writes")


def _digest(card: Card, values: Mapping[str, Value], wires: Mapping[str, Any]) -> str:
    """What makes two calls the same: what they are given, or the wires that will bring it."""
    is_planned = any(value is None for value in values.values())
    told = json.dumps(wires, sort_keys=True) if is_planned else values_digest(dict(values))
    return f"{card.name} {told}"
