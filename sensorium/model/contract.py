"""The contract of every language model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from sensorium.errors import CallerError
from sensorium.latent.spaces import End
from sensorium.parts import Audio, Image, Latent

__all__ = [
    "Ask",
    "CallOffer",
    "Held",
    "Holder",
    "LatentReader",
    "Message",
    "MessagePart",
    "Model",
    "ModelEvent",
    "Piece",
    "Preparing",
    "Reply",
    "Usage",
    "require_readable",
    "shown",
]

MessagePart: TypeAlias = Image | Audio | Latent
"""What a message may hold beside its text."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str
    parts: tuple[MessagePart, ...] = ()
    """Shown before the text. A model takes those of the kinds that it reads."""


@dataclass(frozen=True, slots=True)
class CallOffer:
    """A tool that a reply may call."""

    name: str
    about: str
    arguments: Mapping[str, Any]
    """JSON Schema of an object: what the model writes."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a language model is asked for. At most one of `choices`, `schema` and `calls` is given."""

    messages: tuple[Message, ...]
    """A last message of the assistant is a beginning that the reply goes on with."""
    max_tokens: int = 400
    temperature: float = 0.0
    """0 is greedy."""
    seed: int | None = None
    choices: tuple[str, ...] | None = None
    """The reply is exactly one of these, held by constrained decoding."""
    schema: Mapping[str, Any] | None = None
    """The reply is JSON of this JSON Schema, its keys in the schema's order, held by constrained decoding."""
    stop: tuple[str, ...] = ()
    """The reply ends before any of these."""
    calls: tuple[CallOffer, ...] | None = None
    """The reply calls one of these: JSON of an object with `name` and `arguments`, held by constrained decoding.

    A model that is served is told of them by its own chat template, any other by the messages alone.
    """

    def __post_init__(self) -> None:
        if sum(held is not None for held in (self.choices, self.schema, self.calls)) > 1:
            raise ValueError("an ask has choices, a schema or calls, and no two of them")

    @property
    def form(self) -> Mapping[str, Any] | None:
        """JSON Schema of the reply, also where it is a call; None where it is no JSON."""
        return self.schema if self.calls is None else _call_schema(self.calls)


def _call_schema(offers: tuple[CallOffer, ...]) -> dict[str, Any]:
    calls = [
        {
            "type": "object",
            "properties": {"name": {"enum": [offer.name]}, "arguments": offer.arguments},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for offer in offers
    ]
    return {"anyOf": calls}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call."""

    prompt_tokens: int
    answer_tokens: int
    cached_tokens: int = 0
    """Prompt tokens whose computation was reused."""
    first_token_s: float = 0.0
    """Seconds until the first token."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Piece:
    """The reply goes on with these characters."""

    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The whole reply: the last event of a call."""

    text: str
    usage: Usage
    finish: Literal["stop", "length"]
    """`length` where `max_tokens` ended it."""
    scores: Mapping[str, float] = field(default_factory=dict[str, float])
    """Logarithm of the probability of each of the ask's `choices`; empty where the model tells none."""


@dataclass(frozen=True, slots=True)
class Preparing:
    """The model is not yet at its first word."""

    share: float
    """How far it is, 0 to 1."""
    note: str
    """What it does."""
    is_loading: bool = False
    """Whether it is still being loaded, as the note says; a last one without a note says that it is there."""


ModelEvent: TypeAlias = Piece | Reply | Preparing


class Model(Protocol):
    """A language model that can be asked. Calls may be made at once from many tasks."""

    @property
    def identity(self) -> str:
        """Digest of the weights, the runtime and its settings: equal identities, equal greedy replies."""
        ...

    @property
    def reads(self) -> frozenset[str]:
        """Kinds of part that it takes beside text: of `image`, `audio`, `latent`."""
        ...

    def ask(self, ask: Ask) -> AsyncIterator[ModelEvent]:
        """Pieces of the reply as they come; the last event is `Reply`. Cancelling the iterating task stops the model.

        A model that is long in coming says so first, by `Preparing`.

        Raises:
            ModelError: The model failed.
            CallerError: The messages do not fit into the model's context; the message says by how much. Or they hold
                parts that it does not read.
            OperatorError: Its checkpoint or service is missing.
        """
        ...

    def prompt(self, ask: Ask) -> str:
        """Exactly what `ask` sends, as text; parts are named in it, each in brackets."""
        ...

    async def close(self) -> None:
        """Lets go of the model."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """What a model held when it had read a prompt, and thought."""

    context: Latent
    """Of space `lm.context`: its recipe, int32 [entries]. It has no twin; whoever read knows what it read."""
    usage: Usage


@runtime_checkable
class LatentReader(Protocol):
    """What a language model can do beside replying that takes over what an equal one holds."""

    async def end(self) -> End:
        """Who this model is on a latent wire, as it was loaded.

        Raises:
            ModelError: It cannot be loaded.
        """
        ...


@runtime_checkable
class Holder(LatentReader, Protocol):
    """What a language model can do beside replying that hands on what it holds."""

    def open_prompt(self, messages: Sequence[Message]) -> str:
        """Exactly what `hold` reads, as text; a latent stands in it by its space and rung."""
        ...

    async def hold(self, messages: Sequence[Message], *, thoughts: int = 0) -> Held:
        """What the model holds when it has read messages up to the end of the last, whose turn stays open.

        Args:
            messages: The last is the user's.
            thoughts: Steps that it thinks then.

        Raises:
            ModelError: It failed.
            CallerError: The messages do not fit into its context; `LatentError` where a latent is none that it takes.
        """
        ...

    async def give(self, context: Latent, space: str) -> Latent:
        """What a context comes to in a space, such as `lm.kv`: a sealed frame, uint8 [bytes].

        What the model still holds is not computed again.

        Raises:
            ModelError: The model failed.
            LatentError: The context is another model's, or the model has no such space.
        """
        ...


def require_readable(ask: Ask, reads: frozenset[str]) -> None:
    """Keeps an ask with parts from a model that does not read them.

    Raises:
        CallerError: A message holds a part of a kind that is not among `reads`.
    """
    for number, message in enumerate(ask.messages, 1):
        for part in message.parts:
            if part.kind not in reads:
                able = ", ".join(sorted(reads)) or "text alone"
                raise CallerError(
                    f"message {number} of {len(ask.messages)} holds a part of kind {part.kind}, and this language "
                    f"model reads {able}; leave the part out, or name a model in the profile that reads it"
                )


def shown(message: Message) -> str:
    """A message as text, its parts named in brackets before it."""
    return "".join(f"[{_named(part)}]\n" for part in message.parts) + message.content


def _named(part: MessagePart) -> str:
    match part:
        case Image(width=width, height=height):
            return f"image {width}×{height}"
        case Audio(seconds=seconds):
            return f"audio {seconds:.1f} s"
        case Latent(space=space, shape=shape):
            return f"latent {space} {'×'.join(map(str, shape))}"
