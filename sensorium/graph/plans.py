"""Plans that an agent of a run proposes: checked, shown to a person, carried out as a graph below the agent's node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sensorium.agent.task import Call
from sensorium.errors import AuthorError, Fault, PausedError
from sensorium.events import PlanMade
from sensorium.graph.answer import tell_call
from sensorium.graph.approval import approved
from sensorium.graph.flow import Flow, Read, Settle, Source
from sensorium.graph.leaf import CallContext
from sensorium.graph.outcome import NodeOutcome
from sensorium.parts import Text, Value
from sensorium.spec.calls import acts_unasked, called
from sensorium.spec.catalogue import Catalogue
from sensorium.spec.check import check
from sensorium.spec.checked import Checked, CheckedNode
from sensorium.spec.graph import GraphSpec, NodeSpec
from sensorium.spec.ports import PortType
from sensorium.spec.read import GraphSource, parse_graph
from sensorium.spec.write import to_yaml

__all__ = ["PLAN", "PLAN_TYPES", "RunPlans"]

PLAN = "plan"
"""What a person is asked about who approves a plan, and the input that holds its text."""
PLAN_TYPES = {PLAN: PortType("text")}


@dataclass(frozen=True, slots=True)
class RunPlans:
    """Plans of one agent in one run. Nothing runs that the checker finds a fault in, whoever wrote it."""

    context: CallContext
    """Where the agent's own node is."""
    catalogue: Catalogue
    """What the agent may call, and nothing else."""
    most: int
    """Most calls of a plan."""
    settle: Settle
    """Carries out nodes of the run."""

    def check(self, plan: GraphSpec) -> Sequence[Fault]:
        """Everything that is wrong with a plan."""
        if len(plan.nodes) > self.most:
            return (Fault("", 0, 0, f"the plan has {len(plan.nodes):,} calls", f"a plan has at most {self.most}"),)
        try:
            to_yaml(plan)
        except AuthorError as error:
            return error.faults
        return self._checked(plan).faults

    async def approved(self, plan: GraphSpec) -> GraphSpec:
        """The plan that a person approved: this one, or what the person made of it.

        Raises:
            RefusedError: The person refused.
            PausedError: It waits for a person.
            AuthorError: What the person made of it has faults; all of them.
            CallerError: What the person gave is no text, or what is kept of the answer is damaged.
            OperatorError: The database cannot be read or written.
        """
        shown = {PLAN: Text(to_yaml(self._guarded(plan)))}
        answered = await approved(self.context, "the plan", PLAN, shown, PLAN_TYPES, check=self._changed)
        return plan if answered == shown else self._changed(answered)

    def _changed(self, answered: Mapping[str, Value]) -> GraphSpec:
        changed = parse_graph(str(answered[PLAN])).spec
        if faults := self.check(changed):
            raise AuthorError(faults)
        return changed

    async def carry_out(self, plan: GraphSpec, inputs: Mapping[str, Value]) -> list[Call]:
        """What became of each call, in the plan's order; see `sensorium.agent.Toolbox.carry_out`."""
        if faults := self.check(plan):
            raise AuthorError(faults)
        self.tell(plan)
        checked = self._checked(self._guarded(plan))
        given = {port: value for port, value in inputs.items() if port in plan.inputs}
        flow = Flow(checked.require(), given, self.context, self._settle)
        outcomes = await flow.carry_out()
        paused = [one.error for one in outcomes.values() if isinstance(one.error, PausedError)]
        if paused:
            raise paused[0]
        return [_call(checked.nodes[name], outcome) for name, outcome in outcomes.items()]

    def tell(self, plan: GraphSpec | None, faults: Sequence[Fault] = ()) -> None:
        """Tells whoever watches of a plan: what is called, or why it is refused."""
        context = self.context
        text = "" if plan is None else _written(self._guarded(plan))
        context.emit(PlanMade(context.run, context.node, text, tuple(map(str, faults))))

    def _checked(self, plan: GraphSpec) -> Checked:
        return check(GraphSource(plan), self.catalogue)

    def _guarded(self, plan: GraphSpec) -> GraphSpec:
        """The plan, in which what acts on the world, itself or by its stand-in, asks a person, unless it is allowed."""
        nodes = {name: self._asking(node) for name, node in plan.nodes.items()}
        return plan.model_copy(update={"nodes": nodes})

    def _asking(self, node: NodeSpec) -> NodeSpec:
        services = self.context.services
        if not any(acts_unasked(one, services.catalogue, services.allowed) for one in called(node)):
            return node
        return node.model_copy(update={"approve": True})

    async def _settle(
        self, node: CheckedNode, read: Read, context: CallContext, source: Source | None = None
    ) -> NodeOutcome:
        """How a node of the plan ended, told as a call of the agent's too."""
        outcome = await self.settle(node, read, context, source)
        tell_call(self.context, node, outcome)
        return outcome


def _written(plan: GraphSpec) -> str:
    """The plan as a graph file; empty where none can hold it."""
    try:
        return to_yaml(plan)
    except AuthorError:
        return ""


def _call(node: CheckedNode, outcome: NodeOutcome) -> Call:
    if outcome.status == "done":
        return Call(node.callee, outcome.outputs)
    if outcome.status in ("failed", "refused"):
        return Call(node.callee, {}, failed=str(outcome.error))
    return Call(node.callee, {}, failed=f"not called: {outcome.why}")
