"""Which nodes may begin on a list before it is whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sensorium.spec.callees import Callees
from sensorium.spec.calls import called, reached
from sensorium.spec.catalogue import Catalogue
from sensorium.spec.checked import CheckedNode, ElseCall, ElseValue, Feed, ListFeed, WireFeed
from sensorium.spec.graph import NodeSpec
from sensorium.spec.wires import NodeWire, Wire

__all__ = ["followed_list"]


def followed_list(node: CheckedNode, nodes: Mapping[str, CheckedNode], catalogue: Catalogue) -> NodeWire | None:
    """The list that a node works on while it is made; None where the node waits until it is whole.

    It waits where anything but `each` reads the list's maker, and for a maker with `until`, of whose rounds the last
    alone counts.
    """
    if node.each is None or not isinstance(node.each.wire, NodeWire):
        return None
    maker = nodes[node.each.wire.node]
    reads_it_otherwise = any(isinstance(wire, NodeWire) and wire.node == maker.name for wire in _wires(node))
    if reads_it_otherwise or maker.until is not None or not _may_be_in_vain(node.spec, catalogue):
        return None
    return node.each.wire


def _may_be_in_vain(node: NodeSpec, catalogue: Catalogue) -> bool:
    """Whether a node may be called for what turns out not to count.

    So it is where nobody is asked for it, nothing acts on the world outside, and what was computed is found again.
    """
    callees = Callees(catalogue)
    if any(callees.has_effects(kind, name) for kind, name in called(node)):
        return False
    return not any(inner.approve or inner.cache == "off" for inner in _with_inner_nodes(node, catalogue))


def _with_inner_nodes(node: NodeSpec, catalogue: Catalogue) -> Iterator[NodeSpec]:
    """The node, and all nodes of the graphs that are called for it, by itself or by its agents."""
    yield node
    inner = {one for first in called(node) for one in reached(first, catalogue)}
    for kind, name in inner:
        if kind == "graph" and name in catalogue.graphs:
            yield from catalogue.graphs[name].spec.nodes.values()


def _wires(node: CheckedNode) -> Iterator[Wire]:
    """What a node reads besides the list of its `each`."""
    if node.condition is not None:
        yield node.condition.wire
    yield from node.twins.values()
    feeds = list(node.feeds.values())
    if isinstance(node.stand_in, ElseCall):
        feeds += node.stand_in.feeds.values()
    if isinstance(node.stand_in, ElseValue):
        feeds += node.stand_in.outputs.values()
    for feed in feeds:
        yield from _wires_of(feed)


def _wires_of(feed: Feed) -> Iterator[Wire]:
    for one in feed.items if isinstance(feed, ListFeed) else (feed,):
        if isinstance(one, WireFeed):
            yield one.wire
