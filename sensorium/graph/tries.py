"""How far the tries of a node with `retry` have come, on the disk before the next one begins.

A run that goes on begins with the try that it had come to: what that try, and no other, has kept is found under its
round, and an earlier one that failed is not made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from sensorium.graph.leaf import CallContext
from sensorium.parts import Number, Value, decode_values, encode_values, values_digest

__all__ = ["Tries"]

_TRY = "try"


@dataclass(frozen=True, slots=True)
class Tries:
    """The tries of one call of a node."""

    context: CallContext
    inputs: Mapping[str, Value]

    async def begun(self) -> int:
        """Number of the try that the run, or the one that it was forked from, began last; 0 for the first.

        Raises:
            OperatorError: The database cannot be read.
        """
        services, runs = self.context.services, self.context.lineage.chain(self.context.node)
        for value in await services.results.find(self._key, runs=runs):
            number = decode_values(value, services.store)[_TRY]
            assert isinstance(number, Number), "nothing else is kept under this key"
            return int(number.value)
        return 0

    async def begin(self, number: int) -> None:
        """Writes down that a try begins.

        Raises:
            OperatorError: The database cannot be written.
        """
        value = encode_values({_TRY: Number(number)})
        await self.context.services.results.keep(self._key, value, run=self.context.run, node=self.context.node)

    @property
    def _key(self) -> str:
        lines = ("tries", self.context.node, self.context.round, values_digest(dict(self.inputs)))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
