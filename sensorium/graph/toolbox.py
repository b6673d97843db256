"""What an agent of a run may call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from sensorium.agent.task import Call
from sensorium.agent.toolbox import Card
from sensorium.errors import AuthorError, DeadlineError, Fault, PausedError, SensoriumError
from sensorium.events import ToolCalled
from sensorium.graph.approval import approved
from sensorium.graph.flow import Settle
from sensorium.graph.leaf import CallContext, Outcome, call_tool
from sensorium.graph.plans import RunPlans
from sensorium.graph.tally import num_bytes
from sensorium.parts import Value, blobs_of
from sensorium.spec.catalogue import AgentEntry, Catalogue, ToolEntry
from sensorium.spec.graph import GraphSpec

__all__ = ["RunToolbox"]


@dataclass(frozen=True, slots=True)
class RunToolbox:
    """The tools that an agent's file names, as leaf calls of the run. See `sensorium.agent.Toolbox`."""

    context: CallContext
    entries: Mapping[str, ToolEntry]
    plans: RunPlans

    @classmethod
    def of(cls, context: CallContext, entry: AgentEntry, settle: Settle) -> RunToolbox:
        """The toolbox of an agent.

        Raises:
            AuthorError: Its file names a tool that is not there.
        """
        tools = context.services.catalogue.tools
        missing = [name for name in entry.spec.tools if name not in tools]
        if missing:
            raise AuthorError(
                f"agent {entry.spec.name!r} names the tool {missing[0]!r}, which is not there; "
                f"tools here: {', '.join(sorted(tools))}"
            )
        own, entries = context.unfollowed(), {name: tools[name] for name in entry.spec.tools}
        return cls(own, entries, RunPlans(own, Catalogue(entries), entry.spec.limits.steps, settle))

    @property
    def cards(self) -> tuple[Card, ...]:
        """The tools, as the agent's file orders them."""
        return tuple(Card(name, entry.spec.about, entry.spec.signature) for name, entry in self.entries.items())

    async def call(self, name: str, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """A tool's outputs. Whoever watches is told of the call, however it ends."""
        context, began_s = self.context, perf_counter()
        told = ToolCalled(context.run, context.node, name, "failed", bytes_in=num_bytes(blobs_of(inputs)))
        try:
            outcome = await self._called(self.entries[name], await self._approved(name, inputs))
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

    def tell_plan(self, plan: GraphSpec) -> None:
        """Tells whoever watches what was called, as a plan."""
        self.plans.tell(plan)

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
        context, spec = self.context, self.entries[name].spec
        if not spec.effects or name in context.services.allowed:
            return inputs
        return await approved(context, name, f"tool {name}", inputs, spec.signature.inputs)
