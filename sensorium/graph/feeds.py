"""What a node's ports are fed with, once everything that it depends on is there."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sensorium.graph.flow import Read
from sensorium.parts import Latent, Part, Text, Value
from sensorium.spec.checked import CheckedNode, Feed, ListFeed, LiteralFeed
from sensorium.spec.ports import Signature
from sensorium.spec.wires import ItemWire

__all__ = ["fill", "inputs_of", "missing_port", "with_item"]


def inputs_of(node: CheckedNode, read: Read) -> dict[str, Value]:
    """A value for each input port of a node's callee, Nones for those that nothing feeds."""
    inputs = fill(node.feeds, node.signature, read)
    for port, wire in node.twins.items():
        latent, twin = inputs.get(port), read(wire)
        if isinstance(latent, Latent) and latent.twin is None and isinstance(twin, Text):
            inputs[port] = msgspec.structs.replace(latent, twin=twin.value)
    return inputs


def fill(feeds: Mapping[str, Feed], signature: Signature, read: Read) -> dict[str, Value]:
    """A value for each input port of `signature`, Nones for those that nothing feeds."""
    return {port: _value(feeds[port], read) if port in feeds else None for port in signature.inputs}


def missing_port(inputs: Mapping[str, Value], signature: Signature) -> str | None:
    """The first port that a call cannot do without and that has nothing."""
    required = (port for port, kind in signature.inputs.items() if not kind.is_optional)
    return next((port for port in required if inputs.get(port) is None), None)


def with_item(read: Read, name: str, item: Part | None) -> Read:
    """The same, where `$name` is an element of a list; None for none in particular."""
    here = ItemWire(name)
    return lambda wire: item if wire == here else read(wire)


def _value(feed: Feed, read: Read) -> Value:
    if isinstance(feed, LiteralFeed):
        return feed.value
    if not isinstance(feed, ListFeed):
        return read(feed.wire)
    items: list[Part | None] = []
    for item in feed.items:
        value = _value(item, read)
        if value is None or isinstance(value, tuple):
            return None
        items.append(value)
    return tuple(items)
