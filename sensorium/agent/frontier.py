"""Which calls are legal now: what the parts at hand can feed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sensorium.agent.hand import Fed, Hand
from sensorium.agent.toolbox import Card
from sensorium.parts import Value
from sensorium.spec.ports import PortType
from sensorium.spec.wires import Wire

__all__ = ["WRITTEN", "Offer", "feeds", "is_written", "needs", "offer", "producers"]

WRITTEN = ("text", "number", "flag")
"""Kinds that a model can write into a required port."""
_SHAPES = ("boxes", "points", "masks")
"""Kinds that say which part of a picture is meant. A tool that takes them, each optional, wants one of them."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A call that can be made as soon as the model has written what no part can feed."""

    card: Card
    inputs: Mapping[str, Fed]
    """What the parts at hand feed."""
    to_write: Mapping[str, PortType]
    """Required ports that the model writes."""

    @property
    def values(self) -> dict[str, Value]:
        """What is fed, as a call has it."""
        return {port: fed.value for port, fed in self.inputs.items()}

    @property
    def wires(self) -> dict[str, str | list[str]]:
        """What is fed, as a graph file writes it."""
        return {port: fed.written for port, fed in self.inputs.items()}


def offer(card: Card, hand: Hand) -> Offer | None:
    """The call of a tool with the parts at hand; None where a port that it requires gets nothing."""
    if needs(card, hand):
        return None
    to_write = {port: kind for port, kind in card.signature.inputs.items() if is_written(kind)}
    return Offer(card, feeds(card, hand), to_write)


def feeds(card: Card, hand: Hand, written: Collection[str] = ()) -> dict[str, Fed]:
    """What the parts at hand feed of a tool's ports. No part feeds two ports, unless one of them would go without.

    Args:
        card: The tool.
        hand: The parts.
        written: Ports that have something already.
    """
    fed: dict[str, Fed] = {}
    used: set[Wire] = set()
    for port, kind in card.signature.inputs.items():
        found = hand.feed(kind, givers=card.follows, used=used) if _takes_from_hand(card, kind) else None
        if found is not None and port not in written:
            fed[port] = found
            used.update(found.wires)
    return fed


def needs(card: Card, hand: Hand) -> tuple[tuple[PortType, ...], ...]:
    """What keeps a tool from being called: from each of these groups, one type is wanted."""
    ports = card.signature.inputs.values()
    missing: list[tuple[PortType, ...]] = [
        (kind,) for kind in ports if not kind.is_optional and not is_written(kind) and not _can_have(card, kind, hand)
    ]
    shapes = tuple(kind for kind in ports if kind.kind in _SHAPES)
    if shapes and all(kind.is_optional and not _can_have(card, kind, hand) for kind in shapes):
        missing.append(shapes)
    return tuple(missing)


def producers(group: tuple[PortType, ...], offers: Iterable[Offer]) -> list[Offer]:
    """The calls that make one of these types out of a part at hand."""
    wanted = [kind.as_required() for kind in group]
    return [
        made
        for made in offers
        if made.inputs
        and any(kind.as_required().can_feed(want) for kind in made.card.signature.outputs.values() for want in wanted)
    ]


def is_written(kind: PortType) -> bool:
    """Whether a model writes what a port takes."""
    return kind.kind in WRITTEN and not kind.is_optional and not kind.is_list


def _takes_from_hand(card: Card, kind: PortType) -> bool:
    """Optional latents are left to the tool, which knows what they belong to; declared links say so themselves."""
    if card.follows is not None:
        return not is_written(kind)
    return kind.kind not in (*WRITTEN, "data") and not (kind.kind == "latent" and kind.is_optional)


def _can_have(card: Card, kind: PortType, hand: Hand) -> bool:
    return hand.feed(kind.as_required(), givers=card.follows) is not None
