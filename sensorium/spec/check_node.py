"""One node of a graph: what it calls, with what, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from sensorium.spec.callees import Callee, Callees
from sensorium.spec.check_else import ElseCheck
from sensorium.spec.checked import CalleeKind, CheckedNode, Each, ElseCall, ElseValue, Feed, StandIn, Until, WireFeed
from sensorium.spec.feeds import Faults, Feeding, Scope
from sensorium.spec.graph import GraphSpec, NodeSpec, WireSpec
from sensorium.spec.ports import CONTEXT, PortType, Signature
from sensorium.spec.wires import (
    Condition,
    InputWire,
    ItemWire,
    NodeWire,
    SelfWire,
    Wire,
    is_wire,
    parse_condition,
    parse_wire,
)
from sensorium.spec.yaml import YamlPath

__all__ = ["NodeCheck"]


@dataclass(slots=True)
class NodeCheck:
    """Reads one node."""

    graph: GraphSpec
    callees: Callees
    feeding: Feeding
    name: str
    node: NodeSpec = field(init=False)
    path: YamlPath = field(init=False)
    faults: Faults = field(init=False)
    callee: Callee | None = field(init=False)
    """None where it is unknown: what can be said without it is said all the same."""

    def __post_init__(self) -> None:
        self.node = self.graph.nodes[self.name]
        self.path = ("nodes", self.name)
        self.faults = self.feeding.faults
        self.callee = self.feeding.givers[self.name].callee

    def checked(self, dependencies: tuple[str, ...]) -> CheckedNode | None:
        """The node, ready to be run; None where its callee is unknown."""
        self._callee_faults()
        condition = self._when()
        each, scope = self._each()
        feeds = self._feeds(scope)
        until = self._until()
        stand_in = self._stand_in(scope, feeds)
        if self.callee is None:
            return None
        self._wire_settings(self.callee)
        return CheckedNode(
            name=self.name,
            spec=self.node,
            kind=cast("CalleeKind", self.callee.kind),
            callee=self.callee.name,
            signature=self.callee.signature,
            feeds=feeds,
            dependencies=dependencies,
            outputs=self._outputs(self.callee.signature, each, feeds, stand_in),
            condition=condition,
            each=each,
            until=until,
            stand_in=stand_in,
            twins=self._twins(self.callee, feeds, scope),
        )

    def _callee_faults(self) -> None:
        kind, called = self.node.callee
        at = (*self.path, kind)
        way = self.callees.way_back(kind, called, self.graph)
        if way is not None:
            found = f"the graph contains itself: {' → '.join((self.graph.name, *way))}"
            self.faults.add(at, found, "a graph cannot call itself; until repeats a node")
        elif self.callee is None:
            self.faults.add(at, f"there is no {kind} {called!r}", self.callees.right(kind, called))
        if self.node.approve == "plan" and kind != "agent":
            found = f"approve: plan on a {kind}"
            self.faults.add((*self.path, "approve"), found, "only an agent plans: write approve: true")

    # Control

    def _when(self) -> Condition | None:
        condition = self._condition("when", self.node.when)
        if condition is None:
            return None
        at, wire = (*self.path, "when"), condition.wire
        item = self.node.as_
        if item is not None and item not in self.feeding.inputs and wire == InputWire(item):
            self.faults.add(at, f"{wire} stands in when", "when is asked once, before each: filter the list in a tool")
            return None
        return condition if self.feeding.condition(condition, at, Scope()) is not None else None

    def _condition(self, key: str, text: str | None) -> Condition | None:
        if text is None:
            return None
        try:
            return parse_condition(text)
        except ValueError as error:
            found, _, right = str(error).partition("; ")
            self.faults.add((*self.path, key), found, right)
            self.feeding.guess(text)
            return None

    def _each(self) -> tuple[Each | None, Scope]:
        node, at = self.node, (*self.path, "each")
        if node.each is None:
            if node.as_ is not None:
                self.faults.missing((*self.path, "as"), "as without each", "add each: $node.port, or remove as")
            return None, Scope(node.as_)
        self._item_name(at)
        for port, type_ in self.callee.signature.outputs.items() if self.callee is not None else ():
            if type_.is_list:
                found = f"each over {self.callee}, whose output {port!r} is {type_} already"
                self.faults.add(at, found, "lists do not nest: call a graph that gives one value", key=True)
        wire, given = self._list_wire(node.each, at)
        if wire is None or given is None:
            return None, Scope(node.as_, None, wire)
        each = Each(wire, given, node.as_) if node.as_ is not None else None
        return each, Scope(node.as_, given.item, wire)

    def _item_name(self, each: YamlPath) -> None:
        name = self.node.as_
        if name is None:
            self.faults.missing(each, "each without as", "add as: item and use $item")
            return
        for what, names in (("an input", self.feeding.inputs), ("a node", self.feeding.nodes), ("$self", ("self",))):
            if name in names:
                self.faults.add((*self.path, "as"), f"as: {name} is the name of {what}", "choose another name")
                return

    def _list_wire(self, text: str, path: YamlPath) -> tuple[Wire | None, PortType | None]:
        if not is_wire(text):
            self.faults.add(path, f"each: {text[:60]!r} is not a wire", "write each: $node.port or each: $input")
            self.feeding.guess(text)
            return None, None
        wire = self.feeding.parse(text, path, Scope())
        type_ = self.feeding.type_of(wire, path, Scope()) if wire is not None else None
        if wire is not None and type_ is not None and not type_.is_list:
            self.faults.add(
                path, f"each over {wire}, which is {type_}", f"each goes over a list, such as [{type_.item}]"
            )
            return wire, None
        return wire, type_

    def _until(self) -> Until | None:
        node, at = self.node, (*self.path, "until")
        if node.until is None:
            for key in ("at_most", "carry"):
                if getattr(node, key):
                    self.faults.missing(
                        (*self.path, key), f"{key} without until", f"add until: $self.flag, or remove {key}"
                    )
            return None
        if node.at_most is None:
            self.faults.missing(at, "until without at_most has no bound", "add at_most: n, the most rounds")
        condition = self._condition("until", node.until)
        if condition is not None and not isinstance(condition.wire, SelfWire):
            found = f"until asks {condition.wire}, which no round changes"
            self.faults.add(at, found, "ask the node's own outputs: $self.port")
            self.feeding.guess(node.until)
            condition = None
        if self.callee is None:
            return None
        if condition is not None:
            self.feeding.condition(condition, at, Scope(own=self.callee.signature.outputs))
        carry = self._carry(self.callee)
        return Until(condition, node.at_most, carry) if condition is not None and node.at_most is not None else None

    def _carry(self, callee: Callee) -> dict[str, str]:
        carry: dict[str, str] = {}
        takers = callee.signature.inputs
        for port, text in self.node.carry.items():
            at = (*self.path, "carry", port)
            if port not in takers:
                right = self.faults.meant(port, takers, "its inputs are") or "it has no inputs"
                self.faults.add(at, f"{callee} has no input {port!r} to carry to", right, key=True)
                continue
            wire = _self_wire(text)
            if wire is None:
                self.faults.add(at, f"carry takes {text[:60]!r}", "carry an output of the round before: $self.port")
                self.feeding.guess(text)
                continue
            given = self.feeding.type_of(wire, at, Scope(own=callee.signature.outputs))
            if given is not None and self._carries(wire, given, takers[port], f"input {port!r} of {callee}", at):
                carry[port] = wire.port
        return carry

    def _carries(self, wire: Wire, given: PortType, taker: PortType, what: str, path: YamlPath) -> bool:
        if not given.can_feed(taker):
            self.faults.add(path, f"{wire} is {given}, and {what} takes {taker}", f"carry something of type {taker}")
            return False
        if given.is_optional and not taker.is_optional:
            self.faults.add(
                path, f"{wire} may be null, and {what} needs a value", "carry an output that is always there"
            )
            return False
        return True

    # What goes in, what comes out

    def _feeds(self, scope: Scope) -> dict[str, Feed]:
        path = (*self.path, "with")
        if self.callee is not None:
            return self.feeding.call(self.node.with_, self.callee, path, scope)
        for port, value in self.node.with_.items():
            self.feeding.look_at(value, (*path, port), scope)
        return {}

    def _stand_in(self, scope: Scope, feeds: Mapping[str, Feed]) -> StandIn | None:
        if self.node.else_ is None:
            return None
        path = (*self.path, "else")
        reader = ElseCheck(self.graph, self.callees, self.feeding, self.callee, path, scope)
        return reader.stand_in(self.node.else_, self.node.with_, feeds)

    def _outputs(
        self, signature: Signature, each: Each | None, feeds: Mapping[str, Feed], stand_in: StandIn | None
    ) -> dict[str, PortType]:
        """What the node gives, from what one call gives."""
        skippable = self.node.when is not None or (each is not None and each.type.is_optional)
        skippable |= any(
            feed.type.is_optional and not signature.inputs[port].is_optional for port, feed in feeds.items()
        )
        outputs: dict[str, PortType] = {}
        for port, type_ in signature.outputs.items():
            given = type_.as_optional() if _may_be_null(stand_in, port) else type_
            if self.node.each is not None:
                given = given.as_list()
            outputs[port] = given.as_optional() if skippable else given
        return outputs

    # Latents

    def _wire_settings(self, callee: Callee) -> None:
        for port, setting in self.node.wire.items():
            at, type_ = (*self.path, "wire", port), callee.signature.inputs.get(port)
            if type_ is None:
                right = self.faults.meant(port, callee.signature.inputs, "its inputs are")
                self.faults.add(at, f"{callee} has no input {port!r}", right, key=True)
            elif type_.kind != "latent":
                found = f"wire: {port} sets how a latent crosses, and input {port!r} of {callee} takes {type_}"
                self.faults.add(at, found, "remove it", key=True)
            elif callee.kind == "agent" and type_.space != CONTEXT and not {"text", "bridge"} & _rungs(setting):
                rungs = ", ".join(setting.rungs or [])
                found = f"{port} may cross by {rungs} alone, and {type_.space} comes to {callee} by a bridge or as text"
                self.faults.add((*at, "rungs"), found, "add text or bridge to rungs, or remove them")

    def _twins(self, callee: Callee, feeds: Mapping[str, Feed], scope: Scope) -> dict[str, NodeWire]:
        """The text that says the same as each latent that goes into an agent."""
        twins: dict[str, NodeWire] = {}
        for port, feed in feeds.items():
            if callee.kind != "agent" or not isinstance(feed, WireFeed) or feed.type.kind != "latent":
                continue
            if feed.type.space == CONTEXT:  # whoever holds one knows what it read
                continue
            source = scope.item_wire if isinstance(feed.wire, ItemWire) else feed.wire
            sender = self.feeding.givers[source.node].callee if isinstance(source, NodeWire) else None
            if sender is None or sender.kind != "tool" or not isinstance(source, NodeWire):
                continue
            twin = sender.twins.get(source.port)
            if twin is None:
                found = f"{feed.wire} goes to {callee}, which cannot read {feed.type}, and {sender} names no twin"
                self.faults.add(
                    (*self.path, "with", port), found, f"give output {source.port!r} of {sender} a twin that is text"
                )
            elif feed.wire is source:
                twins[port] = NodeWire(source.node, twin)
        return twins


def _rungs(setting: WireSpec) -> set[str]:
    return {"text"} if setting.rungs is None else set(setting.rungs)


def _self_wire(text: str) -> SelfWire | None:
    try:
        wire = parse_wire(text)
    except ValueError:
        return None
    return wire if isinstance(wire, SelfWire) else None


def _may_be_null(stand_in: StandIn | None, port: str) -> bool:
    """Whether what stands in may give null."""
    if isinstance(stand_in, ElseValue):
        return port in stand_in.outputs and stand_in.outputs[port].type.is_optional
    if isinstance(stand_in, ElseCall):
        given = stand_in.signature.outputs.get(port)
        return (given is not None and given.is_optional) or _may_be_skipped(stand_in)
    return False


def _may_be_skipped(stand_in: ElseCall) -> bool:
    """Whether something that the stand-in needs may be missing."""
    takers = stand_in.signature.inputs
    return any(feed.type.is_optional and not takers[port].is_optional for port, feed in stand_in.feeds.items())
