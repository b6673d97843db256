"""What stands around a node's call. From outside in: when, approve, each, until, retry, timeout, call.

Each is a small function that ends in the next one. `else` answers for what stands within `each`.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from time import perf_counter
from typing import cast

from sensorium.errors import (
    AuthorError,
    InternalError,
    ModelError,
    PausedError,
    RefusedError,
    SensoriumError,
    ToolError,
)
from sensorium.events import NodeSkipped, NodeStarted
from sensorium.graph.answer import Answer, callee_of, tell_end, tell_failure
from sensorium.graph.approval import approved
from sensorium.graph.each import Elements
from sensorium.graph.feeds import fill, inputs_of, missing_port, with_item
from sensorium.graph.flow import Flow, Read, Source
from sensorium.graph.leaf import CallContext, Outcome, call_tool, within
from sensorium.graph.outcome import NodeOutcome, NodeStatus, nothing_from
from sensorium.graph.think import think
from sensorium.graph.tries import Tries
from sensorium.parts import Value, encode_values
from sensorium.spec.check import check
from sensorium.spec.checked import CalleeKind, Checked, CheckedNode, ElseCall, ElseValue
from sensorium.spec.ports import Signature
from sensorium.spec.read import GraphSource
from sensorium.spec.wires import SelfWire, Wire, holds

__all__ = ["Control"]

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 30.0


class Control:
    """Carries out nodes of one run."""

    def __init__(self) -> None:
        self._checked: dict[str, Checked] = {}

    async def settle(
        self, node: CheckedNode, read: Read, context: CallContext, source: Source | None = None
    ) -> NodeOutcome:
        """How the node ended. Raises nothing but a cancellation.

        Args:
            node: What is carried out.
            read: Reads what it depends on; the list that `source` brings, once that has ended.
            context: Where in the run the node is.
            source: The list of its `each`, where that is still being made.
        """
        if node.each is None:
            inputs = inputs_of(node, read)
            return await self._settled(
                node, inputs, read, context, lambda given: self._answer(node, given, read, context)
            )
        elements = Elements(node, node.each, read, context, self._answer)
        async with elements.fan() as fan:
            if source is not None:
                await elements.follow(source.stream, fan)
                broken = await source.ended()
                if broken is not None:
                    return broken
            return await self._settled(node, {}, read, context, lambda _: elements.answer(fan), fan.began_s)

    async def _settled(
        self,
        node: CheckedNode,
        inputs: dict[str, Value],
        read: Read,
        context: CallContext,
        answered: Callable[[dict[str, Value]], Awaitable[Answer]],
        begun_s: float | None = None,
    ) -> NodeOutcome:
        why = self._why_not(node, inputs, read)
        if why:
            context.emit(NodeSkipped(context.run, context.node, why))
            return nothing_from(node, why)
        began_s = perf_counter() if begun_s is None else begun_s
        try:
            if node.spec.approve is True:
                inputs = await _approved(node, inputs, read, context)
            if begun_s is None:
                began_s = perf_counter()
                context.emit(NodeStarted(context.run, context.node, callee_of(node)))
            context.tally.take(inputs)
            answer = await answered(inputs)
            outputs = {port: answer.outputs.get(port) for port in node.outputs}
            key = answer.key or await _keep(outputs, context)
        except Exception as error:
            return _failed(_first(error), node, context, perf_counter() - began_s)
        seconds = perf_counter() - began_s
        tell_end(answer, outputs, node, context, seconds)
        return NodeOutcome(
            "done", outputs, seconds, answer.cached, answer.instead, key=key, figures=context.tally.figures(outputs)
        )

    def _why_not(self, node: CheckedNode, inputs: Mapping[str, Value], read: Read) -> str:
        """Why the node is not called, empty where it is."""
        if node.condition is not None and not holds(node.condition, read):
            return f"{node.condition} does not hold"
        if node.each is not None:
            return f"{node.each.wire} brings no list" if read(node.each.wire) is None else ""
        port = missing_port(inputs, node.signature)
        return f"its input {port} has nothing" if port is not None else ""

    async def _answer(self, node: CheckedNode, inputs: dict[str, Value], read: Read, context: CallContext) -> Answer:
        """What the node gives for one element, or its stand-in where it fails."""
        try:
            return await self._until(node, inputs, read, context)
        except (PausedError, RefusedError, InternalError, AuthorError):
            raise
        except SensoriumError as error:
            if node.stand_in is None:
                raise
            if isinstance(node.stand_in, ElseValue):
                values = fill(node.stand_in.outputs, Signature(node.signature.outputs, {}), read)
                return Answer(values, cached=False, instead=str(error))
            outcome = await self._stand_in(node, node.stand_in, read, context)
            return Answer(outcome.outputs, outcome.cached, instead=str(error))

    async def _stand_in(self, node: CheckedNode, instead: ElseCall, read: Read, context: CallContext) -> Outcome:
        inputs = fill(instead.feeds, instead.signature, read)
        port = missing_port(inputs, instead.signature)
        if port is not None:
            raise ToolError(
                f"{context.node} failed, and its stand-in cannot: input {port} of {instead.callee} has nothing"
            )
        return await self._call(instead.kind, instead.callee, inputs, node, context)

    async def _until(self, node: CheckedNode, inputs: dict[str, Value], read: Read, context: CallContext) -> Answer:
        if node.until is None:
            return await self._tries(node, inputs, context)
        for number in range(1, node.until.at_most + 1):
            answer = await self._tries(node, inputs, context.in_round(number))
            if holds(node.until.condition, partial(_own, answer.outputs, read)):
                return answer
            inputs = inputs | {port: answer.outputs.get(source) for port, source in node.until.carry.items()}
        raise ToolError(
            f"{context.node}: {node.until.condition} did not hold after {node.until.at_most} rounds; "
            "at_most allows more"
        )

    async def _tries(self, node: CheckedNode, inputs: dict[str, Value], context: CallContext) -> Answer:
        tries = Tries(context, inputs)
        first = tried = await tries.begun() if node.spec.retry else 0
        while True:
            try:
                here = context.in_round(tried) if tried else context
                outcome = await self._call(node.kind, node.callee, inputs, node, here)
                return Answer(outcome.outputs, outcome.cached, key=outcome.key)
            except SensoriumError as error:
                if tried - first == node.spec.retry or not error.can_retry:
                    raise
            tried += 1
            await tries.begin(tried)
            await asyncio.sleep(_pause_s(tried - first))

    async def _call(
        self, kind: CalleeKind, callee: str, inputs: dict[str, Value], node: CheckedNode, context: CallContext
    ) -> Outcome:
        catalogue = context.services.catalogue
        timeout_s = node.spec.timeout
        if kind == "tool":
            use_cache = node.spec.cache == "on"
            return await call_tool(context, catalogue.tools[callee], inputs, timeout_s=timeout_s, use_cache=use_cache)
        began_s = perf_counter()
        if kind == "agent":
            shows_plan = node.spec.approve == "plan"
            entry, wires = catalogue.agents[callee], node.spec.wire
            thought = think(context, entry, inputs, self.settle, shows_plan=shows_plan, wires=wires)
            outputs = await within(timeout_s, thought, context.node)
            return Outcome(outputs, perf_counter() - began_s, cached=False)
        return await within(timeout_s, self._subgraph(callee, inputs, context), context.node)

    async def _subgraph(self, name: str, inputs: dict[str, Value], context: CallContext) -> Outcome:
        """What a graph gives that is called as a node: the same dataflow, within the node's own task."""
        began_s = perf_counter()
        if name not in self._checked:
            catalogue = context.services.catalogue
            self._checked[name] = check(GraphSource(catalogue.graphs[name].spec), catalogue).require()
        flow = Flow(self._checked[name], inputs, context, self.settle)
        outcomes = await flow.carry_out()
        for outcome in outcomes.values():
            if outcome.error is not None:
                raise outcome.error
        return Outcome(
            flow.outputs(),
            perf_counter() - began_s,
            all(one.cached or one.status == "skipped" for one in outcomes.values()),
        )


