"""Who calls whom: what nodes, graphs and agents call, and how a call comes back to where it came from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeAlias

from sensorium.spec.catalogue import AgentEntry, Catalogue
from sensorium.spec.graph import GraphSpec, NodeSpec

__all__ = [
    "Called",
    "acts_unasked",
    "called",
    "calls_of",
    "calls_of_agent",
    "calls_of_graph",
    "kinds_of",
    "reached",
    "way",
]

Called: TypeAlias = tuple[str, str]
"""Kind and name of what is called."""


def called(node: NodeSpec) -> Iterator[Called]:
    """What a node calls, and what stands in for it."""
    yield node.callee
    if node.else_ is not None and node.else_.tool is not None:
        yield "tool", node.else_.tool
    if node.else_ is not None and node.else_.graph is not None:
        yield "graph", node.else_.graph


def calls_of_graph(spec: GraphSpec) -> list[Called]:
    """What a graph calls, each once, in its own order."""
    return list(dict.fromkeys(one for node in spec.nodes.values() for one in called(node)))


def kinds_of(name: str, entry: AgentEntry, catalogue: Catalogue) -> list[str]:
    """What a name in an agent's `tools` is: none where there is no such thing, several where it is not clear which.

    An agent of the box means what the box has of that name, whatever a project calls its own.
    """
    entries = {"tool": catalogue.tools, "agent": catalogue.agents, "graph": catalogue.graphs}
    of_box = [kind for kind, known in entries.items() if entry.origin == "box" and f"box/{name}" in known]
    return of_box or [kind for kind, known in entries.items() if name in known]


def calls_of_agent(entry: AgentEntry, catalogue: Catalogue) -> list[Called]:
    """What an agent may call, as its file orders it; names that mean nothing, or several things, are left out."""
    found = ((kinds_of(name, entry, catalogue), name) for name in entry.spec.tools)
    return [(kinds[0], name) for kinds, name in found if len(kinds) == 1]


def calls_of(kind: str, name: str, catalogue: Catalogue) -> list[Called]:
    """What something calls itself; nothing where it is a tool, or is not there."""
    if kind == "agent" and name in catalogue.agents:
        return calls_of_agent(catalogue.agents[name], catalogue)
    if kind == "graph" and name in catalogue.graphs:
        return calls_of_graph(catalogue.graphs[name].spec)
    return []


def reached(first: Called, catalogue: Catalogue) -> list[Called]:
    """Something and everything that it may call, at any depth, each once."""
    found, waiting = {first: None}, [first]
    while waiting:
        for further in calls_of(*waiting.pop(), catalogue):
            if further not in found:
                found[further] = None
                waiting.append(further)
    return list(found)


def way(first: Called, is_end: Callable[[Called], bool], catalogue: Catalogue) -> list[str] | None:
    """How a call of something leads to a certain end, as names, both included; None where it does not."""
    came_from: dict[Called, Called | None] = {first: None}
    waiting = [first]
    while waiting:
        here = waiting.pop()
        if is_end(here):
            return _trail(here, came_from)
        for further in calls_of(*here, catalogue):
            if further not in came_from:
                came_from[further] = here
                waiting.append(further)
    return None


def _trail(end: Called, came_from: Mapping[Called, Called | None]) -> list[str]:
    trail = [end]
    while (before := came_from[trail[-1]]) is not None:
        trail.append(before)
    return [name for _, name in reversed(trail)]


def acts_unasked(first: Called, catalogue: Catalogue, allowed: Collection[str]) -> bool:
    """Whether a call that a model chooses may act on the world with nobody asked, unless somebody is asked for it.

    That is a tool with effects, and a graph with such a tool in a node without `approve`. Agents ask by themselves.

    Args:
        first: What is called.
        catalogue: What there is.
        allowed: Names of what needs no asking.
    """
    seen, waiting = {first}, [first]
    while waiting:
        kind, name = waiting.pop()
        if name in allowed:
            continue
        if kind == "tool" and name in catalogue.tools and catalogue.tools[name].spec.effects:
            return True
        if kind == "graph" and name in catalogue.graphs:
            further = set(_unasked(catalogue.graphs[name].spec)) - seen
            waiting += further
            seen |= further
    return False


def _unasked(spec: GraphSpec) -> Iterator[Called]:
    for node in spec.nodes.values():
        if node.approve is not True:
            yield from called(node)
