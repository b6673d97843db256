"""The parts that an agent has at hand, and which ports they can feed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sensorium.agent.empty import is_empty
from sensorium.parts import Value
from sensorium.spec.ports import PortType

__all__ = ["Hand", "Held"]

_GIVEN_FIRST = ("image", "audio")
"""What somebody attached is meant, rather than what a tool made of it; of all else, the newest."""


@dataclass(frozen=True, slots=True)
class Held:
    """A part, or a list of parts, and where it came from."""

    type: PortType
    value: Value
    is_given: bool
    """Whether it came with the request, and was not made by a tool."""


@dataclass(frozen=True, slots=True)
class Hand:
    """Parts at hand, oldest first. Text is not among them: what a tool is to read or say, the model writes."""

    held: tuple[Held, ...] = ()

    def with_parts(self, values: Mapping[str, Value], types: Mapping[str, PortType], *, is_given: bool) -> Hand:
        """The same, and these. Text, numbers, flags and data are left out, and so is what is empty."""
        new = (
            Held(types[port], value, is_given)
            for port, value in values.items()
            if port in types and types[port].kind in _HELD_KINDS and not is_empty(value)
        )
        return Hand((*self.held, *new))

    def feed(self, port: PortType) -> Value:
        """What feeds a port; None where nothing does."""
        fitting = [held for held in self.held if held.type.can_feed(port)]
        if not fitting and port.is_list:
            singles = tuple(held.value for held in self.held if held.type.can_feed(port.item))
            return tuple(value for value in singles if value is not None and not isinstance(value, tuple)) or None
        given = [held for held in fitting if held.is_given]
        if port.kind in _GIVEN_FIRST and given:
            return given[-1].value
        return fitting[-1].value if fitting else None


_HELD_KINDS = ("image", "audio", "masks", "boxes", "points", "segments", "latent")
