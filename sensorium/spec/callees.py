"""What nodes call: looked up in the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sensorium.spec.catalogue import Catalogue, GraphEntry
from sensorium.spec.graph import GraphSpec, NodeSpec
from sensorium.spec.nearest import meant
from sensorium.spec.ports import Signature

__all__ = ["Callee", "Callees", "called", "called_graphs"]


@dataclass(frozen=True, slots=True)
class Callee:
    """A tool, agent or graph that a node calls."""

    kind: str
    name: str
    signature: Signature
    twins: Mapping[str, str] = field(default_factory=dict[str, str])
    """For a tool: the text output that says the same as a latent one."""
    untyped: frozenset[str] = frozenset()
    """For a graph with faults of its own: outputs whose types are not known."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Callees:
    """The catalogue, asked by kind and name for one graph; every answer is worked out once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._known: dict[tuple[str, str], Callee | None] = {}
        self._right: dict[tuple[str, str], str] = {}
        self._ways: dict[str, list[str] | None] = {}
        self._effects: dict[tuple[str, str], bool] = {}

    def find(self, kind: str, name: str) -> Callee | None:
        """What is called so; None where there is no such thing."""
        key = kind, name
        if key not in self._known:
            self._known[key] = self._look_up(kind, name)
        return self._known[key]

    def _look_up(self, kind: str, name: str) -> Callee | None:
        if kind == "tool" and name in self.catalogue.tools:
            spec = self.catalogue.tools[name].spec
            return Callee(kind, name, spec.signature, spec.twins)
        if kind == "agent" and name in self.catalogue.agents:
            return Callee(kind, name, self.catalogue.agents[name].spec.signature)
        if kind == "graph" and name in self.catalogue.graphs:
            entry = self.catalogue.graphs[name]
            untyped = frozenset(set(entry.spec.outputs) - set(entry.signature.outputs))
            return Callee(kind, name, entry.signature, untyped=untyped)
        return None

    def right(self, kind: str, name: str) -> str:
        """What would be right in place of an unknown name."""
        key = kind, name
        if key not in self._right:
            self._right[key] = self._advice(kind, name)
        return self._right[key]

    def _advice(self, kind: str, name: str) -> str:
        kinds = {"tool": self.catalogue.tools, "agent": self.catalogue.agents, "graph": self.catalogue.graphs}
        for other, entries in kinds.items():
            if other != kind and name in entries:
                return f"it is {'an' if other == 'agent' else 'a'} {other}: write {other}: {name}"
        names = [known for known in kinds[kind] if name.startswith("box/") or not known.startswith("box/")]
        return meant(name, names, f"the {kind}s are") or f"there are no {kind}s"

    def has_effects(self, kind: str, name: str) -> bool:
        """Whether a call may act on the world outside: itself, or by what it calls."""
        key = kind, name
        if key not in self._effects:
            self._effects[key] = False  # what comes back to itself adds nothing
            self._effects[key] = self._may_act(kind, name)
        return self._effects[key]

    def _may_act(self, kind: str, name: str) -> bool:
        if kind == "tool":
            return name in self.catalogue.tools and self.catalogue.tools[name].spec.effects
        if kind == "agent":
            agent = self.catalogue.agents.get(name)
            return agent is not None and any(
                self.has_effects(other, called) for called in agent.spec.tools for other in ("tool", "agent", "graph")
            )
        graph = self.catalogue.graphs.get(name)
        return graph is not None and any(self.has_effects(*called) for called in _calls(graph.spec))

    def way_back(self, name: str, spec: GraphSpec) -> list[str] | None:
        """How a call of graph `name` comes back to `spec`, as names of graphs; None where it does not."""
        if name not in self._ways:
            self._ways[name] = self._way(name, spec)
        return self._ways[name]

    def _way(self, name: str, spec: GraphSpec) -> list[str] | None:
        came_from: dict[str, str | None] = {name: None}
        waiting = [name]
        while waiting:
            here = waiting.pop()
            entry = self.catalogue.graphs.get(here)
            if here == spec.name or (entry is not None and _is(entry, spec)):
                return _trail(here, came_from)
            for further in called_graphs(entry.spec) if entry is not None else ():
                if further not in came_from:
                    came_from[further] = here
                    waiting.append(further)
        return None


def _is(entry: GraphEntry, spec: GraphSpec) -> bool:
    return entry.spec is spec or (entry.spec.name == spec.name and entry.spec == spec)


def _trail(end: str, came_from: Mapping[str, str | None]) -> list[str]:
    trail = [end]
    while (before := came_from[trail[-1]]) is not None:
        trail.append(before)
    return trail[::-1]


def called(node: NodeSpec) -> Iterator[tuple[str, str]]:
    """Kind and name of what a node calls, and of what stands in for it."""
    yield node.callee
    if node.else_ is not None and node.else_.tool is not None:
        yield "tool", node.else_.tool
    if node.else_ is not None and node.else_.graph is not None:
        yield "graph", node.else_.graph


def _calls(spec: GraphSpec) -> Iterator[tuple[str, str]]:
    for node in spec.nodes.values():
        yield from called(node)


def called_graphs(spec: GraphSpec) -> list[str]:
    """Names of the graphs that a graph calls, each once, in its own order."""
    return list(dict.fromkeys(name for kind, name in _calls(spec) if kind == "graph"))
