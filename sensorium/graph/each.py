"""A node with `each`: one call for each element of a list, also while the list is made."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from sensorium.errors import SensoriumError
from sensorium.events import NodeSkipped, NodeStarted
from sensorium.graph.answer import Answer, callee_of, tell_end, tell_failure
from sensorium.graph.fan import Fan
from sensorium.graph.feeds import inputs_of, missing_port, with_item
from sensorium.graph.flow import Read
from sensorium.graph.leaf import CallContext
from sensorium.graph.stream import Stream
from sensorium.parts import Part, Value
from sensorium.spec.checked import CheckedNode, Each
from sensorium.spec.wires import holds

__all__ = ["CallOnce", "Elements"]


class CallOnce(Protocol):
    """What stands within `each`: until, retry, timeout, the call, and `else` for all of them."""

    def __call__(
        self, node: CheckedNode, inputs: dict[str, Value], read: Read, context: CallContext
    ) -> Awaitable[Answer]: ...


@dataclass(frozen=True, slots=True)
class Elements:
    """The elements of one node's list, and what the node gives for them."""

    node: CheckedNode
    each: Each
    read: Read
    context: CallContext
    call: CallOnce

    def fan(self) -> Fan[Answer]:
        """Where the elements are worked on."""
        return Fan(self._one, self._pass_on)

    async def follow(self, stream: Stream, fan: Fan[Answer]) -> None:
        """Begins on elements as they come. How their calls end counts once the list is whole."""
        condition = self.node.condition
        if condition is not None and not holds(condition, self.read):
            return
        async with aclosing(stream.elements()) as elements:
            async for place, part in elements:
                if fan.began_s is None:
                    self.context.emit(NodeStarted(self.context.run, self.context.node, callee_of(self.node)))
                fan.begin(place, part)

    async def answer(self, fan: Fan[Answer]) -> Answer:
        """What the node gives, its list being whole: for each output a list, in the order of the elements.

        Raises:
            SensoriumError: That of the first element that failed.
        """
        items = self.read(self.each.wire)
        assert isinstance(items, tuple), "the checker lets only lists through"
        answers = await fan.answers(items)
        outputs: dict[str, Value] = {
            port: tuple(_element(answer.outputs[port]) for answer in answers) for port in self.node.outputs
        }
        instead = next((answer.instead for answer in answers if answer.instead), "")
        return Answer(outputs, bool(answers) and all(answer.cached for answer in answers), instead)

    async def _one(self, index: int, part: Part | None) -> Answer:
        node, context = self.node, self.context.item(index)
        nothing = Answer(dict.fromkeys(node.outputs), cached=True)
        if part is None:
            return nothing
        began_s = perf_counter()
        read_here = with_item(self.read, self.each.item, part)
        inputs = inputs_of(node, read_here)
        port = missing_port(inputs, node.signature)
        if port is not None:
            context.emit(NodeSkipped(context.run, context.node, f"its input {port} has nothing"))
            return nothing
        context.emit(NodeStarted(context.run, context.node, callee_of(node)))
        context.tally.take(inputs)
        try:
            answer = await self.call(node, inputs, read_here, context)
        except SensoriumError as error:
            tell_failure(error, node, context, perf_counter() - began_s)
            raise
        tell_end(answer, answer.outputs, node, context, perf_counter() - began_s)
        return answer

    def _pass_on(self, index: int, answer: Answer) -> None:
        """Tells those who follow the node of what one element gave."""
        for port, stream in self.context.streams.items():
            stream.put(index, _element(answer.outputs[port]))


def _element(value: Value) -> Part | None:
    assert not isinstance(value, tuple), "the checker refuses lists of lists"
    return value
