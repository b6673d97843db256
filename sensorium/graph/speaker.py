"""Whose words are an output of a graph, so that they can be shown while they come."""

from __future__ import annotations

from sensorium.spec.catalogue import Catalogue
from sensorium.spec.graph import GraphSpec
from sensorium.spec.wires import NodeWire, is_wire, parse_wire

__all__ = ["speaker_of"]


def speaker_of(spec: GraphSpec, port: str, catalogue: Catalogue) -> str:
    """Path of the agent's node that gives an output, as `TextPiece.node` has it; empty where no one node does.

    Args:
        spec: A graph without faults.
        port: One of its outputs.
        catalogue: What the graph calls.
    """
    path: list[str] = []
    while True:
        text = spec.outputs[port]
        wire = parse_wire(text) if is_wire(text) else None
        if not isinstance(wire, NodeWire):
            return ""
        node, port = spec.nodes[wire.node], wire.port
        path.append(wire.node)
        kind, name = node.callee
        if kind == "agent" and node.each is None and node.until is None:
            return "/".join(path)
        if kind != "graph" or node.each is not None or node.until is not None:
            return ""
        spec = catalogue.graphs[name].spec
