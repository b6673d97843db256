"""A whole plan in one reply: what the model is asked, and what its JSON means.

The model names tools in order, and writes the texts, numbers and flags that they need; a text of the form
`$tool.port` is a wire from an earlier call. Whatever else a tool takes is wired by rule: the newest part that fits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sensorium.agent.asking import silent
from sensorium.agent.frontier import feeds, is_written, needs
from sensorium.agent.hand import Hand
from sensorium.agent.media import with_media
from sensorium.agent.plan import Plan, Step, escaped
from sensorium.agent.prompts import earlier, port_schema
from sensorium.agent.render import cut
from sensorium.agent.script import Script
from sensorium.agent.task import Task
from sensorium.agent.toolbox import Card
from sensorium.errors import AuthorError, Fault
from sensorium.model.contract import Ask, Message, Reply
from sensorium.spec.plain import is_list, is_mapping
from sensorium.spec.ports import PortType
from sensorium.spec.wires import is_wire, parse_wire

__all__ = ["WholePlans", "WrittenPlan"]

_CALL_TOKENS = 80
_LEAST_TOKENS = 200
_MOST_CHARS = 1_000_000
_HISTORY_CHARS = 1500
_MOST_FAULTS, _FAULT_CHARS = 5, 400
_STEP, _STEP_CHARS = "step", 80
"""Where a model may say in words what a call is for, before it names the tool: small ones then name the right one."""


class WrittenPlan(NamedTuple):
    """What a model wrote."""

    plan: Plan
    faults: tuple[Fault, ...]
    """Calls that lack what nothing before them gives."""


@dataclass(frozen=True, slots=True)
class WholePlans:
    """Whole plans of one agent."""

    script: Script
    cards: tuple[Card, ...]
    most: int
    """Most calls of a plan."""
    tell_trimmed: Callable[[int, str], None] = silent
    """Hears how many earlier messages a prompt leaves out, and why."""

    def ask(self, task: Task) -> Ask:
        """The ask for a plan."""
        text = self.script.planning.replace("{tools}", "\n".join(map(_line, self.cards)))
        known = {card.name for card in self.cards}
        shown = [
            message
            for example in self.script.plans
            if all(name in known for name in _tools_of(example.written))
            for message in (Message("user", example.request), Message("assistant", example.written))
        ]
        before = earlier(task.history, _HISTORY_CHARS, "a plan", self.tell_trimmed)
        asked = "\n".join([*before, *_at_hand(task), task.request])
        tokens = _LEAST_TOKENS + _CALL_TOKENS * min(self.most, 20)
        ask = Ask((Message("system", text), *shown, Message("user", asked)), tokens, schema=self._schema())
        return with_media(ask, task.media)

    def repair(self, ask: Ask, reply: Reply, faults: Sequence[Fault]) -> Ask:
        """The ask for another plan, which shows what is wrong with the last one."""
        told = "\n".join(
            f"- {cut(fault.found, _FAULT_CHARS)}; {cut(fault.right, _FAULT_CHARS)}" for fault in faults[:_MOST_FAULTS]
        )
        shown = Message("assistant", reply.text[: _CALL_TOKENS * 40])
        wrong = Message("user", self.script.repairing.replace("{faults}", told))
        return replace(ask, messages=(*ask.messages, shown, wrong))

    def read(self, reply: Reply, task: Task, *, leaves_out: bool = False) -> WrittenPlan:
        """The plan that a reply holds, which may be wrong in every way that a checker finds.

        Args:
            reply: What the model wrote.
            task: What was asked.
            leaves_out: Whether calls of what is not there, or that lack something, are left out instead.

        Raises:
            AuthorError: It holds none; or more calls than are allowed.
        """
        plan, hand = Plan.of(task), task.hand
        faults: list[Fault] = []
        for call in self._calls(reply):
            step = self._step(call, plan, hand)
            card = self._card(step.callee)
            lacking = [] if card is None else list(self._lacking(card, step, hand))
            if leaves_out and (lacking or card is None):
                continue
            plan = plan.with_step(step)
            faults += lacking
            if card is not None:
                hand = hand.planned(step.node, card.name, card.signature.outputs)
        return WrittenPlan(plan, tuple(faults))

    def _calls(self, reply: Reply) -> Sequence[Mapping[str, Any]]:
        found = _nodes(reply)
        if len(found) > self.most:
            raise _wrong(f"the plan has {len(found):,} calls", f"a plan has at most {self.most}")
        calls = [call for call in found if is_mapping(call) and isinstance(call.get("tool"), str)]
        if len(calls) < len(found):
            raise _wrong("a call names no tool", 'each is {"tool": NAME, PORT: VALUE, ...}')
        return calls

    def _step(self, call: Mapping[str, Any], plan: Plan, hand: Hand) -> Step:
        name = call["tool"]
        card = self._card(name)
        aside = {"tool"} if card is None or _STEP in card.signature.inputs else {"tool", _STEP}
        written = {port: _literal(value) for port, value in call.items() if port not in aside and value is not None}
        if card is None:
            return Step(plan.node_for(name), name, written, ())
        fed = {port: found.written for port, found in feeds(card, hand, written).items()}
        return Step(plan.node_for(name), name, fed | written, tuple(card.signature.outputs), card.kind)

    def _lacking(self, card: Card, step: Step, hand: Hand) -> Iterator[Fault]:
        """What a call takes and nothing before it gives, and who does."""
        ports = card.signature.inputs
        for group in needs(card, hand):
            kinds = {_matter(kind) for kind in group}
            if kinds.isdisjoint(_matter(ports[port]) for port in step.inputs if port in ports):
                able = [
                    other.name for other in self.cards if kinds & set(map(_matter, other.signature.outputs.values()))
                ]
                found = f"{step.node} takes {' or '.join(sorted(kinds))}, and nothing before it gives any"
                yield Fault("", 0, 0, found, f"call {' or '.join(able)} first" if able else f"leave {step.node} out")

    def _card(self, name: str) -> Card | None:
        return next((card for card in self.cards if card.name == name), None)

    def _schema(self) -> dict[str, Any]:
        """What a reply must be; calls say what they are for where the script speaks of a `"step"`."""
        said = {_STEP: {"type": "string", "maxLength": _STEP_CHARS}} if f'"{_STEP}"' in self.script.planning else {}
        calls = {
            "type": "array",
            "maxItems": self.most,
            "items": {"anyOf": [_call_schema(card, said) for card in self.cards]},
        }
        return {
            "type": "object",
            "properties": {"nodes": calls},
            "required": ["nodes"],
            "additionalProperties": False,
        }


def _line(card: Card) -> str:
    """A tool as the model reads of it; it writes the ports that need writing, and is told of the others by kind."""
    takes = [port if is_written(kind) else str(kind) for port, kind in card.signature.inputs.items()]
    gives = [f"{port}: {kind}" for port, kind in card.signature.outputs.items()]
    return f"- {card.name}: {' '.join(card.about.split())} Takes {', '.join(takes)}; gives {', '.join(gives)}."


def _call_schema(card: Card, said: Mapping[str, Any]) -> dict[str, Any]:
    written: dict[str, PortType] = {port: kind for port, kind in card.signature.inputs.items() if is_written(kind)}
    first: Mapping[str, Any] = {} if _STEP in card.signature.inputs else said
    return {
        "type": "object",
        "properties": {
            **first,
            "tool": {"enum": [card.name]},
            **{port: port_schema(kind) for port, kind in written.items()},
        },
        "required": [*first, "tool", *written],
        "additionalProperties": False,
    }


def _nodes(reply: Reply) -> Sequence[Any]:
    if len(reply.text) > _MOST_CHARS:
        raise _wrong(f"the reply has {len(reply.text):,} characters", f"a plan has at most {_MOST_CHARS:,}")
    try:
        told = json.loads(reply.text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        why = "the plan was cut off" if reply.finish == "length" else f"the reply is not JSON: {error}"
        raise _wrong(why, 'write {"nodes": [...]}, shorter') from error
    nodes = told.get("nodes") if is_mapping(told) else None
    if not is_list(nodes):
        raise _wrong("the reply has no list of nodes", 'write {"nodes": [...]}')
    return nodes


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no number")


def _literal(value: Any) -> Any:
    """What a model wrote, as a graph file has it; a text that is a wire stays one."""
    if isinstance(value, str) and is_wire(value):
        try:
            parse_wire(value)
        except ValueError:
            return escaped(value)
        return value
    return escaped(value) if isinstance(value, str) else value


def _tools_of(written: str) -> list[str]:
    return [call["tool"] for call in json.loads(written)["nodes"]]


def _at_hand(task: Task) -> list[str]:
    """What came with the request, by name."""
    names = [f"{held.wire.port} ({held.type.kind})" for held in task.hand.held]
    return [f"(at hand: {', '.join(names)})"] if names else []


def _matter(kind: PortType) -> str:
    """What a part is of: its kind, and of latents the space, since one is not as good as another."""
    return kind.space or kind.kind


def _wrong(found: str, right: str) -> AuthorError:
    return AuthorError([Fault("", 0, 0, found, right)])
