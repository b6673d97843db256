"""Graphs built in Python: the same nodes and wires that a file declares, checked by the same checker.

g = GraphBuilder("describe", about="Says what is in a picture.")
picture = g.input("picture", "image")
look = g.node("look", tool="see", image=picture)
g.node("say", tool="speak", text=look.labels, when=look.count > 0)
g.output("labels", look.labels)
spec = g.spec()
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from sensorium.errors import AuthorError
from sensorium.spec.graph import GraphSpec
from sensorium.spec.plain import is_list, is_mapping, is_tuple
from sensorium.spec.read import GraphSource
from sensorium.spec.validation import faults_of
from sensorium.spec.wires import Condition, InputWire, ItemWire, NodeWire, SelfWire, Wire
from sensorium.spec.yaml import Document

__all__ = ["GraphBuilder", "Node", "Own", "Port"]

Built = TypeVar("Built", bound=BaseModel)


class Port:
    """What a wire can start from. Comparing it makes a condition for `when` and `until`."""

    __slots__ = ("wire",)

    def __init__(self, wire: Wire) -> None:
        self.wire: Final = wire

    def __str__(self) -> str:
        return str(self.wire)

    def __repr__(self) -> str:
        return f"Port({self.wire})"

    def __invert__(self) -> Condition:
        return Condition(self.wire, "not")

    def __lt__(self, number: float) -> Condition:
        return Condition(self.wire, "<", float(number))

    def __le__(self, number: float) -> Condition:
        return Condition(self.wire, "<=", float(number))

    def __gt__(self, number: float) -> Condition:
        return Condition(self.wire, ">", float(number))

    def __ge__(self, number: float) -> Condition:
        return Condition(self.wire, ">=", float(number))

    def equals(self, literal: str | float | bool | None) -> Condition:
        """`$node.port == literal`."""
        return Condition(self.wire, "==", _literal(literal))

    def differs(self, literal: str | float | bool | None) -> Condition:
        """`$node.port != literal`."""
        return Condition(self.wire, "!=", _literal(literal))


def _literal(literal: str | float | bool | None) -> str | float | bool | None:
    return float(literal) if isinstance(literal, int) and not isinstance(literal, bool) else literal


class Node:
    """A node that was added: its outputs are attributes, or items where a name is taken."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getitem__(self, port: str) -> Port:
        return Port(NodeWire(self._name, port))

    def __getattr__(self, port: str) -> Port:
        if port.startswith("_"):
            raise AttributeError(port)
        return self[port]

    def __repr__(self) -> str:
        return f"Node({self._name})"


class Own:
    """A node's own outputs of the round that just ended, for `until` and `carry`."""

    __slots__ = ()

    def __getitem__(self, port: str) -> Port:
        return Port(SelfWire(port))

    def __getattr__(self, port: str) -> Port:
        if port.startswith("_"):
            raise AttributeError(port)
        return self[port]


class GraphBuilder:
    """A graph in the making. Text given to a node is text, never a wire; wires are `Port`s."""

    item: Final = Port(ItemWire("item"))
    """The element that an `each` is at, where `as_` says nothing else."""
    own: Final = Own()
    """The node's own outputs, for `until` and `carry`."""

    def __init__(self, name: str, *, about: str = "") -> None:
        self._graph: dict[str, Any] = {"name": name, "about": about, "inputs": {}, "nodes": {}, "outputs": {}}

    def input(self, name: str, type: str = "text") -> Port:  # noqa: A002  # the word of the file
        """Declares an input of the graph and gives its port."""
        self._add("inputs", name, type)
        return Port(InputWire(name))

    def node(
        self,
        name: str,
        *,
        tool: str | None = None,
        agent: str | None = None,
        graph: str | None = None,
        when: Port | Condition | None = None,
        approve: bool | Literal["plan"] = False,
        each: Port | None = None,
        as_: str | None = None,
        until: Port | Condition | None = None,
        at_most: int | None = None,
        carry: Mapping[str, Port] | None = None,
        retry: int = 0,
        timeout: float | None = None,
        else_: Mapping[str, Any] | None = None,
        cache: Literal["on", "off"] = "on",
        keep: bool = False,
        wire: Mapping[str, Mapping[str, Any]] | None = None,
        with_: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> Node:
        """Adds a node and gives its ports.

        Inputs are keywords: ports, literals, or lists of either; `with_` takes those whose names are words of this
        method. `else_` is `{"tool": NAME, "with": {…}}`, `{"graph": NAME, "with": {…}}` or `{"value": {…}}`.

        Raises:
            AuthorError: A node of this name is there already.
        """
        keys: dict[str, Any] = {
            "tool": tool,
            "agent": agent,
            "graph": graph,
            "with": _written({**(with_ or {}), **inputs}),
            "when": _condition(when),
            "approve": approve,
            "each": str(each) if each is not None else None,
            "as": as_ or ("item" if each is not None else None),
            "until": _condition(until),
            "at_most": at_most,
            "carry": {port: str(source) for port, source in (carry or {}).items()},
            "retry": retry,
            "timeout": timeout,
            "else": _stand_in(else_),
            "cache": cache,
            "keep": keep,
            "wire": {port: dict(setting) for port, setting in (wire or {}).items()},
        }
        self._add("nodes", name, {key: value for key, value in keys.items() if value not in _UNSAID})
        return Node(name)

    def output(self, name: str, source: Port) -> None:
        """Declares an output of the graph.

        Raises:
            AuthorError: An output of this name is there already.
        """
        self._add("outputs", name, str(source))

    def spec(self) -> GraphSpec:
        """The graph as it would stand in a file.

        Raises:
            AuthorError: It is not one; every fault is told at once. What its wires mean is for `check` to say.
        """
        try:
            return GraphSpec.model_validate(self._graph, by_alias=True, by_name=False)
        except ValidationError as error:
            raise AuthorError(faults_of(GraphSpec, Document("", self._graph, {(): (0, 0)}, {}), error)) from error

    def source(self) -> GraphSource:
        """The graph, ready for `check`.

        Raises:
            AuthorError: As `spec`.
        """
        return GraphSource(self.spec())

    def _add(self, kind: str, name: str, value: Any) -> None:
        if name in self._graph[kind]:
            raise AuthorError(f"{kind}.{name} is there already; choose another name")
        self._graph[kind][name] = value


_UNSAID: Final[tuple[Any, ...]] = (None, {})


def _condition(asked: Port | Condition | None) -> str | None:
    return None if asked is None else str(asked)


def _stand_in(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    return {key: _written(value) if key in ("with", "value") else value for key, value in given.items()}


def _written(value: Any) -> Any:
    """A value as a file writes it."""
    if isinstance(value, Port):
        return str(value)
    if isinstance(value, str):
        return f"${value}" if value.startswith("$") else value
    if is_mapping(value):
        return {key: _written(item) for key, item in value.items()}
    if is_list(value):
        return [_written(item) for item in value]
    return _written(list(value)) if is_tuple(value) else value
