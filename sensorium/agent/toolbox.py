"""What an agent may call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sensorium.parts import Value
from sensorium.spec.ports import Signature

__all__ = ["Card", "Toolbox"]


@dataclass(frozen=True, slots=True)
class Card:
    """A tool as an agent sees it."""

    name: str
    about: str
    signature: Signature


class Toolbox(Protocol):
    """The tools that an agent may call. Nothing that a tool says changes what is in it."""

    @property
    def cards(self) -> tuple[Card, ...]:
        """The tools, in an order that never changes."""
        ...

    async def call(self, name: str, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """A tool's outputs.

        Raises:
            CallerError: The tool refuses the input.
            ToolError: The tool failed.
            OperatorError: Something that the tool needs is missing.
            RefusedError: A person refused the call.
            PausedError: The call waits for a person.
        """
        ...
