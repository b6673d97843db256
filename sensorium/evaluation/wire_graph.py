"""The latent wires of a graph: which agents hand on what they hold, to which, and which language models those are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sensorium.errors import CallerError
from sensorium.graph import Graph
from sensorium.project import Project
from sensorium.spec.checked import Checked, CheckedNode, Feed, ListFeed, WireFeed
from sensorium.spec.ports import CONTEXT
from sensorium.spec.projectfile import ModelSetting
from sensorium.spec.wires import InputWire, ItemWire, NodeWire, Wire

__all__ = ["LatentWire", "latent_wires", "settings_between"]


@dataclass(frozen=True, slots=True)
class LatentWire:
    """What an agent holds goes into another agent's input."""

    sender: str
    """Path of its node."""
    receiver: str
    port: str
    """Input of the receiver."""
    sender_role: str
    """Role of the profile that serves it."""
    receiver_role: str

    def __str__(self) -> str:
        return f"{self.sender} to {self.receiver}.{self.port}"


@dataclass(frozen=True, slots=True)
class _Level:
    """A graph, or a graph within it, with what feeds its inputs."""

    checked: Checked
    path: str
    feeds: Mapping[str, Feed]
    above: _Level | None


def latent_wires(project: Project, graph: Graph) -> list[LatentWire]:
    """The wires of a graph, and of the graphs in it, that bring an agent what another held; in the graph's order."""
    return list(_wires(project, _Level(graph.checked, "", {}, None)))


async def settings_between(project: Project, wire: LatentWire) -> tuple[ModelSetting, ModelSetting]:
    """How the profile serves both ends of a wire.

    Raises:
        CallerError: One of the models gives and takes no latents.
        OperatorError: The profile names no model for a role.
    """
    for role in dict.fromkeys((wire.sender_role, wire.receiver_role)):
        model = await project.model(role)
        if "latent" not in model.reads or project.profile.models[role].backend != "transformers":
            raise CallerError(
                f"{wire} cannot be measured: role {role} is served by a language model that gives and takes no latents "
                f"(profile {project.profile_name!r}, backend {project.profile.models[role].backend!r}); use a profile "
                "that serves it by backend transformers, or measure two checkpoints by --models"
            )
    roles = project.profile.models
    return roles[wire.sender_role], roles[wire.receiver_role]


def _wires(project: Project, level: _Level) -> Iterator[LatentWire]:
    for name, node in level.checked.nodes.items():
        path = f"{level.path}{name}"
        if node.kind == "graph":
            inner = project.graph(node.callee).checked
            yield from _wires(project, _Level(inner, f"{path}/", node.feeds, level))
        if node.kind == "agent":
            role = project.catalogue.agents[node.callee].spec.model
            for port, feed in _context_feeds(node):
                for sender, sender_role in _senders(project, level, node, feed):
                    yield LatentWire(sender, path, port, sender_role, role)


def _context_feeds(node: CheckedNode) -> Iterator[tuple[str, WireFeed]]:
    for port, type_ in node.signature.inputs.items():
        feed = node.feeds.get(port)
        if type_.space == CONTEXT and feed is not None:
            yield from ((port, one) for one in _wire_feeds(feed))


def _wire_feeds(feed: Feed) -> Iterator[WireFeed]:
    for one in feed.items if isinstance(feed, ListFeed) else (feed,):
        if isinstance(one, WireFeed):
            yield one


def _senders(project: Project, level: _Level, node: CheckedNode | None, feed: WireFeed) -> Iterator[tuple[str, str]]:
    """Path and role of each agent whose context comes through a wire."""
    wire: Wire = feed.wire
    if isinstance(wire, ItemWire) and node is not None and node.each is not None:
        wire = node.each.wire
    if isinstance(wire, NodeWire):
        yield from _given_by(project, level, wire)
    elif isinstance(wire, InputWire) and level.above is not None and wire.port in level.feeds:
        for one in _wire_feeds(level.feeds[wire.port]):
            yield from _senders(project, level.above, None, one)


def _given_by(project: Project, level: _Level, wire: NodeWire) -> Iterator[tuple[str, str]]:
    source = level.checked.nodes[wire.node]
    path = f"{level.path}{wire.node}"
    if source.kind == "agent":
        yield path, project.catalogue.agents[source.callee].spec.model
    elif source.kind == "graph":
        inner = project.graph(source.callee).checked
        yield from _senders(project, _Level(inner, f"{path}/", source.feeds, level), None, inner.outputs[wire.port])
