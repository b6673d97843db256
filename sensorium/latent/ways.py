"""Ways across a wire that lose something: which ones lead from a latent to its reader, and what their cards show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy.typing as npt

from sensorium.latent.bridge import Bridge
from sensorium.latent.negotiation import Lossy
from sensorium.latent.recipe import head_positions
from sensorium.latent.spaces import CONTEXT, End, hidden_space
from sensorium.parts import Latent

__all__ = ["read_states", "bridge_tap", "bridge_ways"]


def bridge_ways(latent: Latent, reader: End | None, bridges: Sequence[Bridge]) -> Iterator[Lossy]:
    """The bridges that lead from a latent to its reader, the one first that recovers most."""
    fitting = [bridge for bridge in bridges if _leads(bridge, latent, reader)]
    for bridge in sorted(fitting, key=lambda bridge: -(_recovered(bridge) or 0.0)):
        positions = len(latent.load()) if latent.space == CONTEXT else latent.shape[0]
        rows = -(-positions // bridge.spec.stride)
        yield Lossy("bridge", 4 * rows * bridge.spec.receiver.width, _recovered(bridge), bridge.spec.name)


def bridge_tap(bridge: Bridge) -> str:
    """The space of a language model that a bridge reads."""
    return hidden_space(int(bridge.spec.sender.tap.removeprefix("hidden[").removesuffix("]")))


def read_states(latent: Latent, states: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of a context's states, those of what was read: how its conversation began says nothing to another model."""
    return states[head_positions(latent.load()) :] if latent.space == CONTEXT else states


def _recovered(bridge: Bridge) -> float | None:
    """Lower end of the interval of what a bridge recovers, in the task where that is least; None without a card."""
    tasks = cast("Mapping[str, Mapping[str, Mapping[str, Any]]]", bridge.card.get("tasks", {}))
    lows = [float(channels["bridge"]["interval"][0]) for channels in tasks.values() if "bridge" in channels]
    return min(lows, default=None)


def _leads(bridge: Bridge, latent: Latent, reader: End | None) -> bool:
    sender, receiver = bridge.spec.sender, bridge.spec.receiver
    is_kind = sender.tap.startswith("hidden[") == (latent.space == CONTEXT)
    return is_kind and reader is not None and (sender.weights, receiver.weights) == (latent.weights, reader.weights)
