"""Leaf calls: one tool, called once, under a key that keeps its result."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

import msgspec

from sensorium.errors import DeadlineError, InternalError, ToolError
from sensorium.events import Event, ItemMade, NodeProgress, RunId
from sensorium.graph.clocks import counting
from sensorium.graph.lineage import Lineage
from sensorium.graph.options import Approver
from sensorium.graph.services import Services
from sensorium.graph.stream import Stream
from sensorium.graph.tally import Tally
from sensorium.host.contract import Binding, Done, Host, Item, Progress
from sensorium.parts import Part, Value, blobs_of, decode_values, encode_values, values_digest
from sensorium.spec.catalogue import ToolEntry
from sensorium.store import Store

__all__ = ["CallContext", "Outcome", "Placement", "call_key", "call_tool", "kept", "within"]

Made = TypeVar("Made")


class Placement(NamedTuple):
    """A tool, the host that it lives on, and what decides its results."""

    host: Host
    binding: Binding
    identity: str


@dataclass(frozen=True, slots=True)
class CallContext:
    """Where in a run a call is made, and what it may use. One `gate` and one `placed` serve the whole run.

    Whoever makes calls of another kind (to a language model) holds `gate` round each one, and never round a
    `call_tool`, which takes the gate itself.
    """

    run: RunId
    node: str
    """Path of the node: `cut`, `album/caption` within a sub-graph, `caption[3]` for an item of an `each`."""
    services: Services
    emit: Callable[[Event], None]
    """Tells who watches the run. Never raises."""
    gate: asyncio.Semaphore
    """Most calls at once in the run."""
    lineage: Lineage
    """Whose results the run goes on with."""
    round: str = "0"
    """Which round of `until` and which try of `retry` this is, sub-graphs' nodes after those of their node: part of
    every key, so that a repeated call is a call of its own."""
    approver: Approver | None = None
    """Who asks a person; None where nobody can be asked."""
    shows_plans: bool = False
    """Whether a person approves every plan before any of it is carried out."""
    placed: dict[tuple[str, str], Placement] = field(default_factory=dict[tuple[str, str], "Placement"])
    """Tools that this run has placed, by name and digest of their folder."""
    streams: Mapping[str, Stream] = field(default_factory=dict[str, "Stream"])
    """List outputs of the node that are followed while it is at work, by port."""
    tally: Tally = field(default_factory=Tally)
    """Counts what the node calls and moves."""
    agents: tuple[str, ...] = ()
    """The agents at work for whom the call is made, the outermost first."""

    @property
    def owner(self) -> Lineage:
        """The lineage of the run that the node's calls belong to: this one, or one that this one was forked from."""
        return self.lineage.owner(self.node)

    @property
    def seed(self) -> int | None:
        """Seed of the node's calls, part of every key."""
        return self.owner.seed

    def at(self, node: str, streams: Mapping[str, Stream] | None = None) -> CallContext:
        """The same, at the path of a node that lies in this one, whose list outputs are followed by `streams` alone."""
        return replace(self, node=node, streams=streams or {}, tally=Tally(self.tally))

    def item(self, index: int) -> CallContext:
        """The same, at one element of the node's `each`, whose outputs nobody follows."""
        return replace(self, node=f"{self.node}[{index}]", streams={}, tally=Tally(self.tally, is_item=True))

    def by(self, agent: str) -> CallContext:
        """The same, for what an agent calls, whose outputs are not the node's."""
        return replace(self, streams={}, agents=(*self.agents, agent))

    def pass_on(self, port: str, index: int, part: Part) -> None:
        """Tells of one element of a list output, as soon as it is there."""
        self.emit(ItemMade(self.run, self.node, port, part))
        if port in self.streams:
            self.streams[port].put(index, part)

    def in_round(self, number: int) -> CallContext:
        """The same, in a round within this one."""
        return replace(self, round=f"{self.round}.{number}")

    async def place(self, entry: ToolEntry) -> Placement:
        """The tool with its host, asked for once in a run.

        Raises:
            OperatorError: A checkpoint or environment is missing.
        """
        name = entry.spec.name, entry.digest
        if name not in self.placed:
            placed = await self.services.place(entry)
            self.placed[name] = Placement(placed.host, placed.binding, placed.binding.identity)
        return self.placed[name]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call gave."""

    outputs: dict[str, Value]
    """A value for each output port."""
    seconds: float
    """Time in the tool, or to find the kept result."""
    cached: bool
    """Whether a kept result was used."""
    key: str = ""
    """Where the outputs are kept; empty where they are not one call's."""


