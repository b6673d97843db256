"""A graph file: nodes and the wires between them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sensorium.spec.declared import CalleeName, Declared, Name, PortName, TypeText

__all__ = ["ElseSpec", "GraphSpec", "NodeSpec", "WireSpec"]

CALLEES = ("tool", "agent", "graph")
RUNG = r"^(kv|kv/[a-z][a-z0-9]{0,15}|recipe|embeds|bridge|text)$"


class WireSpec(Declared):
    """What a latent wire must keep."""

    at_least: Annotated[float, Field(ge=0, le=1)] | None = None
    """Smallest recovered share that a bridge's card must show."""
    rungs: list[Annotated[str, Field(pattern=RUNG)]] | None = None
    """Rungs that may be taken: kv, kv/CODEC, recipe, embeds, bridge, text."""
    max_bytes: Annotated[int, Field(ge=1)] | None = None
    """Most bytes that may cross; text always may."""


class ElseSpec(Declared):
    """What stands in when a node fails. It gives the same output ports."""

    tool: CalleeName | None = None
    graph: CalleeName | None = None
    value: dict[PortName, Any] | None = None
    """The outputs themselves, as wires or literals; a missing optional port, or a port given as null, is null."""
    with_: Annotated[dict[PortName, Any] | None, Field(alias="with")] = None
    """Inputs of the stand-in; those of the node where absent."""

    @model_validator(mode="after")
    def _one_of(self) -> ElseSpec:
        given = [kind for kind in ("tool", "graph", "value") if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"else has {' and '.join(given) or 'nothing'}; it has exactly one of tool, graph, value")
        return self


class NodeSpec(Declared):
    """One node. Control nests from outside in: when, approve, each, until, retry, timeout, call."""

    tool: CalleeName | None = None
    agent: CalleeName | None = None
    graph: CalleeName | None = None
    with_: Annotated[dict[PortName, Any], Field(alias="with")] = {}
    """Inputs: wires, literals, or lists of either."""
    when: str | None = None
    approve: bool | Literal["plan"] = False
    each: str | None = None
    as_: Annotated[PortName | None, Field(alias="as")] = None
    until: str | None = None
    at_most: Annotated[int, Field(ge=1, le=1000)] | None = None
    carry: dict[PortName, str] = {}
    retry: Annotated[int, Field(ge=0, le=100)] = 0
    """More tries after the first."""
    timeout: Annotated[float, Field(gt=0, le=604_800, allow_inf_nan=False)] | None = None
    """Seconds for each try; a week at most."""
    else_: Annotated[ElseSpec | None, Field(alias="else")] = None
    cache: Literal["on", "off"] = "on"
    keep: bool = False
    wire: dict[PortName, WireSpec] = {}

    @model_validator(mode="after")
    def _one_callee(self) -> NodeSpec:
        given = [kind for kind in CALLEES if getattr(self, kind) is not None]
        if len(given) != 1:
            found = f"the node calls {' and '.join(given)}" if given else "the node calls nothing"
            raise ValueError(f"{found}; it has exactly one of tool, agent, graph")
        return self

    @property
    def callee(self) -> tuple[str, str]:
        """What is called: `tool`, `agent` or `graph`, and its name."""
        kind = next(kind for kind in CALLEES if getattr(self, kind) is not None)
        return kind, getattr(self, kind)


class GraphSpec(Declared):
    """A graph as it is written."""

    sensorium: Literal[1] = 1
    name: Name
    about: str = ""
    inputs: dict[PortName, TypeText] = {}
    nodes: Annotated[dict[Name, NodeSpec], Field(min_length=1)]
    outputs: Annotated[dict[PortName, str], Field(min_length=1)]
