"""What an agent's model sees and hears for itself."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from sensorium.model.contract import Ask
from sensorium.parts import Audio, Image, Value

__all__ = ["Media", "media_of", "with_media"]

Media = tuple[Image | Audio, ...]


def media_of(inputs: Mapping[str, Value], reads: Set[str]) -> Media:
    """The pictures and sounds that came with a request, those of lists too, as far as the model reads them."""
    values = (part for value in inputs.values() for part in (value if isinstance(value, tuple) else (value,)))
    return tuple(part for part in values if isinstance(part, Image | Audio) and part.kind in reads)


def with_media(ask: Ask, media: Media) -> Ask:
    """The same, with `media` in the user's last message."""
    messages = list(ask.messages)
    for place in reversed(range(len(messages))):
        if media and messages[place].role == "user":
            messages[place] = replace(messages[place], parts=(*media, *messages[place].parts))
            break
    return replace(ask, messages=tuple(messages))
