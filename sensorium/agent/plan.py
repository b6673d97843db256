"""A plan in the making: calls with the wires between them, as a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from sensorium.agent.task import Task
from sensorium.errors import AuthorError
from sensorium.spec.graph import GraphSpec
from sensorium.spec.names import free_name
from sensorium.spec.plain import is_list
from sensorium.spec.ports import NAME, PortType
from sensorium.spec.validation import faults_of
from sensorium.spec.wires import is_wire
from sensorium.spec.yaml import Document

__all__ = ["Plan", "Step", "escaped"]

_NAME = "plan"
_TAKEN = ("self", "item")
_ABOUT_CHARS = 200


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a plan."""

    node: str
    callee: str
    inputs: Mapping[str, Any]
    """As a graph file writes them: wires, literals, lists of wires."""
    outputs: tuple[str, ...]
    """Ports that it gives; empty where nothing of the callee's name is known."""
    kind: str = "tool"
    """`tool`, `agent` or `graph`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Calls in the order in which they were thought of, on what came with the request."""

    given: Mapping[str, PortType]
    """What came with the request, by input of the agent."""
    about: str = ""
    steps: tuple[Step, ...] = ()

    @classmethod
    def of(cls, task: Task) -> Plan:
        """A plan without calls, on what came with a task."""
        return cls({held.wire.port: held.type for held in task.hand.held}, task.request[:_ABOUT_CHARS])

    def node_for(self, callee: str) -> str:
        """A name for the next call of `callee`: its own, with a number where that is taken; `call` where it is none."""
        own = callee.rpartition("/")[2][:60]
        base = own if NAME.fullmatch(own) else "call"
        taken = {*self.given, *_TAKEN, *(step.node for step in self.steps)}
        return free_name(base, taken)

    def with_step(self, step: Step) -> Plan:
        """The same, and this call."""
        return replace(self, steps=(*self.steps, step))

    def spec(self) -> GraphSpec:
        """The plan as a graph file would declare it. It gives what none of its calls takes.

        Raises:
            AuthorError: It names what can be no name, or holds no call.
        """
        wires = [wire for step in self.steps for wire in _wires(step.inputs.values())]
        used = {wire.removeprefix("$") for wire in wires}
        graph: dict[str, Any] = {
            "sensorium": 1,
            "name": _NAME,
            "about": self.about,
            "inputs": {port: str(kind.as_required()) for port, kind in self.given.items() if port in used},
            "nodes": {step.node: {step.kind: step.callee, "with": dict(step.inputs)} for step in self.steps},
            "outputs": self._outputs({name.partition(".")[0] for name in used}),
        }
        try:
            return GraphSpec.model_validate(graph, by_alias=True, by_name=False)
        except ValidationError as error:
            raise AuthorError(faults_of(GraphSpec, Document("", graph, {(): (0, 0)}, {}), error)) from error

    def _outputs(self, used: Iterable[str]) -> dict[str, str]:
        last = [step for step in self.steps if step.node not in used] or list(self.steps[-1:])
        ends = [(step.node, port) for step in last for port in step.outputs or ("result",)]
        ports = [port for _, port in ends]
        return {
            port if ports.count(port) == 1 else f"{port[:60]}_{number}": f"${node}.{port}"
            for number, (node, port) in enumerate(ends, 1)
        }


def escaped(value: object) -> object:
    """A literal as a graph file writes it."""
    return f"${value}" if isinstance(value, str) and value.startswith("$") else value


def _wires(values: Iterable[object]) -> Iterable[str]:
    for value in values:
        if is_list(value):
            yield from _wires(value)
        elif isinstance(value, str) and is_wire(value):
            yield value
