"""What goes into a port: wires and literals of a graph, typed against the port that takes them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sensorium.errors import Fault
from sensorium.spec.callees import Callee
from sensorium.spec.checked import Feed, ListFeed, LiteralFeed, WireFeed
from sensorium.spec.literals import literal_part
from sensorium.spec.nearest import closest, right_name
from sensorium.spec.plain import is_list
from sensorium.spec.ports import PortType
from sensorium.spec.read import GraphSource
from sensorium.spec.wires import Condition, InputWire, ItemWire, NodeWire, SelfWire, Wire, is_wire, parse_wire
from sensorium.spec.yaml import YamlPath

__all__ = ["Faults", "Feeding", "Giver", "Scope"]

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

_MOST_SUGGESTED = 200


class Faults:
    """Collects what is wrong, each at its place in the source."""

    def __init__(self, source: GraphSource) -> None:
        self.source = source
        self.found: list[Fault] = []

    def add(self, path: YamlPath, found: str, right: str = "", *, key: bool = False) -> None:
        """Something is wrong at `path`, or at its key."""
        document = self.source.document
        if document is not None:
            self.found.append(document.fault(path, found, right, key=key))
        else:
            place = ".".join(str(part) for part in path)
            self.found.append(Fault(self.source.path, 0, 0, f"{place}: {found}" if place else found, right))

    def missing(self, path: YamlPath, found: str, right: str = "") -> None:
        """Something is not there; said of a node only if all that it says could be read."""
        if not any(lost[: len(path[:2])] == path[:2] for lost in self.source.lost):
            self.add(path, found, right, key=True)

    def meant(self, name: str, names: Iterable[str], what: str) -> str:
        """As `nearest.meant`; of very many faults, the last go without the nearest name."""
        known = list(names)
        return right_name(self.closest(name, known), known, what)

    def closest(self, name: str, names: Iterable[str]) -> str | None:
        """As `nearest.closest`; None after very many faults."""
        return closest(name, names) if len(self.found) < _MOST_SUGGESTED else None


@dataclass(frozen=True, slots=True)
class Giver:
    """A node, as those see it that take its outputs."""

    callee: Callee | None
    """None where the callee is unknown: nothing is then said about its outputs."""
    outputs: Mapping[str, PortType]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which wires mean something where a value stands."""

    item: str | None = None
    """The name that `as` gives."""
    item_type: PortType | None = None
    """None where it is unknown."""
    item_wire: Wire | None = None
    """What `each` goes over."""
    own: Mapping[str, PortType] | None = None
    """Outputs that `$self` reaches; None where it may not stand."""


