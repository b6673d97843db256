"""The dataflow of one graph: each node begins when what it depends on is there.

What it depends on is whole, but for the list of an `each`, which it may follow while the list is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

from sensorium.graph.early import followed_list
from sensorium.graph.leaf import CallContext
from sensorium.graph.outcome import NodeOutcome
from sensorium.graph.stream import Stream
from sensorium.parts import Value
from sensorium.spec.checked import Checked, CheckedNode
from sensorium.spec.wires import InputWire, NodeWire, Wire

__all__ = ["Flow", "Read", "Settle", "Source"]

Read: TypeAlias = Callable[[Wire], Value]
"""What a wire brings."""


@dataclass(frozen=True, slots=True)
class Source:
    """The list of a node's `each` while the list is made."""

    stream: Stream
    ended: Callable[[], Awaitable[NodeOutcome | None]]
    """Waits until the node that makes the list has ended, and the whole can be read. Where it gave nothing: how the
    node that follows it ends."""


class Settle(Protocol):
    """Carries out one node whose dependencies are there, but for its `source`. Raises nothing but a cancellation."""

    def __call__(
        self, node: CheckedNode, read: Read, context: CallContext, source: Source | None = None
    ) -> Awaitable[NodeOutcome]: ...


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
        catalogue = context.services.catalogue
        followed = {name: followed_list(node, checked.nodes, catalogue) for name, node in checked.nodes.items()}
        self._followed = {name: wire for name, wire in followed.items() if wire is not None}
        self._streams: dict[str, dict[str, Stream]] = {}
        for wire in set(self._followed.values()):
            self._streams.setdefault(wire.node, {})[wire.port] = Stream()

    async def node(self, name: str) -> NodeOutcome:
        """How a node ended, waited for and carried out here; called once for each node."""
        streams = self._streams.get(name, {})
        context = self.context.at(self.path(name), streams)
        outcome = await self._outcome(self.checked.nodes[name], context)
        self._ended[name].set_result(outcome)
        for stream in streams.values():
            stream.close()
        return outcome

    async def _outcome(self, node: CheckedNode, context: CallContext) -> NodeOutcome:
        wire = self._followed.get(node.name)
        if wire is not None:
            others = [name for name in node.dependencies if name != wire.node]
            if await self._broken(others) is None:
                source = Source(self._streams[wire.node][wire.port], partial(self._broken, node.dependencies))
                return await self._settle(node, self.read, context, source)
        return await self._broken(node.dependencies) or await self._settle(node, self.read, context)

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

    async def _broken(self, dependencies: Iterable[str]) -> NodeOutcome | None:
        """Waits for nodes; the outcome of one that depends on them where one of them gave nothing.

        Waiting is for whole sets of futures that others wait for too, so it must not cancel them: `asyncio.wait`.
        """
        if waited := [self._ended[name] for name in dependencies]:
            await asyncio.wait(waited)
        for name in dependencies:
            before = self._ended[name].result()
            if not before.has_outputs:
                return NodeOutcome("cancelled", {}, why=f"{self.path(name)} gave nothing", error=before.error)
        return None
