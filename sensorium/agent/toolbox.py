"""What an agent may call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sensorium.agent.task import Call
from sensorium.errors import Fault
from sensorium.parts import Value
from sensorium.spec.calls import Called
from sensorium.spec.catalogue import Catalogue
from sensorium.spec.graph import GraphSpec
from sensorium.spec.ports import Signature

__all__ = ["Card", "Toolbox", "card_of"]


@dataclass(frozen=True, slots=True)
class Card:
    """A tool, another agent or a graph, as an agent sees it."""

    name: str
    about: str
    signature: Signature
    follows: frozenset[str] | None = None
    """Tools whose outputs its inputs may take, beside what came with the request; None for any whose types fit."""
    kind: Literal["tool", "agent", "graph"] = "tool"


def card_of(called: Called, catalogue: Catalogue) -> Card:
    """The card of something that is in a catalogue."""
    kind, name = called
    if kind == "tool":
        tool = catalogue.tools[name].spec
        return Card(name, tool.about, tool.signature)
    if kind == "agent":
        agent = catalogue.agents[name].spec
        return Card(name, agent.about, agent.signature, kind="agent")
    graph = catalogue.graphs[name]
    return Card(name, graph.spec.about or f"The graph {name}.", graph.signature, kind="graph")


class Toolbox(Protocol):
    """The tools, agents and graphs that an agent may call. Nothing that one of them says changes what is in it."""

    @property
    def cards(self) -> tuple[Card, ...]:
        """What may be called, in an order that never changes."""
        ...

    async def call(self, name: str, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """What a call gave: a value for each output port.

        Raises:
            CallerError: What is called refuses the input.
            ToolError: It failed.
            OperatorError: Something that it needs is missing.
            RefusedError: A person refused the call.
            PausedError: The call waits for a person.
            AuthorError: Too many agents would work for each other.
        """
        ...

    def check(self, plan: GraphSpec) -> Sequence[Fault]:
        """Everything that is wrong with a plan: what the checker finds, with nothing to call but the cards."""
        ...

    async def approved(self, plan: GraphSpec) -> GraphSpec:
        """The plan that a person approved: this one, or what the person made of it.

        Raises:
            RefusedError: The person refused.
            PausedError: It waits for a person.
            AuthorError: What the person made of it has faults; all of them.
            CallerError: What the person gave is no text, or what is kept of the answer is damaged.
            OperatorError: What was answered cannot be read or written.
        """
        ...

    async def carry_out(self, plan: GraphSpec, inputs: Mapping[str, Value]) -> list[Call]:
        """What became of each call of a plan without faults, in its order.

        Args:
            plan: The plan.
            inputs: What came with the request.

        Raises:
            AuthorError: The plan has faults; nothing was called.
            PausedError: A call waits for a person.
        """
        ...

    def tell_plan(self, plan: GraphSpec | None, faults: Sequence[Fault] = ()) -> None:
        """Tells whoever watches of a plan: what was called, or why it is refused; None where a reply held none."""
        ...
