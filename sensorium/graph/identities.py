"""What decides the results of a run, besides its inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from sensorium.errors import OperatorError
from sensorium.graph.services import Services
from sensorium.spec.calls import Called, calls_of_graph, reached
from sensorium.spec.catalogue import AgentEntry, Catalogue, ToolEntry
from sensorium.spec.graph import GraphSpec
from sensorium.spec.write import to_yaml

__all__ = ["changes", "identities_of"]


async def identities_of(spec: GraphSpec, text: str, services: Services) -> dict[str, str]:
    """Digests of the graph and of everything that it may call, of their checkpoints, devices and environments.

    Args:
        spec: The run's graph.
        text: The same, as the text of a graph file.
        services: What the run may use.

    Returns:
        By a name for people: `tool find`, `the checkpoint detector of tool find`, `model central`. What is not there,
        such as weights that were never pulled, has none.
    """
    catalogue = services.catalogue
    identities = {f"graph {spec.name}": _digest(text)}
    for kind, name in dict.fromkeys(_reached(spec, catalogue)):
        if kind == "graph":
            identities[f"graph {name}"] = _digest(to_yaml(catalogue.graphs[name].spec))
        elif kind == "agent":
            identities |= await _agent(catalogue.agents[name], services)
        else:
            identities |= await _tool(catalogue.tools[name], services)
    return identities


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """What is no longer as it was, each a sentence without its stop."""
    changed = [f"{name} has changed" for name in now if name in before and now[name] != before[name]]
    gone = [f"{name} is gone" for name in before if name not in now]
    new = [f"{name} is new" for name in now if name not in before]
    return (*changed, *gone, *new)


def _reached(spec: GraphSpec, catalogue: Catalogue) -> Iterator[Called]:
    """Everything that a graph may call and that is there, at any depth."""
    entries = {"tool": catalogue.tools, "agent": catalogue.agents, "graph": catalogue.graphs}
    for first in calls_of_graph(spec):
        for kind, name in reached(first, catalogue):
            if name in entries[kind] and (kind, name) != ("graph", spec.name):
                yield kind, name


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def _agent(entry: AgentEntry, services: Services) -> dict[str, str]:
    told, role = {f"agent {entry.spec.name}": entry.digest}, entry.spec.model
    try:
        return told | {f"model {role}": (await services.model(role)).identity}
    except OperatorError:
        return told


async def _tool(entry: ToolEntry, services: Services) -> dict[str, str]:
    name = f"tool {entry.spec.name}"
    try:
        binding = (await services.place(entry)).binding
    except OperatorError:
        return {name: entry.digest}
    told = {name: entry.digest, f"the device of {name}": binding.device.partition(":")[0]}
    if binding.python is not None:
        told[f"the environment of {name}"] = str(binding.python)
    return told | {f"the checkpoint {role} of {name}": it for role, it in binding.checkpoint_digests.items()}
