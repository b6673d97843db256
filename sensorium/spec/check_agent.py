"""What is wrong with what an agent's file names: pure, as the checker of graphs is."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from sensorium.errors import AuthorError, Fault
from sensorium.spec.calls import Called, calls_of_agent, kinds_of, way
from sensorium.spec.catalogue import AgentEntry, Catalogue
from sensorium.spec.nearest import meant

__all__ = ["ToolFault", "callees_of_agent", "check_agent"]


class ToolFault(NamedTuple):
    """One name in an agent's `tools` that cannot stay."""

    place: int
    """Its place in the list, counted from 0."""
    found: str
    right: str


def check_agent(entry: AgentEntry, catalogue: Catalogue, *, lost: Collection[str] = ()) -> Iterator[ToolFault]:
    """Everything that is wrong with what an agent may call.

    Args:
        entry: The agent.
        catalogue: Everything that can be called, the agent included.
        lost: Names of what is there and has faults of its own, which are told elsewhere.
    """
    name = entry.spec.name
    for index, callee in enumerate(entry.spec.tools):
        kinds = kinds_of(callee, entry, catalogue)
        if not kinds and callee not in lost:
            found = f"agent {name!r} names {callee!r}, which is no tool, agent or graph"
            yield ToolFault(index, found, _right(callee, catalogue))
        elif len(kinds) > 1:
            found = f"agent {name!r} names {callee!r}, which is {_listed(kinds)}"
            yield ToolFault(index, found, "give all but one of them another name")
        elif kinds and (trail := _way_back((kinds[0], callee), entry, catalogue)) is not None:
            found = f"agent {name!r} calls itself: {' → '.join((name, *trail))}"
            yield ToolFault(index, found, "take one of these names away")


def callees_of_agent(entry: AgentEntry, catalogue: Catalogue) -> list[Called]:
    """What an agent may call, as its file orders it.

    Raises:
        AuthorError: Its file names what is not there, what is several things, or what calls the agent itself.
    """
    path = str(entry.folder / "agent.yaml")
    faults = [Fault(path, 0, 0, found, right) for _, found, right in check_agent(entry, catalogue)]
    if faults:
        raise AuthorError(faults)
    return calls_of_agent(entry, catalogue)


def _right(name: str, catalogue: Catalogue) -> str:
    known = [*catalogue.tools, *catalogue.agents, *catalogue.graphs]
    return meant(name, [one for one in known if name.startswith("box/") or not one.startswith("box/")], "there are")


def _listed(kinds: list[str]) -> str:
    return " and ".join(f"{'an' if kind == 'agent' else 'a'} {kind}" for kind in kinds)


def _way_back(first: Called, entry: AgentEntry, catalogue: Catalogue) -> list[str] | None:
    def is_back(here: Called) -> bool:
        kind, name = here
        return kind == "agent" and name in catalogue.agents and catalogue.agents[name] is entry

    return way(first, is_back, catalogue)
