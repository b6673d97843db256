"""Ways across a wire that lose something: which ones lead from a latent to its reader, and what their cards show."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy.typing as npt

from sensorium.latent import kv
from sensorium.latent.bridge import Bridge
from sensorium.latent.cards import CardShelf
from sensorium.latent.coding import coded_bytes
from sensorium.latent.negotiation import Lossy
from sensorium.latent.recipe import head_positions, num_positions
from sensorium.latent.spaces import CONTEXT, End, hidden_space
from sensorium.parts import Latent

__all__ = ["bridge_tap", "lossy_ways", "read_states"]

_CODED = "kv/"


def lossy_ways(
    latent: Latent, reader: End, bridges: Sequence[Bridge], shelf: CardShelf, asked: Collection[str] = ()
) -> Iterator[Lossy]:
    """Codecs of keys and values that a wire asks for or a card shows, the better first; then bridges, likewise.

    Args:
        latent: What its sender holds.
        reader: The language model that reads it.
        bridges: All that are there.
        shelf: Cards.
        asked: Rungs that the wire allows; empty where it does not say.
    """
    if latent.space == CONTEXT and latent.dtype == "int32":
        yield from _codecs(latent, reader, shelf, asked)
    fitting = [_bridge_way(bridge, latent, reader, shelf) for bridge in bridges if _leads(bridge, latent, reader)]
    yield from sorted(fitting, key=lambda way: -(way.recovered or 0.0))


def bridge_tap(bridge: Bridge) -> str:
    """The space of a language model that a bridge reads."""
    return hidden_space(int(bridge.spec.sender.tap.removeprefix("hidden[").removesuffix("]")))


def read_states(latent: Latent, states: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of a context's states, those of what was read: how its conversation began says nothing to another model."""
    return states[head_positions(latent.load()) :] if latent.space == CONTEXT else states


def _codecs(latent: Latent, reader: End, shelf: CardShelf, asked: Collection[str]) -> Iterator[Lossy]:
    positions = num_positions(latent.load())
    for codec in kv.CODECS:
        card = shelf.find(latent.weights, reader.weights, _CODED + codec, codec)
        if card is not None or _CODED + codec in asked:
            recovered = card.recovered.low if card is not None else None
            yield Lossy(_CODED + codec, coded_bytes(codec, positions, reader), recovered, codec)


def _bridge_way(bridge: Bridge, latent: Latent, reader: End, shelf: CardShelf) -> Lossy:
    spec = bridge.spec
    rows = -(-latent.shape[0] // spec.stride)
    card = shelf.find(latent.weights, reader.weights, "bridge", spec.name)
    shown = None if bridge.card is None else bridge.card.least
    recovered = shown if card is None else card.recovered.low
    return Lossy("bridge", 4 * rows * spec.receiver.width, recovered, spec.name)


def _leads(bridge: Bridge, latent: Latent, reader: End) -> bool:
    is_kind = bridge.spec.sender.tap.startswith("hidden[") == (latent.space == CONTEXT)
    return is_kind and bridge.leads(latent.weights, reader.weights)
