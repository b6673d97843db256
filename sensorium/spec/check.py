"""The checker: what a graph means, and everything that is wrong with it. Pure: a graph and a catalogue in, data out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sensorium.spec.callees import Callees
from sensorium.spec.calls import called
from sensorium.spec.catalogue import Catalogue
from sensorium.spec.check_node import NodeCheck
from sensorium.spec.checked import Checked, CheckedNode, WireFeed
from sensorium.spec.feeds import Faults, Feeding, Giver, Scope
from sensorium.spec.graph import NodeSpec
from sensorium.spec.order import cycles, reached, sorted_nodes
from sensorium.spec.plain import is_list
from sensorium.spec.ports import PortType, Signature
from sensorium.spec.read import GraphSource
from sensorium.spec.wires import NodeWire, is_wire, parse_condition, parse_wire
from sensorium.spec.yaml import YamlPath

__all__ = ["MAX_NODES", "Checked", "check"]

MAX_NODES = 5000
"""Most nodes of a graph."""


def check(source: GraphSource, catalogue: Catalogue) -> Checked:
    """The graph with every name resolved and every type known, and all that is wrong with it.

    Nothing is loaded, opened or run. A mistake of the author never raises: it stands in `Checked.faults`, together with
    what was wrong with the file already (`survey_graph`).
    """
    return _Check(source, catalogue).run()


class _Check:
    def __init__(self, source: GraphSource, catalogue: Catalogue) -> None:
        self.source = source
        self.spec = source.spec
        self.callees = Callees(catalogue)
        self.faults = Faults(source)
        self.inputs = {name: PortType.parse(text) for name, text in self.spec.inputs.items()}
        self.lost_nodes = {str(path[1]) for path in source.lost if len(path) == 2 and path[0] == "nodes"}
        lost_inputs = {str(path[1]): None for path in source.lost if len(path) == 2 and path[0] == "inputs"}
        nodes = {*self.spec.nodes, *self.lost_nodes}
        items = {node.as_: name for name, node in self.spec.nodes.items() if node.as_ is not None}
        self.feeding = Feeding(self.faults, {**self.inputs, **lost_inputs}, nodes, items=items)
        self.dependencies: dict[str, tuple[str, ...]] = {}

    def run(self) -> Checked:
        if len(self.spec.nodes) > MAX_NODES:
            found = f"the graph has {len(self.spec.nodes):,} nodes"
            right = f"a graph has at most {MAX_NODES:,}: move some into a graph of their own"
            self.faults.add(("nodes",), found, right, key=True)
            return self._checked((), {}, {})
        self._names()
        self.dependencies = {name: _dependencies(node, self.spec.nodes) for name, node in self.spec.nodes.items()}
        order = sorted_nodes(self.dependencies)
        self._cycles()
        nodes = self._nodes(order)
        outputs = self._outputs()
        self._unused()
        return self._checked(order, nodes, outputs)

    def _checked(
        self, order: tuple[str, ...], nodes: Mapping[str, CheckedNode], outputs: Mapping[str, WireFeed]
    ) -> Checked:
        found = dict.fromkeys((*self.source.faults, *self.faults.found))
        signature = Signature(self.inputs, {name: feed.type for name, feed in outputs.items()})
        faults = tuple(sorted(found, key=lambda fault: (fault.line, fault.column)))
        return Checked(self.source, faults, signature, order, nodes, outputs)

    def _names(self) -> None:
        for name in self.spec.nodes:
            if name in self.spec.inputs:
                self.faults.add(
                    ("nodes", name), f"node {name!r} has the name of an input", "rename one of them", key=True
                )
            if name == "self":
                self.faults.add(
                    ("nodes", name), "a node is called 'self'", "$self is the node itself: rename it", key=True
                )
        if "self" in self.spec.inputs:
            self.faults.add(
                ("inputs", "self"), "an input is called 'self'", "$self is a node itself: rename it", key=True
            )

    def _cycles(self) -> None:
        for cycle in cycles(self.dependencies):
            first, following = cycle[0], cycle[1 % len(cycle)]
            path = next(at for at, name in _wired(self.spec.nodes[first]) if name == following)
            shown = cycle if len(cycle) <= 12 else [*cycle[:11], "…"]
            found = f"node {first!r} waits for itself: {' → '.join((*shown, first))}"
            self.faults.add(("nodes", first, *path), found, "take one of these wires away; until repeats a node")

    def _nodes(self, order: tuple[str, ...]) -> dict[str, CheckedNode]:
        rank = {name: index for index, name in enumerate(order)}
        for name in order:  # what nodes on a cycle give is known by their callees
            self.feeding.givers[name] = self._giver(self.spec.nodes[name])
        checked: dict[str, CheckedNode] = {}
        for name in order:
            dependencies = tuple(sorted(self.dependencies[name], key=rank.__getitem__))
            node = NodeCheck(self.spec, self.callees, self.feeding, name).checked(dependencies)
            if node is not None:
                checked[name] = node
                self.feeding.givers[name] = Giver(self.feeding.givers[name].callee, node.outputs)
        return {name: checked[name] for name in self.spec.nodes if name in checked}

    def _giver(self, node: NodeSpec) -> Giver:
        kind, name = node.callee
        callee = self.callees.find(kind, name)
        if callee is None or (kind == "graph" and self.callees.way_back(kind, name, self.spec) is not None):
            return Giver(None, {})
        outputs = callee.signature.outputs
        if node.each is not None:
            outputs = {port: type_.as_list() for port, type_ in outputs.items()}
        return Giver(callee, outputs)

    def _outputs(self) -> dict[str, WireFeed]:
        outputs: dict[str, WireFeed] = {}
        if ("outputs",) in self.source.lost:
            return outputs
        for name, text in self.spec.outputs.items():
            path = ("outputs", name)
            if not is_wire(text):
                right = f"write ${text[:60]}" if text.split(".")[0] in self.feeding.nodes else "write $node.port"
                self.faults.add(path, f"output {name!r} is {text[:60]!r}, which is not a wire", right)
                self.feeding.guess(text)
                continue
            wire = self.feeding.parse(text, path, Scope())
            type_ = self.feeding.type_of(wire, path, Scope()) if wire is not None else None
            if wire is not None and type_ is not None:
                outputs[name] = WireFeed(wire, type_)
        return outputs

    def _unused(self) -> None:
        if any(path[:1] in (("nodes",), ("outputs",)) for path in self.source.lost):
            return  # what could not be read may have used anything
        for name in self.inputs:
            if name not in self.feeding.used_inputs:
                self.faults.add(("inputs", name), f"nothing uses input {name!r}", "wire it, or remove it", key=True)
        sources = (_node_of(text) for text in self.spec.outputs.values())
        ends = {node for node in sources if node is not None and node in self.spec.nodes}
        ends |= self.feeding.nearly_used & set(self.spec.nodes)
        ends |= {name for name, node in self.spec.nodes.items() if self._acts(node)}
        used = reached(ends, self.dependencies)
        for name in self.spec.nodes:
            if name not in used:
                found = f"no output of the graph depends on node {name!r}, and it does nothing outside"
                self.faults.add(("nodes", name), found, "wire one of its outputs, or remove it", key=True)

    def _acts(self, node: NodeSpec) -> bool:
        """Whether a node is of use even if nobody reads its outputs."""
        return any(self.callees.has_effects(kind, name) for kind, name in called(node))


def _wired(node: NodeSpec) -> list[tuple[YamlPath, str]]:
    """Every place in a node that reads another node, and which."""
    places: list[tuple[YamlPath, Any]] = [(("with", port), value) for port, value in node.with_.items()]
    if node.when is not None:
        places.append((("when",), node.when.strip().removeprefix("not").strip()))
    if node.each is not None:
        places.append((("each",), node.each))
    if node.else_ is not None:
        for key, given in (("with", node.else_.with_), ("value", node.else_.value)):
            places += [(("else", key, port), value) for port, value in (given or {}).items()]
    found: list[tuple[YamlPath, str]] = []
    for path, value in places:
        for index, item in enumerate(value if is_list(value) else [value]):
            source = _node_of(item)
            if source is not None:
                found.append(((*path, index) if is_list(value) else path, source))
    return found


def _node_of(value: Any) -> str | None:
    """The node that a wire or a condition reads."""
    if not is_wire(value):
        return None
    try:
        wire = parse_wire(value)
    except ValueError:
        try:
            wire = parse_condition(value).wire
        except ValueError:
            return None
    return wire.node if isinstance(wire, NodeWire) else None


def _dependencies(node: NodeSpec, nodes: Mapping[str, NodeSpec]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _, name in _wired(node) if name in nodes))
