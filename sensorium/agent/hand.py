"""The parts that an agent has at hand, where they come from, and which ports they can feed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sensorium.agent.empty import is_empty
from sensorium.parts import Value
from sensorium.spec.ports import PortType
from sensorium.spec.wires import InputWire, NodeWire, Wire

__all__ = ["Fed", "Hand", "Held"]

_GIVEN_FIRST = ("image", "audio")
"""What somebody attached is meant, rather than what a tool made of it; of all else, the newest."""
_HELD_KINDS = ("image", "audio", "masks", "boxes", "points", "segments", "latent")


@dataclass(frozen=True, slots=True)
class Held:
    """A part, or a list of parts, and where it comes from."""

    type: PortType
    wire: InputWire | NodeWire
    value: Value = None
    """None where a plan says that it will be made."""
    giver: str = ""
    """The tool that makes it; empty where it came with the request."""


@dataclass(frozen=True, slots=True)
class Fed:
    """What feeds a port."""

    wires: tuple[Wire, ...]
    is_list: bool
    value: Value

    @property
    def written(self) -> str | list[str]:
        """As a graph file writes it."""
        texts = [str(wire) for wire in self.wires]
        return texts if self.is_list else texts[0]


@dataclass(frozen=True, slots=True)
class Hand:
    """Parts at hand, oldest first. Text is not among them, unless planned: what a tool is to say, the model writes."""

    held: tuple[Held, ...] = ()

    def given(self, values: Mapping[str, Value], types: Mapping[str, PortType]) -> Hand:
        """The same, and what came with the request. Text, numbers, flags, data and what is empty are left out."""
        return self._with([Held(types[port], InputWire(port), value) for port, value in _kept(values, types)])

    def made(self, node: str, tool: str, values: Mapping[str, Value], types: Mapping[str, PortType]) -> Hand:
        """The same, and what a call gave; likewise."""
        return self._with(
            [Held(types[port], NodeWire(node, port), value, tool) for port, value in _kept(values, types)]
        )

    def planned(self, node: str, tool: str, types: Mapping[str, PortType]) -> Hand:
        """The same, and everything that a call is going to give."""
        return self._with([Held(kind, NodeWire(node, port), None, tool) for port, kind in types.items()])

    def feed(self, port: PortType, *, givers: Collection[str] | None = None, used: Collection[Wire] = ()) -> Fed | None:
        """What feeds a port; None where nothing does.

        Args:
            port: What it takes.
            givers: Tools whose parts it may take, beside what came with the request; None for any.
            used: What feeds other ports of the call, and is taken again where nothing else fits and the port must have
                something.
        """
        fitting = [held for held in self.held if held.type.can_feed(port) and _may_take(held, givers)]
        if not fitting and port.is_list:
            return self._gathered(port, givers)
        fresh = [held for held in fitting if held.wire not in used]
        given = [held for held in fresh if not held.giver]
        if port.kind in _GIVEN_FIRST and given:
            return _fed(given[-1])
        if fresh:
            return _fed(fresh[-1])
        return _fed(fitting[-1]) if fitting and not port.is_optional else None

    def _gathered(self, port: PortType, givers: Collection[str] | None) -> Fed | None:
        """All single parts of a list's kind."""
        singles = [held for held in self.held if held.type.can_feed(port.item) and _may_take(held, givers)]
        if not singles:
            return None
        values = tuple(held.value for held in singles if held.value is not None and not isinstance(held.value, tuple))
        return Fed(tuple(held.wire for held in singles), True, values or None)

    def _with(self, new: Sequence[Held]) -> Hand:
        return Hand((*self.held, *new))


def _kept(values: Mapping[str, Value], types: Mapping[str, PortType]) -> list[tuple[str, Value]]:
    return [
        (port, value)
        for port, value in values.items()
        if port in types and types[port].kind in _HELD_KINDS and not is_empty(value)
    ]


def _may_take(held: Held, givers: Collection[str] | None) -> bool:
    return givers is None or not held.giver or held.giver in givers


def _fed(held: Held) -> Fed:
    return Fed((held.wire,), False, held.value)
