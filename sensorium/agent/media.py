"""What an agent's model sees, hears and takes over for itself."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from sensorium.model.contract import Ask, Message
from sensorium.parts import Audio, Image, Latent, Value
from sensorium.spec.ports import CONTEXT

__all__ = ["Media", "behind_context", "media_of", "with_media"]

Media = tuple[Image | Audio | Latent, ...]


def media_of(inputs: Mapping[str, Value], reads: Set[str]) -> Media:
    """Pictures and sounds that came with a request, those of lists too, and latents that were made ready."""
    values = (part for value in inputs.values() for part in (value if isinstance(value, tuple) else (value,)))
    return tuple(
        part
        for part in values
        if (isinstance(part, Image | Audio) and part.kind in reads) or (isinstance(part, Latent) and part.rung)
    )


def with_media(ask: Ask, media: Media) -> Ask:
    """The same, with `media` in the user's last message; but what another model held comes before all else."""
    held = tuple(part for part in media if isinstance(part, Latent) and part.space == CONTEXT)
    media = tuple(part for part in media if part not in held)
    messages = list(behind_context(ask.messages, held))
    for place in reversed(range(len(messages))):
        if media and messages[place].role == "user":
            messages[place] = replace(messages[place], parts=(*media, *messages[place].parts))
            break
    return replace(ask, messages=tuple(messages))


def behind_context(messages: tuple[Message, ...], held: Media) -> tuple[Message, ...]:
    """The same, behind what another model held: who the agent is comes after what was read."""
    if not held:
        return messages
    roles = [message.content for message in messages if message.role == "system"]
    turns = [message for message in messages if message.role != "system"]
    first = turns[0]
    told = "\n\n".join(("", *roles, first.content))
    return (replace(first, content=told, parts=(*held, *first.parts)), *turns[1:])
