"""The dataflow of one graph: each node begins when everything that it depends on is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from sensorium.graph.leaf import CallContext
from sensorium.graph.outcome import NodeOutcome
from sensorium.parts import Value
from sensorium.spec.checked import Checked, CheckedNode
from sensorium.spec.wires import InputWire, NodeWire, Wire

__all__ = ["Flow", "Read", "Settle"]

Read: TypeAlias = Callable[[Wire], Value]
"""What a wire brings."""

Settle: TypeAlias = Callable[[CheckedNode, Read, CallContext], Awaitable[NodeOutcome]]
"""Carries out one node whose dependencies are there. Raises nothing but a cancellation."""


class Flow:
    """One graph in the course of one run. Made and used in one event loop.

    Args:
        checked: The graph, without faults.
        inputs: A value for each input of the graph; an optional one may be missing.
        context: Where in the run the graph is called; its nodes lie below `context.node`.
        settle: Carries out nodes.
    """

    def __init__(self, checked: Checked, inputs: Mapping[str, Value], context: CallContext, settle: Settle) -> None:
        self.checked = checked
        self.context = context
        self._inputs = inputs
        self._settle = settle
        loop = asyncio.get_running_loop()
        self._ended: dict[str, asyncio.Future[NodeOutcome]] = {name: loop.create_future() for name in checked.order}

    async def node(self, name: str) -> NodeOutcome:
        """How a node ended, waited for and carried out here; called once for each node.

        Waiting is for whole sets of futures that others wait for too, so it must not cancel them: `asyncio.wait`.
        """
        node = self.checked.nodes[name]
        if node.dependencies:
            await asyncio.wait([self._ended[dependency] for dependency in node.dependencies])
        outcome = self._broken(node) or await self._settle(node, self.read, self.context.at(self.path(name)))
        self._ended[name].set_result(outcome)
        return outcome

    def path(self, name: str) -> str:
        """Path of a node in the run."""
        return f"{self.context.node}/{name}" if self.context.node else name

    def read(self, wire: Wire) -> Value:
        """What a wire brings, its node having ended. `$item` and `$self` are read within their node, not here."""
        match wire:
            case InputWire(port):
                return self._inputs.get(port)
            case NodeWire(name, port):
                return self._ended[name].result().outputs.get(port)
            case _:
                raise AssertionError(f"{wire} means something within its node alone")

    async def carry_out(self) -> dict[str, NodeOutcome]:
        """How every node ended, in the graph's order. A node that fails stops only what depends on it."""
        async with asyncio.TaskGroup() as group:
            for name in self.checked.order:
                group.create_task(self.node(name))
        return self.outcomes()

    def outcomes(self) -> dict[str, NodeOutcome]:
        """How the nodes ended that have, in the graph's order."""
        return {name: future.result() for name, future in self._ended.items() if future.done()}

    def outputs(self) -> dict[str, Value]:
        """A value for each output of the graph, None where its node gave nothing."""
        ended = self.outcomes()
        return {
            port: self.read(feed.wire) if not isinstance(feed.wire, NodeWire) or feed.wire.node in ended else None
            for port, feed in self.checked.outputs.items()
        }

    def _broken(self, node: CheckedNode) -> NodeOutcome | None:
        """The outcome of a node that depends on one which gave nothing."""
        for name in node.dependencies:
            before = self._ended[name].result()
            if not before.has_outputs:
                return NodeOutcome("cancelled", {}, why=f"{self.path(name)} gave nothing", error=before.error)
        return None
