"""What an agent of a run may call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from sensorium.agent.task import Call
from sensorium.agent.toolbox import Card, card_of
from sensorium.errors import DeadlineError, Fault, ModelError, PausedError, SensoriumError, ToolError
from sensorium.events import ToolCalled
from sensorium.graph.approval import approved
from sensorium.graph.flow import Settle
from sensorium.graph.inner import InnerCalls
from sensorium.graph.leaf import CallContext, Outcome, call_tool
from sensorium.graph.plans import RunPlans
from sensorium.graph.tally import num_bytes
from sensorium.parts import Value, blobs_of
from sensorium.spec.calls import Called, acts_unasked
from sensorium.spec.catalogue import AgentEntry, Catalogue, ToolEntry
from sensorium.spec.check_agent import callees_of_agent
from sensorium.spec.graph import GraphSpec

__all__ = ["RunToolbox"]


@dataclass(frozen=True, slots=True)
class RunToolbox:
    """What an agent's file names: tools as leaf calls of the run, agents and graphs as nodes below the agent's own.

    See `sensorium.agent.Toolbox`.
    """

    context: CallContext
    catalogue: Catalogue
    """What the agent may call, and nothing else."""
    cards: tuple[Card, ...]
    """The same, as the agent's file orders it."""
    plans: RunPlans
    inner: InnerCalls

    @classmethod
    def of(cls, context: CallContext, entry: AgentEntry, settle: Settle) -> RunToolbox:
        """The toolbox of an agent.

        Raises:
            AuthorError: Its file names what is not there, what is several things, or what calls the agent itself.
        """
        catalogue = context.services.catalogue
        own, known = context.by(entry.spec.name), callees_of_agent(entry, catalogue)
        within = _restricted(catalogue, known)
        plans = RunPlans(own, within, entry.spec.limits.steps, settle)
        return cls(own, within, tuple(card_of(one, within) for one in known), plans, InnerCalls(own, settle))

    async def call(self, name: str, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """What a call gave. Whoever watches is told of it, however it ends."""
        card = next(card for card in self.cards if card.name == name)
        return await (self._call_tool(name, inputs) if card.kind == "tool" else self._call_inner(card, inputs))

    async def _call_tool(self, name: str, inputs: Mapping[str, Value]) -> dict[str, Value]:
        context, began_s = self.context, perf_counter()
        told = ToolCalled(context.run, context.node, name, "failed", bytes_in=num_bytes(blobs_of(inputs)))
        try:
            outcome = await self._called(self.catalogue.tools[name], await self._approved(name, inputs))
        except PausedError:
            raise
        except SensoriumError as error:
            context.emit(replace(told, message=str(error), seconds=perf_counter() - began_s, kind=error.kind))
            raise
        context.emit(
            replace(
                told,
                status="done",
                outputs=outcome.outputs,
                seconds=perf_counter() - began_s,
                cached=outcome.cached,
                bytes_out=num_bytes(blobs_of(outcome.outputs)),
            )
        )
        return outcome.outputs

    def check(self, plan: GraphSpec) -> Sequence[Fault]:
        """Everything that is wrong with a plan."""
        return self.plans.check(plan)

    async def approved(self, plan: GraphSpec) -> GraphSpec:
        """The plan that a person approved."""
        return await self.plans.approved(plan)

    async def carry_out(self, plan: GraphSpec, inputs: Mapping[str, Value]) -> list[Call]:
        """What became of each call of a plan."""
        return await self.plans.carry_out(plan, inputs)

    def tell_plan(self, plan: GraphSpec | None, faults: Sequence[Fault] = ()) -> None:
        """Tells whoever watches of a plan."""
        self.plans.tell(plan, faults)

    async def _called(self, entry: ToolEntry, inputs: Mapping[str, Value]) -> Outcome:
        """What the tool gives, at the second try where the first failed in a way that can pass.

        The model hears of what lies with the tool, and not that a process was ended from outside. What acts on the
        world is not called again unasked.
        """
        try:
            return await call_tool(self.context, entry, inputs)
        except SensoriumError as error:
            if entry.spec.effects or not error.can_retry or isinstance(error, DeadlineError):
                raise
        return await call_tool(self.context, entry, inputs)

    async def _approved(self, name: str, inputs: Mapping[str, Value]) -> Mapping[str, Value]:
        """A tool that acts on the world asks a person, unless the profile allows it."""
        if not self._asks("tool", name):
            return inputs
        types = self.catalogue.tools[name].spec.signature.inputs
        return await approved(self.context, name, f"tool {name}", inputs, types)

    async def _call_inner(self, card: Card, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """What another agent or a graph gave.

        Raises:
            ToolError: It failed; also where the model that it asked did, which is its own affair.
        """
        outcome = await self.inner.outcome(card, inputs, asks=self._asks(card.kind, card.name))
        if isinstance(outcome.error, ModelError):
            raise ToolError(f"{card.kind} {card.name} failed: {outcome.error}") from outcome.error
        if outcome.error is not None:
            raise outcome.error
        return outcome.outputs

    def _asks(self, kind: str, name: str) -> bool:
        services = self.context.services
        return acts_unasked((kind, name), services.catalogue, services.allowed)


def _restricted(catalogue: Catalogue, known: Sequence[Called]) -> Catalogue:
    """Nothing but what an agent may call."""
    return Catalogue(
        {name: catalogue.tools[name] for kind, name in known if kind == "tool"},
        {name: catalogue.agents[name] for kind, name in known if kind == "agent"},
        {name: catalogue.graphs[name] for kind, name in known if kind == "graph"},
    )