@dataclass(slots=True)
class Feeding:
    """The inputs and nodes that wires may come from."""

    faults: Faults
    inputs: Mapping[str, PortType | None]
    nodes: Collection[str]
    """Every node of the graph."""
    givers: dict[str, Giver] = field(default_factory=dict[str, Giver])
    items: Mapping[str, str] = field(default_factory=dict[str, str])
    """The node whose `each` gives an item of this name."""
    used_inputs: set[str] = field(default_factory=set[str])
    nearly_used: set[str] = field(default_factory=set[str])
    """Nodes that a misspelt wire most likely means."""

    def parse(self, text: str, path: YamlPath, scope: Scope) -> Wire | None:
        """The wire that `text` writes; None, and a fault, where it writes none."""
        try:
            return parse_wire(text, item=scope.item)
        except ValueError as error:
            found, _, right = str(error).partition("; ")
            self.faults.add(path, found, right)
            self.guess(text)
            return None

    def guess(self, text: str) -> None:
        """Counts as used what a text that is no wire may have meant, so that one mistake is told once."""
        words = set(_WORD.findall(text[:200]))
        self.used_inputs |= words & set(self.inputs)
        self.nearly_used |= words & set(self.nodes)

    def type_of(self, wire: Wire, path: YamlPath, scope: Scope) -> PortType | None:
        """What a wire brings; None where that is unknown, with a fault if it is the wire's own."""
        if isinstance(wire, InputWire):
            return self._input_type(wire, path, scope)
        if isinstance(wire, NodeWire):
            return self._node_type(wire, path)
        if isinstance(wire, ItemWire):
            return scope.item_type
        return self._own_type(wire, path, scope)

    def _input_type(self, wire: InputWire, path: YamlPath, scope: Scope) -> PortType | None:
        if wire.port in self.inputs:
            self.used_inputs.add(wire.port)
            return self.inputs[wire.port]
        if wire.port in self.nodes:
            giver = self.givers.get(wire.port)
            self.nearly_used.add(wire.port)
            ports = list(giver.outputs) if giver is not None else []
            right = f"name its output: ${wire.port}.{ports[0] if ports else 'PORT'}"
            self.faults.add(path, f"{wire} is a node, not an input", right)
            return None
        if ("inputs",) in self.faults.source.lost:
            return None
        known = [f"${name}" for name in self.inputs] + ([f"${scope.item}"] if scope.item else [])
        if wire.port in self.items:
            found = f"{wire} is the item of node {self.items[wire.port]!r}"
            self.faults.add(path, found, "it can be wired inside that node alone")
            return None
        near = self.faults.closest(str(wire), known)
        if near is not None and near[1:] in self.inputs:
            self.used_inputs.add(near[1:])
        right = right_name(near, known, "the inputs are") or "the graph has no inputs"
        self.faults.add(path, f"{wire} is not an input of the graph", right)
        return None

    def _node_type(self, wire: NodeWire, path: YamlPath) -> PortType | None:
        if wire.node not in self.nodes:
            if wire.node in self.inputs:
                self.used_inputs.add(wire.node)
                found, right = f"{wire}: {wire.node!r} is an input and has no ports", f"write ${wire.node}"
            else:
                found = f"{wire}: there is no node {wire.node!r}"
                near = self.faults.closest(wire.node, self.nodes)
                right = right_name(near, self.nodes, "the nodes are")
                self.nearly_used.add(near or "")
            self.faults.add(path, found, right)
            return None
        giver = self.givers.get(wire.node)
        if giver is None or giver.callee is None or wire.port in giver.callee.untyped:
            return None
        if wire.port not in giver.outputs:
            found = f"{wire}: {giver.callee} has no output {wire.port!r}"
            self.faults.add(path, found, self.faults.meant(wire.port, giver.outputs, "its outputs are"))
            return None
        return giver.outputs[wire.port]

    def _own_type(self, wire: SelfWire, path: YamlPath, scope: Scope) -> PortType | None:
        if scope.own is None:
            self.nearly_used.add("self")
            self.faults.add(
                path, f"{wire} stands where there is no last round", "$self stands in until and carry alone"
            )
            return None
        if wire.port not in scope.own:
            found = f"{wire}: the node has no output {wire.port!r}"
            self.faults.add(path, found, self.faults.meant(wire.port, scope.own, "its outputs are"))
            return None
        return scope.own[wire.port]

    def feed(self, value: Any, taker: PortType, what: str, path: YamlPath, scope: Scope) -> Feed | None:
        """What `value` brings to a port of type `taker`; None, and a fault, where it cannot go there.

        `what` names the port in faults.
        """
        if is_wire(value):
            return self._wire_feed(value, taker, what, path, scope)
        if value is None:
            if not taker.is_optional:
                self.faults.add(path, f"null where {what} takes {taker}", "give a value")
                return None
            return LiteralFeed(None, taker)
        if taker.is_list:
            return self._list_feed(value, taker, what, path, scope)
        return self._literal_feed(value, taker, what, path)

    def _wire_feed(self, text: str, taker: PortType, what: str, path: YamlPath, scope: Scope) -> WireFeed | None:
        wire = self.parse(text, path, scope)
        given = self.type_of(wire, path, scope) if wire is not None else None
        if wire is None or given is None:
            return None
        if not given.can_feed(taker):
            self.faults.add(
                path, f"{wire} is {given}, and {what} takes {taker}", self._fitting(wire, given, taker, scope)
            )
            return None
        return WireFeed(wire, given)

    def _fitting(self, wire: Wire, given: PortType, taker: PortType, scope: Scope) -> str:
        """What would be right where a wire does not fit."""
        if given.kind == "latent" and taker.kind == "text":
            return self._twin_advice(wire, scope)
        if given.kind == taker.kind == "latent" and given.space != taker.space:
            return f"the spaces differ and no bridge leads from {given.space} to {taker.space}"
        if given.item == taker.item and taker.is_list:
            return f"write [{wire}] for a list of one"
        if given.item == taker.item:
            return f"call the node for every element: each: {wire}, as: item, and wire $item"
        if isinstance(wire, NodeWire):
            fits = [
                f"${wire.node}.{port}"
                for port, type_ in self.givers[wire.node].outputs.items()
                if type_.can_feed(taker)
            ]
            if fits:
                return f"{' or '.join(fits[:3])} would fit"
        fits = [f"${name}" for name, type_ in self.inputs.items() if type_ is not None and type_.can_feed(taker)]
        return f"{' or '.join(fits[:3])} would fit" if fits else f"wire something of type {taker}"

    def _twin_advice(self, wire: Wire, scope: Scope) -> str:
        source = scope.item_wire if isinstance(wire, ItemWire) else wire
        giver = self.givers.get(source.node) if isinstance(source, NodeWire) else None
        twin = giver.callee.twins.get(source.port) if giver and giver.callee and isinstance(source, NodeWire) else None
        if twin is not None and isinstance(source, NodeWire):
            return f"a latent never becomes text by itself: wire its twin ${source.node}.{twin}"
        return "a latent never becomes text by itself, and this one has no twin: wire an output that is text"

    def _list_feed(self, value: Any, taker: PortType, what: str, path: YamlPath, scope: Scope) -> ListFeed | None:
        if not is_list(value):
            self.faults.add(path, f"one value where {what} takes {taker}", "write a list: [value]")
            return None
        items: list[WireFeed | LiteralFeed] = []
        for index, item in enumerate(value):
            at = (*path, index)
            if item is None:
                self.faults.add(at, f"null in a list, where {what} takes {taker}", "remove it")
                continue
            fed = (
                self._wire_feed(item, taker.item, f"an element of {what}", at, scope)
                if is_wire(item)
                else self._literal_feed(item, taker.item, f"an element of {what}", at)
            )
            if fed is not None:
                items.append(fed)
        if len(items) < len(value):
            return None
        optional = any(item.type.is_optional for item in items)
        return ListFeed(tuple(items), PortType(taker.kind, True, optional, taker.space))

    def _literal_feed(self, value: Any, taker: PortType, what: str, path: YamlPath) -> LiteralFeed | None:
        if is_list(value) and any(is_wire(item) for item in value):
            self.faults.add(path, f"a list of wires, and {what} takes {taker}", "wire one value")
            return None
        try:
            return LiteralFeed(literal_part(value, taker.kind), taker.item)
        except ValueError as error:
            found, _, right = str(error).partition("; ")
            self.faults.add(path, f"{what}: {found}", right)
            return None

    def call(self, given: Mapping[str, Any], callee: Callee, path: YamlPath, scope: Scope) -> dict[str, Feed]:
        """What each input of `callee` takes."""
        feeds: dict[str, Feed] = {}
        takers = callee.signature.inputs
        for port, value in given.items():
            at = (*path, port)
            if port not in takers:
                right = self.faults.meant(port, takers, "its inputs are") or "it has no inputs"
                self.faults.add(at, f"{callee} has no input {port!r}", right, key=True)
                self.look_at(value, at, scope)
                continue
            fed = self.feed(value, takers[port], f"input {port!r} of {callee}", at, scope)
            if fed is not None:
                feeds[port] = fed
        for port, type_ in takers.items():
            if port not in given and not type_.is_optional:
                self.faults.missing(
                    path, f"{callee} needs input {port!r}", f"add {port}: with something of type {type_}"
                )
        return feeds

    def look_at(self, value: Any, path: YamlPath, scope: Scope) -> None:
        """Finds what is wrong with the wires of a value whose port is unknown."""
        values = value if is_list(value) else [value]
        for index, item in enumerate(values):
            at = (*path, index) if is_list(value) else path
            if is_wire(item) and (wire := self.parse(item, at, scope)) is not None:
                self.type_of(wire, at, scope)

    def condition(self, condition: Condition, path: YamlPath, scope: Scope) -> PortType | None:
        """The type of what a condition asks; None, and a fault, where it cannot be asked so."""
        given = self.type_of(condition.wire, path, scope)
        if given is None:
            return None
        wrong = _wrong(condition, given)
        if wrong is not None:
            asked = "" if condition.operator == "is" else f"{condition}: "
            self.faults.add(path, f"{asked}{condition.wire} is {given}", wrong)
            return None
        return given


def _wrong(condition: Condition, given: PortType) -> str | None:
    """What would be right in place of a condition over `given`; None where it is right."""
    wire, sign, literal = condition.wire, condition.operator, condition.literal
    if sign in ("is", "not"):
        if given.kind == "flag" and not given.is_list:
            return None
        return f"compare it, as in {wire} > 0" if given.kind == "number" and not given.is_list else "ask a flag"
    if literal is None:
        if sign not in ("==", "!="):
            return "null has no order: use == or !="
        return None if given.is_optional or given.kind == "data" else "it is never null"
    if given.is_list or given.kind not in ("number", "text", "flag", "data"):
        return "only number, text, flag and data can be compared"
    ordered = sign not in ("==", "!=")
    if given.kind == "number" or (given.kind == "data" and ordered):
        return None if isinstance(literal, float) else "compare it with a number"
    if given.kind == "data":
        return None
    if ordered:
        return (
            f"a {given.kind} has no order: use == or !=" if given.kind == "flag" else "text has no order: use == or !="
        )
    if given.kind == "flag":
        return None if isinstance(literal, bool) else "compare it with true or false"
    return None if isinstance(literal, str) else 'compare it with text, in quotes if it looks like something else: "3"'
