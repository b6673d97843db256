"""Agents and graphs that an agent of a run calls: nodes below the agent's own, carried out as every node is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sensorium.agent.toolbox import Card
from sensorium.graph.answer import tell_call
from sensorium.graph.flow import Settle
from sensorium.graph.leaf import CallContext
from sensorium.graph.outcome import NodeOutcome
from sensorium.parts import Value
from sensorium.spec.checked import CheckedNode, LiteralFeed
from sensorium.spec.graph import NodeSpec
from sensorium.spec.names import free_name
from sensorium.spec.wires import Wire

__all__ = ["InnerCalls"]


@dataclass(frozen=True, slots=True)
class InnerCalls:
    """Calls that one agent makes of other agents and of graphs, one after the other."""

    context: CallContext
    """Where the agent's own node is."""
    settle: Settle
    """Carries out nodes of the run."""
    taken: set[str] = field(default_factory=set[str])
    """Names of the nodes so far. A second call of the same agent is a node of its own, with keys of its own."""

    async def outcome(self, card: Card, inputs: Mapping[str, Value], *, asks: bool) -> NodeOutcome:
        """How a call ended. Whoever watches is told of it as a node, and as a call of the agent.

        Args:
            card: What is called.
            inputs: A value for each input port; an optional one may be missing.
            asks: Whether a person must approve it first.
        """
        name = self._name(card.name)
        context = self.context.at(f"{self.context.node}/{name}")
        node = _node(name, card, inputs, asks=asks)
        outcome = await self.settle(node, _no_wire, context)
        tell_call(self.context, node, outcome)
        return outcome

    def _name(self, callee: str) -> str:
        name = free_name(callee.rpartition("/")[2], self.taken)
        self.taken.add(name)
        return name


def _node(name: str, card: Card, inputs: Mapping[str, Value], *, asks: bool) -> CheckedNode:
    types = card.signature.inputs
    spec: dict[str, Any] = {card.kind: card.name, "approve": asks}
    return CheckedNode(
        name=name,
        spec=NodeSpec.model_validate(spec),
        kind=card.kind,
        callee=card.name,
        signature=card.signature,
        feeds={port: LiteralFeed(value, types[port]) for port, value in inputs.items()},
        dependencies=(),
        outputs=card.signature.outputs,
    )


def _no_wire(wire: Wire) -> Value:
    raise AssertionError(f"{wire} is read by a call that has its values already")
