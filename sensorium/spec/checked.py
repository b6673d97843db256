"""What the checker makes of a graph: everything that a runner needs, with every name resolved and every type known.

A runner that is given a `Checked` without faults never has to parse, look up or convert anything of the graph's text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

from sensorium.errors import AuthorError, Fault
from sensorium.parts import Value
from sensorium.spec.graph import NodeSpec
from sensorium.spec.ports import PortType, Signature
from sensorium.spec.read import GraphSource
from sensorium.spec.wires import Condition, NodeWire, Wire
from sensorium.spec.write import to_yaml

__all__ = [
    "CalleeKind",
    "Checked",
    "CheckedNode",
    "Each",
    "ElseCall",
    "ElseValue",
    "Feed",
    "ListFeed",
    "LiteralFeed",
    "StandIn",
    "Until",
    "WireFeed",
]

CalleeKind = Literal["tool", "agent", "graph"]


@dataclass(frozen=True, slots=True)
class WireFeed:
    """A port takes what comes through a wire."""

    wire: Wire
    type: PortType
    """What the wire brings; optional where it may bring nothing."""


@dataclass(frozen=True, slots=True)
class LiteralFeed:
    """A port takes a value that is written in the graph."""

    value: Value
    """The part itself, `$$` already read as `$`; None for null."""
    type: PortType


@dataclass(frozen=True, slots=True)
class ListFeed:
    """A list port takes several wires and literals, in order. Where one of them brings nothing, so does the whole."""

    items: tuple[WireFeed | LiteralFeed, ...]
    type: PortType
    """A list; optional where one of the items may be missing."""


Feed: TypeAlias = WireFeed | LiteralFeed | ListFeed


@dataclass(frozen=True, slots=True)
class Each:
    """The node is called once for each element of a list, in order; every output becomes a list."""

    wire: Wire
    """Brings the list."""
    type: PortType
    """The list's type; optional where there may be none, and the node is skipped."""
    item: str
    """The element is `ItemWire(item)` in the node's feeds. Nothing is called for a missing element: it gives None."""


@dataclass(frozen=True, slots=True)
class Until:
    """The node is called again until a condition over its own outputs holds."""

    condition: Condition
    """Over `SelfWire`s: the outputs of the round that just ended."""
    at_most: int
    """Most rounds; when the condition does not hold after the last, the node fails."""
    carry: Mapping[str, str]
    """Input port: output port of the round before, which feeds it from the second round on."""


@dataclass(frozen=True, slots=True)
class ElseCall:
    """A tool or graph stands in for a node that failed. It gives the same output ports."""

    kind: Literal["tool", "graph"]
    callee: str
    """Key in the catalogue."""
    signature: Signature
    feeds: Mapping[str, Feed]
    """By input port of the stand-in."""


@dataclass(frozen=True, slots=True)
class ElseValue:
    """Values stand in for a node that failed."""

    outputs: Mapping[str, Feed]
    """By output port, for all of them; a null is a `LiteralFeed` that holds None."""


StandIn: TypeAlias = ElseCall | ElseValue


@dataclass(frozen=True, slots=True)
class CheckedNode:
    """One node, ready to be run.

    Control nests from outside in: `condition` (`when`), `spec.approve`, `each`, `until`, `spec.retry`, `spec.timeout`,
    the call. `stand_in` (`else`) answers for one call, with its rounds and tries: inside an `each`, for one element.
    """

    name: str
    spec: NodeSpec
    """As it is written: `approve`, `retry`, `timeout`, `cache`, `keep`, `wire` are read from here."""
    kind: CalleeKind
    callee: str
    """Key in the catalogue's tools, agents or graphs, according to `kind`."""
    signature: Signature
    """The callee's ports: one call takes and gives these."""
    feeds: Mapping[str, Feed]
    """What each input port takes. Ports that are not here are optional and get nothing."""
    dependencies: tuple[str, ...]
    """Names of the nodes whose outputs any part of this node reads, in the order of `Checked.order`."""
    outputs: Mapping[str, PortType]
    """What the node gives: lists under `each`, optional where the node may be skipped or its stand-in gives null."""
    condition: Condition | None = None
    """`when`: where it does not hold, the node is skipped and all its outputs are None."""
    each: Each | None = None
    until: Until | None = None
    stand_in: StandIn | None = None
    twins: Mapping[str, NodeWire] = field(default_factory=dict[str, NodeWire])
    """For an agent's latent inputs: the text that says the same, where the sender has one."""

    @property
    def required(self) -> tuple[str, ...]:
        """Input ports that a call cannot do without: where a feed brings None to one of them, the node is skipped."""
        return tuple(port for port, type_ in self.signature.inputs.items() if not type_.is_optional)


@dataclass(frozen=True)
class Checked:
    """A graph after the checker has read it."""

    source: GraphSource
    faults: tuple[Fault, ...]
    """Everything that is wrong, in the order of the file. A runner runs a graph without faults only."""
    signature: Signature
    """What goes in and what comes out. Outputs are optional where their node may be skipped."""
    order: tuple[str, ...]
    """All nodes, each after the nodes that it depends on; the same for the same graph every time. Independent nodes
    keep the order of the file."""
    nodes: Mapping[str, CheckedNode]
    """By name, in the order of the file."""
    outputs: Mapping[str, WireFeed]
    """Where each output of the graph comes from: `NodeWire` or `InputWire`."""

    @cached_property
    def text(self) -> str:
        """The graph as the text of a graph file.

        Raises:
            AuthorError: The graph was built in Python with values that a file cannot hold.
        """
        return to_yaml(self.source.spec)

    def require(self) -> Checked:
        """Itself, when nothing is wrong.

        Raises:
            AuthorError: Something is; it holds every fault.
        """
        if self.faults:
            raise AuthorError(self.faults)
        return self
