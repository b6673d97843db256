"""Which calls are legal now: what the parts at hand can feed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sensorium.agent.hand import Hand
from sensorium.agent.toolbox import Card
from sensorium.parts import Value
from sensorium.spec.ports import PortType

__all__ = ["Offer", "needs", "offer", "producers"]

WRITTEN = ("text", "number", "flag")
"""Kinds that a model can write into a required port."""
SHAPES = ("boxes", "points", "masks")
"""Kinds that say which part of a picture is meant. A tool that takes them, each optional, wants one of them."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A call that can be made as soon as the model has written what no part can feed."""

    card: Card
    inputs: Mapping[str, Value]
    """What the parts at hand feed."""
    to_write: Mapping[str, PortType]
    """Required ports that the model writes."""


def offer(card: Card, hand: Hand) -> Offer | None:
    """The call of a tool with the parts at hand; None where a port that it requires gets nothing."""
    if needs(card, hand):
        return None
    fed = {port: hand.feed(kind) for port, kind in card.signature.inputs.items() if _takes_from_hand(kind)}
    to_write = {port: kind for port, kind in card.signature.inputs.items() if _is_written(kind)}
    return Offer(card, {port: value for port, value in fed.items() if value is not None}, to_write)


def needs(card: Card, hand: Hand) -> tuple[tuple[PortType, ...], ...]:
    """What keeps a tool from being called: from each of these groups, one type is wanted."""
    ports = card.signature.inputs.values()
    missing: list[tuple[PortType, ...]] = [
        (kind,)
        for kind in ports
        if not kind.is_optional and not _is_written(kind) and hand.feed(_required(kind)) is None
    ]
    shapes = tuple(kind for kind in ports if kind.kind in SHAPES)
    if shapes and all(kind.is_optional and hand.feed(_required(kind)) is None for kind in shapes):
        missing.append(shapes)
    return tuple(missing)


def producers(group: tuple[PortType, ...], offers: Iterable[Offer]) -> list[Offer]:
    """The calls that make one of these types out of a part at hand."""
    wanted = [_required(kind) for kind in group]
    return [
        made
        for made in offers
        if made.inputs
        and any(_required(kind).can_feed(want) for kind in made.card.signature.outputs.values() for want in wanted)
    ]


def _takes_from_hand(kind: PortType) -> bool:
    """Optional latents are left to the tool, which knows what they belong to."""
    return kind.kind not in (*WRITTEN, "data") and not (kind.kind == "latent" and kind.is_optional)


def _is_written(kind: PortType) -> bool:
    return kind.kind in WRITTEN and not kind.is_optional and not kind.is_list


def _required(kind: PortType) -> PortType:
    return PortType(kind.kind, kind.is_list, False, kind.space)
