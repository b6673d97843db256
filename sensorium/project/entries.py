"""Fills the catalogue from the box and a project, without running any of their code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from sensorium.errors import AuthorError, Fault
from sensorium.project.folders import folder_digest, members
from sensorium.spec.catalogue import AgentEntry, Catalogue, GraphEntry, Origin, ToolEntry
from sensorium.spec.check import check
from sensorium.spec.check_agent import check_agent
from sensorium.spec.read import GraphSource, read_agent, read_graph, read_tool
from sensorium.spec.yaml import load_file

__all__ = ["Loaded", "fill_catalogue"]

Entry = TypeVar("Entry")
Loaded = tuple[Catalogue, list[Fault]]


def fill_catalogue(box: Path, project: Path | None) -> Loaded:
    """Everything that can be called, and every fault in the files that declare it.

    A tool, agent or graph with a fault is left out of the catalogue, so that the rest can be listed and checked. What
    an agent may call is checked when all is known.
    """
    faults: list[Fault] = []
    places: list[tuple[Path, Origin]] = [(box, "box")]
    if project is not None and project != box:
        places.append((project, "project"))
    tools = _gather(
        faults, ((path, origin) for home, origin in places for path in members(home, "tools", "tool.yaml")), _tool
    )
    agents = _gather(
        faults, ((path, origin) for home, origin in places for path in members(home, "agents", "agent.yaml")), _agent
    )
    files: list[tuple[Path, Origin]] = [
        (path, origin) for home, origin in places for path in sorted((home / "graphs").glob("*.yaml"))
    ]
    sources = _gather(faults, files, _source)
    callables = Catalogue(tools, agents, {})
    catalogue = Catalogue(tools, agents, _signatures(sources, callables))
    lost = {name for home, _ in places for name in _names(home)}
    sound = {name: entry for name, entry in agents.items() if not _agent_faults(entry, catalogue, lost)}
    for entry in {entry.folder: entry for name, entry in agents.items() if name not in sound}.values():
        faults += _agent_faults(entry, catalogue, lost)
    return Catalogue(tools, sound, catalogue.graphs), faults


def _names(home: Path) -> Iterator[str]:
    """Names of everything that a folder holds, whatever is wrong with it."""
    for kind, marker in (("tools", "tool.yaml"), ("agents", "agent.yaml")):
        yield from (folder.name for folder in members(home, kind, marker))
    yield from (path.stem for path in (home / "graphs").glob("*.yaml"))


def _agent_faults(entry: AgentEntry, catalogue: Catalogue, lost: Collection[str]) -> list[Fault]:
    """What is wrong with what an agent names, at its places in the file."""
    found = list(check_agent(entry, catalogue, lost=lost))
    if not found:
        return []
    document = load_file(entry.folder / "agent.yaml")
    return [document.fault(("tools", fault.place), fault.found, fault.right) for fault in found]


def _tool(folder: Path, origin: Origin) -> tuple[str, ToolEntry]:
    spec = read_tool(folder)
    return spec.name, ToolEntry(spec, folder, origin, folder_digest(folder))


def _agent(folder: Path, origin: Origin) -> tuple[str, AgentEntry]:
    spec, prompt = read_agent(folder)
    return spec.name, AgentEntry(spec, prompt, folder, origin, folder_digest(folder))


def _source(path: Path, origin: Origin) -> tuple[str, tuple[GraphSource, Path, Origin]]:
    source = read_graph(path)
    return source.spec.name, (source, path, origin)


def _gather(
    faults: list[Fault],
    places: Iterable[tuple[Path, Origin]],
    read: Callable[[Path, Origin], tuple[str, Entry]],
) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for path, origin in places:
        try:
            name, entry = read(path, origin)
        except AuthorError as error:
            faults.extend(error.faults)
            continue
        if origin == "box":
            found[f"box/{name}"] = entry
        if name in found:
            faults.append(
                Fault(str(path), 1, 1, f"{name!r} is also in the box", f"give it another name; the box's is box/{name}")
            )
            continue
        found[name] = entry
    return found


def _signatures(sources: dict[str, tuple[GraphSource, Path, Origin]], callables: Catalogue) -> dict[str, GraphEntry]:
    """Entries of graphs, those that others call first, since a caller's types follow from theirs."""
    done: dict[str, GraphEntry] = {}
    waiting = dict(sources)
    while waiting:
        ready = [name for name, (source, _, _) in waiting.items() if not (_called(source) & waiting.keys())]
        for name in ready or list(waiting):
            source, path, origin = waiting.pop(name)
            catalogue = Catalogue(callables.tools, callables.agents, done)
            done[name] = GraphEntry(source.spec, check(source, catalogue).signature, path, origin)
    return done


def _called(source: GraphSource) -> set[str]:
    nodes = source.spec.nodes.values()
    stand_ins = (node.else_.graph for node in nodes if node.else_ is not None)
    return {name for name in (*(node.graph for node in nodes), *stand_ins) if name is not None}
