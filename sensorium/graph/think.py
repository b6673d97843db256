"""An agent at work in a run."""

from __future__ import annotations

from sensorium.errors import ModelError
from sensorium.graph.leaf import CallContext
from sensorium.parts import Value
from sensorium.spec.catalogue import AgentEntry

__all__ = ["think"]


async def think(context: CallContext, entry: AgentEntry, inputs: dict[str, Value]) -> dict[str, Value]:
    """The agent's outputs.

    Raises:
        ModelError: Nothing here can carry out an agent.
    """
    raise ModelError(f"{context.node}: agent {entry.spec.name} cannot be asked")