async def _approved(node: CheckedNode, inputs: dict[str, Value], read: Read, context: CallContext) -> dict[str, Value]:
    """The inputs of a call that a person approved; of an `each`, which is approved for its whole list, as they are."""
    if node.each is None:
        return await approved(context, context.node, callee_of(node), inputs, node.signature.inputs)
    shared = inputs_of(node, with_item(read, node.each.item, None))
    shown = {port: value for port, value in shared.items() if value is not None}
    await approved(context, context.node, callee_of(node), {**shown, f"${node.each.item}": read(node.each.wire)}, {})
    return inputs


async def _keep(outputs: dict[str, Value], context: CallContext) -> str:
    """Keeps what a node gave that was more than one call's; returns the key."""
    key = hashlib.sha256(f"node {context.run} {context.node} {context.round}".encode()).hexdigest()
    try:
        value = encode_values(outputs)
    except UnicodeEncodeError as error:
        raise ModelError(f"{context.node} gave text that is not Unicode: {error.reason}") from error
    await context.services.results.keep(key, value, run=context.run, node=context.node)
    return key


def _own(outputs: Mapping[str, Value], read: Read, wire: Wire) -> Value:
    return outputs.get(wire.port) if isinstance(wire, SelfWire) else read(wire)


def _pause_s(tried: int) -> float:
    """Seconds before another try: twice as long each time, up to half of it by lot, so that not all come at once."""
    longest = min(_FIRST_PAUSE_S * 2.0 ** (tried - 1), _LONGEST_PAUSE_S)
    return longest * (0.5 + random.random() / 2)


def _first(error: Exception) -> SensoriumError:
    """The error itself, the first of a group, or our own fault where nobody raised it on purpose."""
    if isinstance(error, ExceptionGroup):
        return _first(cast("ExceptionGroup[Exception]", error).exceptions[0])
    if isinstance(error, SensoriumError):
        return error
    ours = InternalError(f"{type(error).__name__}: {error}")
    ours.__cause__ = error
    return ours


def _failed(error: SensoriumError, node: CheckedNode, context: CallContext, seconds: float) -> NodeOutcome:
    tell_failure(error, node, context, seconds)
    status: NodeStatus = (
        "paused" if isinstance(error, PausedError) else "refused" if isinstance(error, RefusedError) else "failed"
    )
    return NodeOutcome(status, {}, seconds, error=error, figures=context.tally.figures({}))
