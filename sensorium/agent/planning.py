"""A model plans calls of tools before any of them is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sensorium.agent.asking import reply_to, silent
from sensorium.agent.course import Chooser, Course
from sensorium.agent.plan import Plan
from sensorium.agent.prompts import Prompts
from sensorium.agent.script import Script
from sensorium.agent.task import Task
from sensorium.agent.toolbox import Card
from sensorium.agent.whole import WholePlans
from sensorium.errors import AuthorError, Fault
from sensorium.model.contract import Model, Reply
from sensorium.spec.graph import GraphSpec

__all__ = ["Planning", "Proposal", "Way"]

Way: TypeAlias = Literal["steps", "whole", "calls"]
"""`whole`: one reply holds the plan. `steps`: one choice at a time, and what the tool needs is written afterwards.
`calls`: one call at a time, named and written in one reply."""

_ANSWER_TOKENS = 400


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a model proposed to do."""

    spec: GraphSpec | None
    """A plan without a fault; None where nothing is to be called, or no such plan was found."""
    refused: tuple[tuple[Fault, ...], ...] = ()
    """What the checker found in each plan that was refused, in order."""


@dataclass(frozen=True, slots=True)
class Planning:
    """Plans of one agent. Nothing is called; a plan that `check` finds a fault in is never given.

    A whole plan in one reply is how HuggingGPT (arXiv 2303.17580) plans and how TaskBench (arXiv 2311.18760) measures.
    """

    script: Script
    cards: Sequence[Card]
    model: Model
    check: Callable[[GraphSpec], Sequence[Fault]]
    """Everything that is wrong with a plan."""
    way: Way = "steps"
    max_nodes: int = 8
    """Most calls of a plan."""
    repairs: int = 2
    """How often a model that wrote a whole plan is told what is wrong with it, and writes another."""
    tell_refused: Callable[[GraphSpec | None, Sequence[Fault]], None] = silent
    """Hears of each plan that is refused, None where the reply was none, and of what is wrong with it."""
    tell_trimmed: Callable[[int, str], None] = silent
    """Hears how many earlier messages a prompt leaves out, and why."""
    leaves_out: bool = False
    """Whether a whole plan whose repairs are used up is given without the calls that lack something."""

    async def propose(self, task: Task) -> Proposal:
        """A plan for a task.

        Raises:
            ModelError: The model failed.
            CallerError: The request does not fit into its context.
            OperatorError: It is missing.
        """
        return await (self._whole(task) if self.way == "whole" else self._stepwise(task))

    async def _whole(self, task: Task) -> Proposal:
        plans = WholePlans(self.script, tuple(self.cards), self.max_nodes, self.tell_trimmed)
        ask, reply = plans.ask(task), None
        refused: list[tuple[Fault, ...]] = []
        for _ in range(self.repairs + 1):
            reply, spec = await reply_to(self.model, ask), None
            try:
                written = plans.read(reply, task)
                if not written.plan.steps:
                    return Proposal(None, tuple(refused))
                spec = written.plan.spec()
                faults = written.faults or tuple(self.check(spec))
                if not faults:
                    return Proposal(spec, tuple(refused))
            except AuthorError as error:
                faults = tuple(error.faults)
            refused.append(faults)
            self.tell_refused(spec, faults)
            ask = plans.repair(ask, reply, faults)
        return Proposal(self._rest(plans, reply, task) if self.leaves_out and reply else None, tuple(refused))

    def _rest(self, plans: WholePlans, reply: Reply, task: Task) -> GraphSpec | None:
        """A refused plan without the calls that lack something; None where nothing is left, or it is wrong besides."""
        try:
            plan = plans.read(reply, task, leaves_out=True).plan
            spec = plan.spec() if plan.steps else None
        except AuthorError:
            return None
        return None if spec is None or self.check(spec) else spec

    async def _stepwise(self, task: Task) -> Proposal:
        prompts = Prompts(self.script, self.cards, _ANSWER_TOKENS, self.tell_trimmed)
        chooser = Chooser(self.model, prompts, tuple(self.cards), writes_at_once=self.way == "calls")
        course = Course(task, Plan.of(task))
        while len(course.plan.steps) < self.max_nodes:
            intent = await chooser.next(course)
            if intent is None:
                break
            course.begin(intent)
            course.plan_on(intent)
        if not course.plan.steps:
            return Proposal(None)
        spec = course.plan.spec()
        faults = tuple(self.check(spec))
        return Proposal(None if faults else spec, (faults,) if faults else ())
