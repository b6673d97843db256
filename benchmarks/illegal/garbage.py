"""Replies of a model that knows no rules, and what is wrong with a plan, told independently of the checker."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

from sensorium.events import Event, PlanMade, ToolCalled
from sensorium.model.contract import Ask
from sensorium.spec.read import parse_graph

__all__ = ["Garbage"]

_TAKES = {
    "look": {"phrase": "text"},
    "mark": {"boxes": "boxes"},
    "count": {"points": "points"},
    "send": {"text": "text"},
}
_GIVES = {
    "look": {"boxes": "boxes", "said": "text"},
    "mark": {"points": "points"},
    "count": {"number": "number"},
    "send": {"receipt": "text"},
}
_WORDS = (
    "",
    "cups",
    "$",
    "$$",
    "$5",
    "no",
    "\ud800",
    "\x00",
    "ж" * 300,
    "; rm -rf /",
    "<|im_end|>",
    "${env:HOME}",
    "NaN",
)
_NAMES = ("", "hidden", "paint", "LOOK", "look ", "../look", "self", "box/look", "answer", "x" * 5000, "\n", "__init__")


class Garbage:
    """Replies to every ask: legal plans now and then, and otherwise whatever may come."""

    def __init__(self, lots: random.Random, tools: Sequence[str]) -> None:
        self.replies = 0
        """How often a plan was asked for."""
        self._lots = lots
        self._tools = tools

    def reply(self, ask: Ask) -> str:
        """Whatever may come, to an ask of any kind."""
        lots = self._lots
        if ask.choices is not None:
            return lots.choice([*ask.choices, *ask.choices, "hidden", ""])
        if ask.schema is None:
            return "So be it."
        if "nodes" not in ask.schema["properties"]:
            return lots.choice(['{"phrase": "cups"}', '{"text": "cups"}', "{}", "[", '{"phrase": null}'])
        self.replies += 1
        return lots.choice((self._noise, self._broken, self._calls, self._calls, self._calls, self._huge))()

    def _noise(self) -> str:
        lots = self._lots
        return "".join(chr(lots.randrange(32, 0xD7FF)) for _ in range(lots.randrange(200)))

    def _broken(self) -> str:
        whole = self._calls()
        deep = "[" * self._lots.choice([3, 100_000]) + "]" * 3
        return self._lots.choice(
            [whole[: len(whole) // 2], f'{{"nodes": {deep}}}', '{"nodes": NaN}', "null", '{"nodes": {}}']
        )

    def _huge(self) -> str:
        number = self._lots.choice([7, 100, 10_000])
        return json.dumps({"nodes": [{"tool": "look", "phrase": "cups"}] * number})

    def _calls(self) -> str:
        return json.dumps({"nodes": [self._call() for _ in range(self._lots.randrange(5))]})

    def _call(self) -> Any:
        lots = self._lots
        if lots.random() < 0.05:
            return lots.choice([None, 7, "look", [], {}, {"tool": None}, {"phrase": "cups"}])
        tool = lots.choice([*self._tools, *self._tools, *self._tools, lots.choice(_NAMES)])
        call: dict[str, Any] = {"tool": tool}
        for port, kind in _TAKES.get(tool, {}).items():
            if kind == "text" and lots.random() < 0.9:
                call[port] = self._value() if lots.random() < 0.3 else lots.choice(["cups", "$look.said"])
            elif lots.random() < 0.15:
                call[port] = self._value()
        if lots.random() < 0.1:
            call[lots.choice(["with", "approve", "each", "when", "tool2", "", "a-b", "boxes", "x" * 100])] = (
                self._value()
            )
        return call

    def _value(self) -> Any:
        lots = self._lots
        node, port = (
            lots.choice([*self._tools, "nobody", "self", "look-2"]),
            lots.choice(["boxes", "said", "points", "number"]),
        )
        plain = [7, -1e300, True, None, [], {}, [1, 2], {"a": "$look.said"}, [f"${node}.{port}"], *_WORDS]
        return f"${node}.{port}" if lots.random() < 0.4 else lots.choice(plain)

    def faults_of(self, events: Iterable[Event]) -> list[str]:
        """What is wrong with what was carried out."""
        told = list(events)
        carried_out = [event for event in told if isinstance(event, PlanMade) and not event.faults]
        calls = [event for event in told if isinstance(event, ToolCalled)]
        planned = {node.callee[1] for event in carried_out for node in parse_graph(event.plan).spec.nodes.values()}
        stray = [event.tool for event in calls if event.is_node and event.tool not in planned]
        unknown = [event.tool for event in calls if event.tool not in self._tools]
        return [*stray, *unknown, *(fault for event in carried_out for fault in _illegal(event.plan))]


def _illegal(plan: str) -> list[str]:
    """Every call whose tool or inputs are wrong, by the tables above; a cycle shows as a wire from later on."""
    nodes = parse_graph(plan).spec.nodes
    kinds = {name: node.callee[1] for name, node in nodes.items()}
    faults = [f"{name} calls {tool}" for name, tool in kinds.items() if tool not in _TAKES]
    done: set[str] = set()
    while ready := [name for name in nodes if name not in done and _sources(nodes[name].with_) <= done]:
        done.update(ready)
    faults += [f"{name} waits for ever" for name in nodes if name not in done]
    for name, node in nodes.items():
        takes = _TAKES.get(kinds[name], {})
        faults += [f"{name} lacks {port}" for port in takes if node.with_.get(port) is None]
        faults += [f"{name}.{port} is unknown" for port in node.with_ if port not in takes]
        faults += [
            f"{name}.{port} takes {value!r}"
            for port, value in node.with_.items()
            if port in takes and not _fits(value, takes[port], kinds)
        ]
    return faults


def _sources(inputs: dict[str, Any]) -> set[str]:
    return {value[1:].partition(".")[0] for value in inputs.values() if _is_wire(value)}


def _is_wire(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("$") and not value.startswith("$$")


def _fits(value: Any, kind: str, kinds: dict[str, str]) -> bool:
    """Whether a port of a kind takes a value; of the literals here a list is one of boxes or points if it is empty."""
    if _is_wire(value):
        node, _, port = value[1:].partition(".")
        return _GIVES.get(kinds.get(node, ""), {}).get(port) == kind
    return isinstance(value, str) if kind == "text" else value == []
