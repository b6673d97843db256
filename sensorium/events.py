"""What happened in a run, as typed events, in the order in which it happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NewType, TypeAlias

from sensorium.parts import Part, Value

__all__ = [
    "Event",
    "ItemMade",
    "NodeFailed",
    "NodeFinished",
    "NodeProgress",
    "NodeSkipped",
    "NodeStarted",
    "PromptSent",
    "RunFinished",
    "RunId",
    "RunStarted",
    "RunStatus",
    "TextPiece",
    "ToolCalled",
]

RunId = NewType("RunId", str)
RunStatus = Literal["done", "failed", "refused", "paused", "cancelled"]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run began."""

    run: RunId
    graph: str


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """A node's inputs are there and its call begins."""

    run: RunId
    node: str
    """Path of the node: `cut`, `album/caption` within a sub-graph, `caption[3]` for an item of an `each`."""
    callee: str
    """`tool see`, `agent assistant` or `graph ask`."""


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """A node has come this far."""

    run: RunId
    node: str
    share: float
    """0 to 1."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class ItemMade:
    """One element of a list output is there."""

    run: RunId
    node: str
    port: str
    part: Part


@dataclass(frozen=True, slots=True)
class TextPiece:
    """An agent's answer goes on with these characters."""

    run: RunId
    node: str
    text: str


@dataclass(frozen=True, slots=True)
class PromptSent:
    """Exactly what was sent to a language model."""

    run: RunId
    node: str
    model: str
    prompt: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """An agent called a tool and it ended."""

    run: RunId
    node: str
    tool: str
    status: Literal["done", "failed"]
    outputs: dict[str, Value] = field(default_factory=dict[str, Value])
    message: str = ""


@dataclass(frozen=True, slots=True)
class NodeFinished:
    """A node gave its outputs."""

    run: RunId
    node: str
    callee: str
    outputs: dict[str, Value]
    seconds: float
    cached: bool
    """Whether an earlier call's stored result was used."""
    instead: str = ""
    """Where `else` stood in: why the node itself failed."""


@dataclass(frozen=True, slots=True)
class NodeSkipped:
    """A node was not called: its `when` was false, or an input that it requires is missing."""

    run: RunId
    node: str
    why: str


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """A node failed and nothing stood in."""

    run: RunId
    node: str
    callee: str
    kind: str
    """`error.kind`, as in `sensorium.errors`."""
    message: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run ended."""

    run: RunId
    status: RunStatus
    seconds: float


Event: TypeAlias = (
    RunStarted
    | NodeStarted
    | NodeProgress
    | ItemMade
    | TextPiece
    | PromptSent
    | ToolCalled
    | NodeFinished
    | NodeSkipped
    | NodeFailed
    | RunFinished
)
