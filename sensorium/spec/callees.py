"""What nodes call: looked up in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sensorium.spec.calls import Called, calls_of, way
from sensorium.spec.catalogue import Catalogue, GraphEntry
from sensorium.spec.graph import GraphSpec
from sensorium.spec.nearest import meant
from sensorium.spec.ports import Signature

__all__ = ["Callee", "Callees"]


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
        self._ways: dict[Called, list[str] | None] = {}
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
        return any(self.has_effects(*further) for further in calls_of(kind, name, self.catalogue))

    def way_back(self, kind: str, name: str, spec: GraphSpec) -> list[str] | None:
        """How a call of a graph or an agent comes back to `spec`, as names; None where it does not."""
        key = kind, name
        if key not in self._ways:
            self._ways[key] = way(key, lambda here: self._is_graph(here, spec), self.catalogue)
        return self._ways[key]

    def _is_graph(self, here: Called, spec: GraphSpec) -> bool:
        kind, name = here
        entry = self.catalogue.graphs.get(name)
        return kind == "graph" and (name == spec.name or (entry is not None and _is(entry, spec)))


def _is(entry: GraphEntry, spec: GraphSpec) -> bool:
    return entry.spec is spec or (entry.spec.name == spec.name and entry.spec == spec)
