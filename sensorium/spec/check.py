"""The checker: what a graph means, and everything that is wrong with it. Pure: a graph and a catalogue in, data out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from sensorium.spec.callees import Callee, Callees
from sensorium.spec.catalogue import Catalogue
from sensorium.spec.checked import (
    CalleeKind,
    Checked,
    CheckedNode,
    Each,
    ElseCall,
    ElseValue,
    Feed,
    LiteralFeed,
    StandIn,
    Until,
    WireFeed,
)
from sensorium.spec.feeds import Faults, Feeding, Giver, Scope
from sensorium.spec.graph import ElseSpec, NodeSpec
from sensorium.spec.order import cycles, reached, sorted_nodes
from sensorium.spec.ports import PortType, Signature
from sensorium.spec.read import GraphSource
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

__all__ = ["MAX_NODES", "Checked", "check"]

MAX_NODES = 5000
"""Most nodes of a graph."""


def check(source: GraphSource, catalogue: Catalogue) -> Checked:
    """The graph with every name resolved and every type known, and all that is wrong with it.

    Nothing is loaded, opened or run. A mistake of the author never raises: it stands in `Checked.faults`.
    """
    return _Check(source, catalogue).run()


class _Check:
    def __init__(self, source: GraphSource, catalogue: Catalogue) -> None:
        self.source = source
        self.spec = source.spec
        self.callees = Callees(catalogue)
        self.faults = Faults(source)
        inputs = {name: PortType.parse(text) for name, text in self.spec.inputs.items()}
        self.inputs = inputs
        self.feeding = Feeding(self.faults, inputs, self.spec.nodes)
        self.dependencies: dict[str, tuple[str, ...]] = {}

    def run(self) -> Checked:
        if len(self.spec.nodes) > MAX_NODES:
            found = f"the graph has {len(self.spec.nodes):,} nodes"
            self.faults.add(("nodes",), found, f"a graph has at most {MAX_NODES:,}: move some into a graph of their own")
            return self._checked((), {}, {})
        self._names()
        self.dependencies = {name: _dependencies(node, self.spec.nodes) for name, node in self.spec.nodes.items()}
        order = sorted_nodes(self.dependencies)
        self._cycles()
        rank = {name: index for index, name in enumerate(order)}
        for name in order:  # what nodes on a cycle give is known by their callees
            self.feeding.givers[name] = self._giver(name)
        checked: dict[str, CheckedNode] = {}
        for name in order:
            node = self._node(name, rank)
            if node is not None:
                checked[name] = node
                self.feeding.givers[name] = Giver(self.feeding.givers[name].callee, node.outputs)
        outputs = self._outputs()
        self._unused()
        nodes = {name: checked[name] for name in self.spec.nodes if name in checked}
        return self._checked(order, nodes, outputs)

    def _checked(
        self, order: tuple[str, ...], nodes: Mapping[str, CheckedNode], outputs: Mapping[str, WireFeed]
    ) -> Checked:
        found = self.faults.found
        if self.source.document is not None:
            found = sorted(dict.fromkeys(found), key=lambda fault: (fault.line, fault.column))
        signature = Signature(self.inputs, {name: feed.type for name, feed in outputs.items()})
        return Checked(self.source, tuple(found), signature, order, nodes, outputs)

    # Names, order

    def _names(self) -> None:
        for name in self.spec.nodes:
            if name in self.spec.inputs:
                self.faults.add(("nodes", name), f"node {name!r} has the name of an input", "rename one of them", key=True)
            if name == "self":
                self.faults.add(("nodes", name), "a node is called 'self'", "$self is the node itself: rename it", key=True)
        if "self" in self.spec.inputs:
            self.faults.add(("inputs", "self"), "an input is called 'self'", "$self is a node itself: rename it", key=True)

    def _cycles(self) -> None:
        for cycle in cycles(self.dependencies):
            first, following = cycle[0], cycle[1 % len(cycle)]
            node = self.spec.nodes[first]
            path = next((at for at, name in _wired(node) if name == following), ())
            way = " → ".join((*cycle, first)) if len(cycle) <= 12 else f"{' → '.join(cycle[:11])} → … → {first}"
            found = f"node {first!r} waits for itself: {way}"
            self.faults.add(("nodes", first, *path), found, "take one of these wires away; until repeats a node")

    def _giver(self, name: str) -> Giver:
        node = self.spec.nodes[name]
        callee = self.callees.find(*node.callee)
        if callee is None:
            return Giver(None, {})
        outputs = callee.signature.outputs
        if node.each is not None:
            outputs = {port: type_.as_list() for port, type_ in outputs.items()}
        return Giver(callee, outputs)

    # One node

    def _node(self, name: str, rank: Mapping[str, int]) -> CheckedNode | None:
        node, path = self.spec.nodes[name], ("nodes", name)
        callee = self.feeding.givers[name].callee
        kind, called = node.callee
        if callee is None:
            self.faults.add((*path, kind), f"there is no {kind} {called!r}", self.callees.right(kind, called))
        elif kind == "graph":
            self._recursion(called, (*path, kind))
        condition, when_type = self._when(node, path)
        each, scope = self._each(node, callee, path)
        feeds = self._feeds(node, callee, path, scope)
        until = self._until(node, callee, path)
        stand_in = self._stand_in(node, callee, path, scope, feeds)
        if node.approve == "plan" and kind != "agent":
            self.faults.add((*path, "approve"), f"approve: plan on a {kind}", "only an agent plans: write approve: true")
        if callee is None:
            return None
        self._wire_settings(node, callee, path)
        skippable = node.when is not None or (each is not None and each.type.is_optional)
        skippable |= any(feed.type.is_optional and not callee.signature.inputs[port].is_optional for port, feed in feeds.items())
        return CheckedNode(
            name=name,
            spec=node,
            kind=cast(CalleeKind, kind),
            callee=called,
            signature=callee.signature,
            feeds=feeds,
            dependencies=tuple(sorted(self.dependencies[name], key=rank.__getitem__)),
            outputs=_outputs(callee.signature, stand_in, in_list=node.each is not None, skippable=skippable),
            condition=condition,
            each=each,
            until=until,
            stand_in=stand_in,
            twins=self._twins(callee, feeds, path, scope),
        )

    def _recursion(self, called: str, path: YamlPath) -> None:
        way = self.callees.way_back(called, self.spec)
        if way is not None:
            trail = " → ".join((self.spec.name, *way))
            self.faults.add(path, f"the graph contains itself: {trail}", "a graph cannot call itself; until repeats a node")

    def _when(self, node: NodeSpec, path: YamlPath) -> tuple[Condition | None, PortType | None]:
        if node.when is None:
            return None, None
        at = (*path, "when")
        condition = self._condition(node.when, at)
        if condition is None:
            return None, None
        if node.as_ is not None and condition.wire == InputWire(node.as_) and node.as_ not in self.inputs:
            self.faults.add(at, f"{condition.wire} stands in when", "when is asked once, before each: filter in a tool")
            return None, None
        return condition, self.feeding.condition(condition, at, Scope())

    def _condition(self, text: str, path: YamlPath) -> Condition | None:
        try:
            return parse_condition(text)
        except ValueError as error:
            found, _, right = str(error).partition("; ")
            self.faults.add(path, found, right)
            return None

    def _each(self, node: NodeSpec, callee: Callee | None, path: YamlPath) -> tuple[Each | None, Scope]:
        if node.each is None:
            if node.as_ is not None:
                self.faults.add((*path, "as"), "as without each", "add each: $node.port, or remove as", key=True)
            return None, Scope(node.as_)
        at = (*path, "each")
        if node.as_ is None:
            self.faults.add(at, "each without as", "add as: item and use $item", key=True)
        elif node.as_ in self.inputs or node.as_ in self.spec.nodes or node.as_ == "self":
            what = "an input" if node.as_ in self.inputs else "a node" if node.as_ in self.spec.nodes else "$self"
            self.faults.add((*path, "as"), f"as: {node.as_} is the name of {what}", "choose another name")
        for port, type_ in callee.signature.outputs.items() if callee is not None else ():
            if type_.is_list:
                found = f"each over {callee}, whose output {port!r} is {type_} already"
                self.faults.add(at, found, "lists do not nest: put the node into a graph that gives one value", key=True)
        wire, given = self._list_wire(node.each, at)
        if wire is None or given is None:
            return None, Scope(node.as_, None, wire)
        scope = Scope(node.as_, given.item, wire)
        return (Each(wire, given, node.as_) if node.as_ is not None else None), scope

    def _list_wire(self, text: str, path: YamlPath) -> tuple[Wire | None, PortType | None]:
        if not is_wire(text):
            self.faults.add(path, f"each: {text[:60]!r} is not a wire", "write each: $node.port or each: $input")
            return None, None
        wire = self.feeding.parse(text, path, Scope())
        type_ = self.feeding.type_of(wire, path, Scope()) if wire is not None else None
        if wire is not None and type_ is not None and not type_.is_list:
            self.faults.add(path, f"each over {wire}, which is {type_}", f"each goes over a list, such as [{type_.item}]")
            return wire, None
        return wire, type_

    def _feeds(self, node: NodeSpec, callee: Callee | None, path: YamlPath, scope: Scope) -> dict[str, Feed]:
        if callee is None:
            self._names_only(node.with_, (*path, "with"), scope)
            return {}
        return self._call_feeds(node.with_, callee, (*path, "with"), scope)

    def _call_feeds(self, given: Mapping[str, Any], callee: Callee, path: YamlPath, scope: Scope) -> dict[str, Feed]:
        """What each input of `callee` takes."""
        feeds: dict[str, Feed] = {}
        takers = callee.signature.inputs
        for port, value in given.items():
            if port not in takers:
                right = self.faults.meant(port, takers, "its inputs are") or "it has no inputs"
                self.faults.add((*path, port), f"{callee} has no input {port!r}", right, key=True)
                self._names_only({port: value}, path, scope)
                continue
            fed = self.feeding.feed(value, takers[port], f"input {port!r} of {callee}", (*path, port), scope)
            if fed is not None:
                feeds[port] = fed
        for port, type_ in takers.items():
            if port not in given and not type_.is_optional:
                self.faults.add(path, f"{callee} needs input {port!r}", f"add {port}: with something of type {type_}", key=True)
        return feeds

    def _names_only(self, given: Mapping[str, Any], path: YamlPath, scope: Scope) -> None:
        """Looks at the wires of values whose port is unknown."""
        for port, value in given.items():
            values = value if isinstance(value, list) else [value]
            for index, item in enumerate(values):
                at = (*path, port, index) if isinstance(value, list) else (*path, port)
                if is_wire(item) and (wire := self.feeding.parse(item, at, scope)) is not None:
                    self.feeding.type_of(wire, at, scope)

    def _until(self, node: NodeSpec, callee: Callee | None, path: YamlPath) -> Until | None:
        if node.until is None:
            for key in ("at_most", "carry"):
                if getattr(node, key):
                    self.faults.add((*path, key), f"{key} without until", "add until: $self.flag, or remove it", key=True)
            return None
        at = (*path, "until")
        if node.at_most is None:
            self.faults.add(at, "until without at_most has no bound", "add at_most: n, the most rounds", key=True)
        condition = self._condition(node.until, at)
        if condition is not None and not isinstance(condition.wire, SelfWire):
            found = f"until asks {condition.wire}, which no round changes"
            self.faults.add(at, found, "ask the node's own outputs: $self.port")
            condition = None
        if callee is None:
            return None
        if condition is not None:
            self.feeding.condition(condition, at, Scope(own=callee.signature.outputs))
        carry = self._carry(node, callee, path)
        return Until(condition, node.at_most, carry) if condition is not None and node.at_most is not None else None

    def _carry(self, node: NodeSpec, callee: Callee, path: YamlPath) -> dict[str, str]:
        carry: dict[str, str] = {}
        takers, own = callee.signature.inputs, callee.signature.outputs
        for port, text in node.carry.items():
            at = (*path, "carry", port)
            if port not in takers:
                right = self.faults.meant(port, takers, "its inputs are") or "it has no inputs"
                self.faults.add(at, f"{callee} has no input {port!r} to carry to", right, key=True)
                continue
            wire = self.feeding.parse(text, at, Scope()) if is_wire(text) else None
            if not isinstance(wire, SelfWire):
                if wire is not None or not is_wire(text):
                    self.faults.add(at, f"carry takes {text[:60]!r}", "carry an output of the round before: $self.port")
                continue
            given = self.feeding.type_of(wire, at, Scope(own=own))
            if given is None:
                continue
            if not given.can_feed(takers[port]):
                found = f"{wire} is {given}, and input {port!r} of {callee} takes {takers[port]}"
                self.faults.add(at, found, f"carry something of type {takers[port]}")
            elif given.is_optional and not takers[port].is_optional:
                found = f"{wire} may be null, and input {port!r} of {callee} needs a value"
                self.faults.add(at, found, "carry an output that is always there")
            else:
                carry[port] = wire.port
        return carry

    # What stands in

    def _stand_in(
        self, node: NodeSpec, callee: Callee | None, path: YamlPath, scope: Scope, feeds: Mapping[str, Feed]
    ) -> StandIn | None:
        if node.else_ is None:
            return None
        at = (*path, "else")
        if node.else_.value is not None:
            return self._else_value(node.else_.value, callee, (*at, "value"), scope)
        return self._else_call(node, node.else_, callee, at, scope, feeds)

    def _else_value(
        self, value: Mapping[str, Any], callee: Callee | None, path: YamlPath, scope: Scope
    ) -> ElseValue | None:
        if callee is None:
            self._names_only(value, path, scope)
            return None
        outputs: dict[str, Feed] = {}
        wanted = callee.signature.outputs
        for port, given in value.items():
            if port not in wanted:
                right = self.faults.meant(port, wanted, "its outputs are")
                self.faults.add((*path, port), f"else gives {port!r}, which {callee} does not", right, key=True)
                self._names_only({port: given}, path, scope)
                continue
            if given is None:
                outputs[port] = LiteralFeed(None, wanted[port].as_optional())
                continue
            fed = self.feeding.feed(given, wanted[port], f"output {port!r} of {callee}", (*path, port), scope)
            if fed is not None:
                outputs[port] = fed
        for port, type_ in wanted.items():
            if port not in value and not type_.is_optional:
                found = f"else gives no {port!r}, which {callee} always gives"
                self.faults.add(path, found, f"add {port}: with something of type {type_}, or null", key=True)
            elif port not in value:
                outputs[port] = LiteralFeed(None, type_)
        return ElseValue(outputs)

    def _else_call(
        self,
        node: NodeSpec,
        spec: ElseSpec,
        callee: Callee | None,
        path: YamlPath,
        scope: Scope,
        feeds: Mapping[str, Feed],
    ) -> ElseCall | None:
        kind = "tool" if spec.tool is not None else "graph"
        called = spec.tool or spec.graph or ""
        other = self.callees.find(kind, called)
        if other is None:
            self.faults.add((*path, kind), f"there is no {kind} {called!r}", self.callees.right(kind, called))
            self._names_only(spec.with_ or {}, (*path, "with"), scope)
            return None
        if kind == "graph":
            self._recursion(called, (*path, kind))
        if callee is not None:
            self._same_outputs(callee, other, (*path, kind))
        if spec.with_ is not None:
            other_feeds = self._call_feeds(spec.with_, other, (*path, "with"), scope)
        else:
            other_feeds = self._inherited(node, feeds, other, (*path, kind), scope)
        return ElseCall("tool" if kind == "tool" else "graph", called, other.signature, other_feeds)

    def _inherited(
        self, node: NodeSpec, feeds: Mapping[str, Feed], other: Callee, path: YamlPath, scope: Scope
    ) -> dict[str, Feed]:
        """The node's own inputs, as a stand-in takes them."""
        taken: dict[str, Feed] = {}
        takers = other.signature.inputs
        for port, feed in feeds.items():
            type_ = takers.get(port)
            if type_ is None or not feed.type.can_feed(type_):
                takes = f"takes {type_}" if type_ is not None else "does not have"
                found = f"{other} would be given the node's input {port!r}, {feed.type}, which it {takes}"
                self.faults.add(path, found, "write the stand-in's own inputs: else: {…, with: {…}}")
            else:
                taken[port] = feed
        for port, type_ in takers.items():
            if port not in node.with_ and not type_.is_optional:
                found = f"{other} needs input {port!r}, which the node does not have"
                self.faults.add(path, found, "write the stand-in's own inputs: else: {…, with: {…}}")
        return taken

    def _same_outputs(self, callee: Callee, other: Callee, path: YamlPath) -> None:
        wanted, given = callee.signature.outputs, other.signature.outputs
        wrong = [f"no {port!r}" for port in wanted if port not in given]
        wrong += [f"{port!r} besides" for port in given if port not in wanted]
        wrong += [
            f"{port!r} as {given[port]}, not {type_}"
            for port, type_ in wanted.items()
            if port in given and not given[port].can_feed(type_)
        ]
        if wrong:
            ports = ", ".join(f"{port}: {type_}" for port, type_ in wanted.items())
            right = f"what stands in gives the same outputs as {callee}: {ports}"
            self.faults.add(path, f"else gives {', '.join(wrong)}", right)

    # Latents

    def _wire_settings(self, node: NodeSpec, callee: Callee, path: YamlPath) -> None:
        for port in node.wire:
            type_ = callee.signature.inputs.get(port)
            if type_ is None:
                right = self.faults.meant(port, callee.signature.inputs, "its inputs are")
                self.faults.add((*path, "wire", port), f"{callee} has no input {port!r}", right, key=True)
            elif type_.kind != "latent":
                found = f"wire: {port} sets how a latent crosses, and input {port!r} of {callee} takes {type_}"
                self.faults.add((*path, "wire", port), found, "remove it", key=True)

    def _twins(self, callee: Callee, feeds: Mapping[str, Feed], path: YamlPath, scope: Scope) -> dict[str, NodeWire]:
        """The text that says the same as each latent that goes into an agent."""
        twins: dict[str, NodeWire] = {}
        if callee.kind != "agent":
            return twins
        for port, feed in feeds.items():
            if not isinstance(feed, WireFeed) or feed.type.kind != "latent":
                continue
            source = scope.item_wire if isinstance(feed.wire, ItemWire) else feed.wire
            giver = self.feeding.givers[source.node] if isinstance(source, NodeWire) else None
            if giver is None or giver.callee is None or giver.callee.kind != "tool" or not isinstance(source, NodeWire):
                continue
            twin = giver.callee.twins.get(source.port)
            if twin is None:
                found = f"{feed.wire} goes to {callee}, which cannot read {feed.type}, and {giver.callee} names no twin"
                self.faults.add((*path, "with", port), found, f"give output {source.port!r} of {giver.callee} a twin that is text")
            elif feed.wire is source:
                twins[port] = NodeWire(source.node, twin)
        return twins

    # The graph's ends

    def _outputs(self) -> dict[str, WireFeed]:
        outputs: dict[str, WireFeed] = {}
        for name, text in self.spec.outputs.items():
            path = ("outputs", name)
            if not is_wire(text):
                right = f"write ${text.lstrip('$')[:60]}" if "." in text else "write $node.port"
                self.faults.add(path, f"output {name!r} is {text[:60]!r}, which is not a wire", right)
                continue
            wire = self.feeding.parse(text, path, Scope())
            type_ = self.feeding.type_of(wire, path, Scope()) if wire is not None else None
            if wire is not None and type_ is not None:
                outputs[name] = WireFeed(wire, type_)
        return outputs

    def _unused(self) -> None:
        for name in self.inputs:
            if name not in self.feeding.used_inputs:
                self.faults.add(("inputs", name), f"nothing uses input {name!r}", "wire it, or remove it", key=True)
        ends = {wire for text in self.spec.outputs.values() if (wire := _node_of(text)) in self.spec.nodes}
        ends |= self.feeding.nearly_used & set(self.spec.nodes)
        ends |= {name for name, node in self.spec.nodes.items() if self._acts(node)}
        used = reached(ends, self.dependencies)
        for name in self.spec.nodes:
            if name not in used:
                found = f"no output of the graph depends on node {name!r}, and it does nothing outside"
                self.faults.add(("nodes", name), found, "wire one of its outputs, or remove it", key=True)

    def _acts(self, node: NodeSpec) -> bool:
        if self.callees.find(*node.callee) is None or self.callees.has_effects(*node.callee):
            return True
        other = node.else_
        if other is None:
            return False
        return any(
            self.callees.has_effects(kind, name) for kind, name in (("tool", other.tool), ("graph", other.graph)) if name
        )


def _outputs(
    signature: Signature, stand_in: StandIn | None, *, in_list: bool, skippable: bool
) -> dict[str, PortType]:
    """What a node gives, from what one call gives."""
    outputs: dict[str, PortType] = {}
    for port, type_ in signature.outputs.items():
        if isinstance(stand_in, ElseValue) and port in stand_in.outputs and stand_in.outputs[port].type.is_optional:
            type_ = type_.as_optional()
        if isinstance(stand_in, ElseCall):
            instead = stand_in.signature.outputs.get(port)
            type_ = type_.as_optional() if instead is not None and instead.is_optional else type_
        if in_list:
            type_ = type_.as_list()
        outputs[port] = type_.as_optional() if skippable else type_
    return outputs


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
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            source = _node_of(item)
            if source is not None:
                found.append(((*path, index) if isinstance(value, list) else path, source))
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