async def call_tool(
    context: CallContext,
    entry: ToolEntry,
    inputs: Mapping[str, Value],
    *,
    timeout_s: float | None = None,
    use_cache: bool = True,
) -> Outcome:
    """The tool's outputs: those kept from an equal call, else those of a call that is made now and then kept.

    The result is on the disk when this returns. Of equal calls at once one is made. A tool with effects, and any tool
    with `use_cache=False`, finds only what the same node made in the same run, or in the one whose node a fork keeps. A
    kept result whose media are gone counts for nothing. Progress goes to `context.emit`, list items to
    `context.pass_on`.

    Args:
        context: Where the call is made.
        entry: The tool.
        inputs: A value for each input port; an optional one may be missing.
        timeout_s: Seconds for the call, counted from when it may begin; the profile's limit where None.
        use_cache: Whether results may be shared between nodes and runs.

    Raises:
        CallerError: The tool refuses the input; LanguageError where it is a matter of language.
        ToolError: The tool failed; DeadlineError where it took too long.
        OperatorError: A checkpoint, the disk or a permission is missing.
    """
    began_s = perf_counter()
    placed = await context.place(entry)
    shared = use_cache and not entry.spec.effects
    key = call_key(context, f"tool {placed.identity}", dict(inputs), shared=shared)
    results = context.services.results
    async with results.flight(key):
        outputs = await kept(context, key)
        context.tally.count(is_kept=outputs is not None)
        if outputs is not None:
            return Outcome(outputs, perf_counter() - began_s, cached=True, key=key)
        async with context.gate:
            done = await within(timeout_s, _made(context, placed, inputs, key, timeout_s), context.node)
        await results.keep(key, _encoded(done.outputs, entry), run=context.run, node=context.node)
    return Outcome(done.outputs, done.seconds, cached=False, key=key)


def call_key(context: CallContext, callee: str, inputs: dict[str, Value], *, shared: bool) -> str:
    """SHA-256 of what decides a call's result.

    Args:
        context: Where the call is made; its seed and round count.
        callee: Identity of what is called: folder, checkpoints, runtime, device kind, parameters.
        inputs: Values of the input ports.
        shared: Whether other nodes and runs may use the result.
    """
    owner = "" if shared else f"{context.owner.run} {context.node}"
    lines = (callee, values_digest(inputs), str(context.seed), context.round, owner)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


async def kept(context: CallContext, key: str) -> dict[str, Value] | None:
    """The outputs kept under a key; None where there are none, or where their media are gone from the store.

    Raises:
        OperatorError: The database cannot be read, or let go of the run, or the disk takes no note that the media are
            in use.
    """
    results, owner = context.services.results, context.owner
    results.require_going_on(context.run)
    own = owner.fresh or owner is not context.lineage
    found = await results.find(key, runs=context.lineage.chain(context.node)) if own else []
    if not found and not owner.fresh:
        found = await results.find(key)
    wholes = (_whole(data, context.services.store) for data in found)
    return next((outputs for outputs in wholes if outputs is not None), None)


def _whole(data: bytes, store: Store) -> dict[str, Value] | None:
    try:
        outputs = decode_values(data, store)
    except msgspec.DecodeError:
        return None  # written by a version whose parts were others
    return outputs if all(store.hold(blob.digest) for blob in blobs_of(outputs)) else None


async def within(timeout_s: float | None, work: Coroutine[Any, Any, Made], node: str) -> Made:
    """What `work` makes, which is cancelled when the time is up. The time that a person takes does not count.

    Raises:
        DeadlineError: It took longer than `timeout_s`; another try may be quicker.
    """
    clock = asyncio.timeout(timeout_s)
    try:
        async with clock:
            with counting(clock):
                return await work
    except TimeoutError as error:
        if not clock.expired():
            raise
        raise DeadlineError(f"{node} took longer than its timeout of {timeout_s:g} s", can_retry=True) from error
    except DeadlineError as error:
        raise DeadlineError(str(error), can_retry=True) from error


def _encoded(outputs: dict[str, Value], entry: ToolEntry) -> bytes:
    try:
        return encode_values(outputs)
    except UnicodeEncodeError as error:
        raise ToolError(f"tool {entry.spec.name!r} gave text that is not Unicode: {error.reason}") from error


async def _made(
    context: CallContext, placed: Placement, inputs: Mapping[str, Value], key: str, timeout_s: float | None
) -> Done:
    num_items: Counter[str] = Counter()
    async for event in placed.host.call(placed.binding, inputs, key=key, deadline_s=timeout_s):
        match event:
            case Progress(share, note, is_loading):
                context.emit(NodeProgress(context.run, context.node, share, note, is_loading))
            case Item(port, part):
                context.pass_on(port, num_items[port], part)
                num_items[port] += 1
            case Done():
                return event
    raise InternalError(f"the host of tool {placed.binding.spec.name!r} ended a call without a result")
