"""A list as it grows: its elements in the order in which their maker gives them, for whoever follows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from itertools import count
from typing import NamedTuple

from sensorium.parts import Part

__all__ = ["Element", "Stream"]


class Element(NamedTuple):
    """What stands at one place of the list."""

    place: int
    """Counted from 0."""
    part: Part | None


class Stream:
    """One list output while its node is at work. Any number of followers read it, each from the beginning.

    What is told here may turn out otherwise: a call that is made again tells its elements anew. The outputs that the
    node ends with decide. Used in one event loop.
    """

    def __init__(self) -> None:
        self._told: list[Element] = []
        self._is_closed = False
        self._changed = asyncio.Event()

    def put(self, place: int, part: Part | None) -> None:
        """Tells what stands at a place, whatever was told of it before."""
        self._told.append(Element(place, part))
        self._wake()

    def close(self) -> None:
        """Ends the stream, the node having ended, well or not."""
        self._is_closed = True
        self._wake()

    async def elements(self) -> AsyncGenerator[Element]:
        """Everything that is told, waited for, until the stream is closed."""
        for number in count():
            while number == len(self._told):
                if self._is_closed:
                    return
                await self._changed.wait()
            yield self._told[number]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
