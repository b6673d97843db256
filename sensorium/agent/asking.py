"""Asks of a language model, and what is made of its replies."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, cast

from sensorium.errors import ModelError
from sensorium.model.contract import Ask, Model, ModelEvent, Piece, Preparing, Reply
from sensorium.parts import Flag, Number, Text, Value
from sensorium.spec.ports import PortType

__all__ = ["parts_of", "reply_to", "silent", "write"]


def silent(*_: object) -> None:
    """Tells nobody."""


async def reply_to(model: Model, ask: Ask, tell: Callable[[str], None] = silent) -> Reply:
    """The reply; `tell` hears it piece by piece.

    Raises:
        ModelError: The model failed.
        CallerError: The messages do not fit into its context.
        OperatorError: It is missing.
    """
    async with aclosing(cast("AsyncGenerator[ModelEvent, None]", model.ask(ask))) as events:
        async for event in events:
            match event:
                case Piece(text):
                    tell(text)
                case Reply():
                    return event
                case Preparing():
                    pass
    raise ModelError("the model ended without a reply")


async def write(model: Model, ask: Ask, ports: Mapping[str, PortType]) -> dict[str, Value]:
    """What the model writes into ports.

    Raises:
        ModelError: It wrote something else; a reply that its limit of tokens cut off is no JSON.
    """
    reply = await reply_to(model, ask)
    try:
        return parts_of(json.loads(reply.text), ports)
    except (ValueError, RecursionError) as error:
        raise _unwritten(reply.text, ports) from error


def parts_of(written: Any, ports: Mapping[str, PortType]) -> dict[str, Value]:
    """What a model's JSON says for ports.

    Raises:
        ModelError: It says nothing, or something else, for one of them.
    """
    try:
        return {port: _part(written[port], kind) for port, kind in ports.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise _unwritten(json.dumps(written), ports) from error


def _unwritten(text: str, ports: Mapping[str, PortType]) -> ModelError:
    return ModelError(f"the model wrote {text!r} where JSON with {', '.join(ports)} was asked")


def _part(value: object, kind: PortType) -> Value:
    match kind.kind, value:
        case _, None if kind.is_optional:
            return None
        case "text", str():
            return Text(value)
        case "flag", bool():
            return Flag(value)
        case "number", int() | float() if not isinstance(value, bool):
            return Number(float(value))
        case _:
            raise ValueError(f"{value!r} is no {kind}")
