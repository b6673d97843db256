"""What happened in a run, as typed events, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NewType, TypeAlias

from sensorium.parts import Part, Value

__all__ = [
    "Event",
    "Figures",
    "HistoryTrimmed",
    "ItemMade",
    "ModelAsked",
    "NodeFailed",
    "NodeFinished",
    "NodeProgress",
    "NodeSkipped",
    "NodeStarted",
    "PersonAnswered",
    "PersonAsked",
    "PlanMade",
    "PromptSent",
    "RunFinished",
    "RunId",
    "RunStarted",
    "RunStatus",
    "TextPiece",
    "ToolCalled",
    "WireCrossed",
]

RunId = NewType("RunId", str)
RunStatus = Literal["done", "failed", "refused", "paused", "cancelled"]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a node moved and called. Calls count for every node that theirs lies in, media for their node alone."""

    bytes_in: int = 0
    """Bytes of the media among its inputs, in the store; the same media count once."""
    bytes_out: int = 0
    """Likewise of its outputs."""
    calls: int = 0
    """Calls of tools and asks of language models, rounds and tries each by itself."""
    kept: int = 0
    """How many of `calls` a kept result answered."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run began, or goes on."""

    run: RunId
    graph: str
    changes: tuple[str, ...] = ()
    """What is no longer as it was when a run that goes on began, or the one that it is a fork of.

    Calls that this touches are made anew.
    """


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """A node's inputs are there and its call begins; with `each`, its first element is.

    A node that began on a list which its maker then failed to end has no further event: it counts as cancelled.
    """

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
    is_loading: bool = False
    """Whether what it calls is still being loaded, as the note says; a last one without a note says that it is."""


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
class PersonAsked:
    """A call waits for a person. Other nodes go on."""

    run: RunId
    node: str
    callee: str
    """`tool send`, `agent assistant` or `graph publish`."""
    inputs: Mapping[str, Value]
    """What it would be called with."""


@dataclass(frozen=True, slots=True)
class PersonAnswered:
    """A person said whether a call may be made."""

    run: RunId
    node: str
    callee: str
    is_approved: bool
    why: str
    """Why not, in the person's words."""
    changed: Mapping[str, Value]
    """Inputs that the person gave instead of those of the question."""


@dataclass(frozen=True, slots=True)
class HistoryTrimmed:
    """The next prompt of an agent leaves out the oldest messages of its conversation, and says so itself."""

    run: RunId
    node: str
    left_out: int
    """Messages."""
    why: str


@dataclass(frozen=True, slots=True)
class PromptSent:
    """Exactly what was sent to a language model."""

    run: RunId
    node: str
    model: str
    prompt: str


@dataclass(frozen=True, slots=True)
class ModelAsked:
    """A language model was asked, and it answered or failed. Says nothing of what was asked and answered."""

    run: RunId
    node: str
    model: str
    """Role of the profile."""
    identity: str
    """Digest of its weights, runtime and settings."""
    status: Literal["done", "failed"]
    seconds: float
    max_tokens: int
    temperature: float
    seed: int | None = None
    is_json: bool = False
    """Whether the reply was to be JSON of a schema."""
    cached: bool = False
    """Whether a kept reply was used."""
    prompt_tokens: int = 0
    """Of the reply, whenever it was made."""
    answer_tokens: int = 0
    """Likewise."""
    reused_tokens: int = 0
    """How many of `prompt_tokens` the model had read before."""
    first_token_s: float = 0.0
    finish: str = ""
    """`stop`, or `length` where `max_tokens` ended it; empty where it failed."""
    kind: str = ""
    """`error.kind` where it failed, as in `sensorium.errors`."""


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """An agent called a tool, another agent or a graph, and it ended."""

    run: RunId
    node: str
    """Path of the agent's node."""
    tool: str
    """Name of what was called."""
    status: Literal["done", "failed"]
    outputs: dict[str, Value] = field(default_factory=dict[str, Value])
    message: str = ""
    seconds: float = 0.0
    """From when the agent wanted it, a person's approval included."""
    cached: bool = False
    """Whether an earlier call's stored result was used."""
    bytes_in: int = 0
    """Bytes of the media among its inputs, the same media counted once."""
    bytes_out: int = 0
    """Likewise of its outputs."""
    kind: str = ""
    """`error.kind` where it failed, as in `sensorium.errors`."""
    is_node: bool = False
    """Whether the call is a node with events of its own, below the agent's: each of a plan, and an agent or a graph."""


@dataclass(frozen=True, slots=True)
class PlanMade:
    """An agent's plan: one that is about to be carried out, one that was step by step, or one that was refused."""

    run: RunId
    node: str
    """Path of the agent's node; the plan's nodes lie below it."""
    plan: str
    """The text of a graph file; empty where what is refused is none, or no file can hold it."""
    faults: tuple[str, ...] = ()
    """Why it was refused: what the checker found, and what would be right. Nothing of such a plan is called."""


@dataclass(frozen=True, slots=True)
class WireCrossed:
    """A latent went into a node by this rung."""

    run: RunId
    node: str
    port: str
    rung: str
    """`kv`, `kv/CODEC`, `recipe`, `embeds`, `bridge` or `text`."""
    why: str
    """Why it was no better one; empty where none is."""
    num_bytes: int = 0
    """What crossed."""


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
    figures: Figures = Figures()


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
    figures: Figures = Figures()


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run ended."""

    run: RunId
    status: RunStatus
    seconds: float
    kind: str = ""
    """`error.kind` of what ended it, as in `sensorium.errors`; empty where it is done."""


Event: TypeAlias = (
    RunStarted
    | NodeStarted
    | NodeProgress
    | ItemMade
    | TextPiece
    | PersonAsked
    | PersonAnswered
    | HistoryTrimmed
    | PromptSent
    | ModelAsked
    | ToolCalled
    | PlanMade
    | WireCrossed
    | NodeFinished
    | NodeSkipped
    | NodeFailed
    | RunFinished
)
