"""What stands in for a node that fails: it gives the same outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sensorium.spec.callees import Callee, Callees
from sensorium.spec.checked import ElseCall, ElseValue, Feed, LiteralFeed, StandIn
from sensorium.spec.feeds import Feeding, Scope
from sensorium.spec.graph import ElseSpec, GraphSpec
from sensorium.spec.yaml import YamlPath

__all__ = ["ElseCheck"]

_OWN_INPUTS = "write the stand-in's own inputs: else: {…, with: {…}}"


@dataclass(frozen=True, slots=True)
class ElseCheck:
    """Reads the `else` of one node."""

    graph: GraphSpec
    callees: Callees
    feeding: Feeding
    callee: Callee | None
    """What the node itself calls; None where that is unknown."""
    path: YamlPath
    """Of the `else`."""
    scope: Scope

    def stand_in(self, spec: ElseSpec, given: Mapping[str, Any], feeds: Mapping[str, Feed]) -> StandIn | None:
        """What stands in; `given` and `feeds` are the node's own inputs, as written and as typed."""
        if spec.value is not None:
            return self._value(spec.value)
        return self._call(spec, given, feeds)

    def _value(self, value: Mapping[str, Any]) -> ElseValue | None:
        path = (*self.path, "value")
        outputs: dict[str, Feed] = {}
        for port, given in value.items():
            fed = self._output(port, given, (*path, port))
            if fed is not None:
                outputs[port] = fed
        if self.callee is None:
            return None
        for port, type_ in self.callee.signature.outputs.items():
            if port not in value and type_.is_optional:
                outputs[port] = LiteralFeed(None, type_)
            elif port not in value:
                found = f"else gives no {port!r}, which {self.callee} always gives"
                self.feeding.faults.missing(path, found, f"add {port}: with something of type {type_}, or null")
        return ElseValue(outputs)

    def _output(self, port: str, given: Any, path: YamlPath) -> Feed | None:
        if self.callee is None:
            self.feeding.look_at(given, path, self.scope)
            return None
        wanted = self.callee.signature.outputs
        if port not in wanted:
            right = self.feeding.faults.meant(port, wanted, "its outputs are")
            self.feeding.faults.add(path, f"else gives {port!r}, which {self.callee} does not", right, key=True)
            self.feeding.look_at(given, path, self.scope)
            return None
        if given is None:
            return LiteralFeed(None, wanted[port].as_optional())
        return self.feeding.feed(given, wanted[port], f"output {port!r} of {self.callee}", path, self.scope)

    def _call(self, spec: ElseSpec, given: Mapping[str, Any], feeds: Mapping[str, Feed]) -> ElseCall | None:
        kind = "tool" if spec.tool is not None else "graph"
        called, at = spec.tool or spec.graph or "", (*self.path, kind)
        other = self.callees.find(kind, called)
        way = self.callees.way_back(kind, called, self.graph) if kind == "graph" else None
        if way is not None:
            trail = " → ".join((self.graph.name, *way))
            self.feeding.faults.add(at, f"the graph contains itself: {trail}", "a graph cannot call itself")
        elif other is None:
            self.feeding.faults.add(at, f"there is no {kind} {called!r}", self.callees.right(kind, called))
        if other is None or way is not None:
            for port, value in (spec.with_ or {}).items():
                self.feeding.look_at(value, (*self.path, "with", port), self.scope)
            return None
        if self.callee is not None:
            self._same_outputs(self.callee, other, at)
        if spec.with_ is not None:
            taken = self.feeding.call(spec.with_, other, (*self.path, "with"), self.scope)
        else:
            taken = self._inherited(given, feeds, other, at)
        return ElseCall("tool" if kind == "tool" else "graph", called, other.signature, taken)

    def _inherited(
        self, given: Mapping[str, Any], feeds: Mapping[str, Feed], other: Callee, path: YamlPath
    ) -> dict[str, Feed]:
        """The node's own inputs, as the stand-in takes them."""
        taken: dict[str, Feed] = {}
        takers = other.signature.inputs
        for port, feed in feeds.items():
            type_ = takers.get(port)
            if type_ is not None and feed.type.can_feed(type_):
                taken[port] = feed
                continue
            takes = f"takes {type_}" if type_ is not None else "does not have"
            found = f"{other} would be given the node's input {port!r}, {feed.type}, which it {takes}"
            self.feeding.faults.add(path, found, _OWN_INPUTS)
        for port, type_ in takers.items():
            if port not in given and not type_.is_optional:
                found = f"{other} needs input {port!r}, which the node does not have"
                self.feeding.faults.missing(path, found, _OWN_INPUTS)
        return taken

    def _same_outputs(self, callee: Callee, other: Callee, path: YamlPath) -> None:
        wanted, given = callee.signature.outputs, other.signature.outputs
        known = {*given, *other.untyped}
        wrong = [f"no {port!r}" for port in wanted if port not in known]
        wrong += [f"{port!r} besides" for port in known if port not in wanted and port not in callee.untyped]
        wrong += [
            f"{port!r} as {given[port]}, not {type_}"
            for port, type_ in wanted.items()
            if port in given and not given[port].can_feed(type_)
        ]
        if wrong:
            ports = ", ".join(f"{port}: {type_}" for port, type_ in wanted.items())
            right = f"what stands in gives the same outputs as {callee}: {ports}"
            self.feeding.faults.add(path, f"else gives {', '.join(sorted(wrong))}", right)
