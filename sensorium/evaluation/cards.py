"""The tools of a data set as an agent's cards, and as a catalogue that plans are checked against."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sensorium.agent.toolbox import Card
from sensorium.errors import Fault
from sensorium.evaluation.outline import Link, Outline
from sensorium.evaluation.scoring import faults_of
from sensorium.evaluation.taskbench import BenchTool, TaskBench
from sensorium.spec.agent import ANSWER
from sensorium.spec.catalogue import Catalogue, ToolEntry
from sensorium.spec.check import check
from sensorium.spec.graph import GraphSpec
from sensorium.spec.names import free_name
from sensorium.spec.plain import is_list, is_tuple
from sensorium.spec.ports import PortType, Signature
from sensorium.spec.read import GraphSource
from sensorium.spec.tool import ToolSpec
from sensorium.spec.wires import NodeWire, is_wire, parse_wire

__all__ = ["Cards", "port_name"]

_ABOUT_CHARS = 2000
_NAME_CHARS = 60
_OUTPUT, _INPUT = "result", "after"
"""Ports of tools whose data say nothing of types: what a call gives, and which call it comes after."""
_NOWHERE = Path("/")
"""There is no folder behind such a tool: it is planned with, and never called."""


@dataclass(frozen=True, slots=True)
class Cards:
    """A data set's tools under names that plans can hold, and back."""

    bench: TaskBench
    names: Mapping[str, str]
    """A name for each of the data's own."""
    cards: tuple[Card, ...]
    catalogue: Catalogue

    @classmethod
    def of(cls, bench: TaskBench) -> Cards:
        """The cards of a data set, in its order."""
        names = _names(bench.tools)
        allowed = bench.allowed
        specs = {tool.id: _spec(names[tool.id], tool, is_typed=bench.is_typed) for tool in bench.tools.values()}
        cards = tuple(
            Card(spec.name, spec.about, spec.signature, _follows(tool, allowed, names)) for tool, spec in specs.items()
        )
        entries = {spec.name: ToolEntry(spec, _NOWHERE, "project", _digest(spec)) for spec in specs.values()}
        return cls(bench, names, cards, Catalogue(tools=entries))

    def check(self, plan: GraphSpec) -> tuple[Fault, ...]:
        """Everything that is wrong with a plan: what the checker finds, and links that the data do not allow."""
        faults = check(GraphSource(plan), self.catalogue).faults
        illegal = faults_of(self.outline(plan), self.bench.tools.keys(), self.bench.allowed)
        return (*faults, *(Fault("", 0, 0, found, "take another tool, or another order") for found in illegal))

    def outline(self, plan: GraphSpec) -> Outline:
        """A plan in the data's own names; those that are none of them stay as they are."""
        own = {name: tool for tool, name in self.names.items()}
        callees = {node: own.get(spec.callee[1], spec.callee[1]) for node, spec in plan.nodes.items()}
        links = [
            (callees.get(source, source), callees[node])
            for node, spec in plan.nodes.items()
            for source in _sources(spec.with_.values())
        ]
        return Outline(tuple(callees.values()), tuple(dict.fromkeys(links)))


def port_name(kind: str) -> str:
    """A port for a type of the data; another for each, whatever script it is written in."""
    plain = re.sub(r"[^a-z0-9]+", "_", kind.lower()).strip("_")
    named = plain if kind.isascii() else f"{plain}_{hashlib.sha256(kind.encode()).hexdigest()[:8]}"
    return named if named[:1].isalpha() else f"type_{named}"


def port_type(kind: str) -> PortType:
    """How a type of the data travels in a plan. No bytes do, so that every type but text is a space of its own."""
    return PortType("text") if kind == "text" else PortType("latent", space=port_name(kind))


def _names(tools: Iterable[str]) -> dict[str, str]:
    """A name for each tool, with a number where two would be the same."""
    names: dict[str, str] = {}
    for tool in tools:
        plain = re.sub(r"[^A-Za-z0-9-]+", "_", tool).strip("_-")[:_NAME_CHARS]
        base = plain if plain[:1].isalpha() else f"tool_{plain}"
        names[tool] = free_name(base, {ANSWER, *names.values()})
    return names


def _spec(name: str, tool: BenchTool, *, is_typed: bool) -> ToolSpec:
    signature = (
        _signature(tool)
        if is_typed
        else Signature({_INPUT: PortType("data", is_optional=True)}, {_OUTPUT: PortType("data")})
    )
    return ToolSpec.model_validate(
        {
            "name": name,
            "about": tool.about[:_ABOUT_CHARS] or tool.id,
            "inputs": {port: str(kind) for port, kind in signature.inputs.items()},
            "outputs": {port: str(kind) for port, kind in signature.outputs.items()},
        }
    )


def _signature(tool: BenchTool) -> Signature:
    """One port for each type. Text may be left out: most of it is the request's own, which no wire brings."""
    inputs = {port_name(kind): port_type(kind) for kind in tool.takes}
    outputs = {port_name(kind): port_type(kind) for kind in tool.gives}
    optional = {port: kind.as_optional() if kind.kind == "text" else kind for port, kind in inputs.items()}
    return Signature(optional, outputs or {_OUTPUT: PortType("data")})


def _follows(tool: str, allowed: frozenset[Link] | None, names: Mapping[str, str]) -> frozenset[str]:
    sources = names if allowed is None else [source for source, target in allowed if target == tool]
    return frozenset(names[source] for source in sources)


def _sources(values: Iterable[object]) -> Iterable[str]:
    """The nodes that wires come from."""
    for value in values:
        if is_list(value) or is_tuple(value):
            yield from _sources(value)
        elif isinstance(value, str) and is_wire(value):
            wire = parse_wire(value)
            if isinstance(wire, NodeWire):
                yield wire.node


def _digest(spec: ToolSpec) -> str:
    return hashlib.sha256(spec.model_dump_json().encode()).hexdigest()
