"""An agent at work on one request: it calls tools, step by step or by a plan, and answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sensorium.agent.asking import reply_to, silent, write
from sensorium.agent.course import Chooser, Course, Intent
from sensorium.agent.empty import is_empty
from sensorium.agent.frontier import WRITTEN
from sensorium.agent.plan import Plan
from sensorium.agent.planning import Planning, Way
from sensorium.agent.prompts import Prompts
from sensorium.agent.script import Script
from sensorium.agent.sentences import Sentences, split
from sensorium.agent.task import FOUND_NOTHING, HISTORY_CHARS, Call, Task, fruitless
from sensorium.agent.toolbox import Toolbox
from sensorium.errors import CallerError, InternalError, OperatorError, RefusedError, ToolError
from sensorium.model.contract import Ask, Model
from sensorium.parts import Latent, Text, Value
from sensorium.spec.agent import ANSWER, SENTENCES, AgentSpec
from sensorium.spec.ports import PortType

__all__ = ["Agent", "Hold"]

Hold: TypeAlias = Callable[[Ask, int, str], Awaitable[Latent]]
"""Gives what the model holds after the messages of an ask, and so many thoughts; and the text that says the same."""


async def holds_nothing(ask: Ask, thoughts: int, twin: str) -> Latent:
    """For agents that hand on nothing."""
    raise InternalError(f"an agent was to hold {len(ask.messages)} messages and {thoughts} thoughts of {twin!r:.80}")


_TOLD = (CallerError, ToolError, OperatorError, RefusedError)
"""Failures of a tool that the model is told of, and the agent goes on."""
_LEAST_HISTORY_CHARS = 500


@dataclass(frozen=True, slots=True)
class Agent:
    """A role, a language model and tools.

    Step by step, the model chooses the tool that it wants next, or to answer, and each call is made at once. By a plan,
    all calls are known, checked and, where a person wants it, approved before the first is made.
    """

    spec: AgentSpec
    script: Script
    model: Model
    toolbox: Toolbox
    tell: Callable[[str], None] = silent
    """Hears the answer, piece by piece, as it comes."""
    tell_sentence: Callable[[str], None] = silent
    """Hears the answer, sentence by sentence, as each is whole; an agent with the output `sentences`."""
    hold: Hold = holds_nothing
    """What the model holds; an agent that hands it on."""
    way: Way = "steps"
    """How plans are made."""
    shows_plan: bool = False
    """Whether a person approves the plan before any of it is carried out."""
    tell_trimmed: Callable[[int, str], None] = silent
    """Hears how many earlier messages a prompt leaves out, and why."""

    async def work(self, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """A value for each output port.

        Raises:
            ModelError: The model failed.
            CallerError: The request does not fit into the model's context, whatever is left out of the history.
            OperatorError: The model is missing, or what a person answered cannot be read or written.
            RefusedError: A person refused the plan.
            PausedError: A call, or the plan, waits for a person.
            AuthorError: What a person made of the plan has faults.
        """
        signature = self.spec.signature
        task = Task.of(signature, inputs, self.model.reads)
        holds: dict[str, Value] = (
            {} if self.spec.context_port is None else {self.spec.context_port: await self._hold(task)}
        )
        if len(holds) == len(signature.outputs):
            return holds
        course = Course(task, Plan.of(task))
        await (self._act_by_plan(course, inputs) if self._is_planned else self._act(course))
        said = next(port for port in (ANSWER, *signature.outputs) if port in signature.outputs and port not in holds)
        written = {
            port: kind
            for port, kind in signature.outputs.items()
            if port != said and kind.kind in WRITTEN and not kind.is_list
        }
        outputs: dict[str, Value] = {**dict.fromkeys(signature.outputs), **holds}
        answer = await self._answer(course) + self._reservation(course.calls)
        outputs[said] = Text(answer)
        if self.spec.has_sentences:
            outputs[SENTENCES] = tuple(Text(sentence) for sentence in split(answer))
        if written:
            outputs.update(
                await write(self.model, self._prompts.further(course.task, {said: answer}, written), written)
            )
        return outputs | _made(course.calls, outputs, signature.outputs)

    async def _hold(self, task: Task) -> Latent:
        """What the model holds once it has read the inputs, and thought."""
        thoughts = self.spec.limits.thoughts
        return await self.hold(self._prompts.reading(task, thinks=thoughts > 0), thoughts, task.said)

    @property
    def _is_planned(self) -> bool:
        return bool(self.toolbox.cards) and (self.shows_plan or self.way == "whole")

    @property
    def _prompts(self) -> Prompts:
        return Prompts(self.script, self.toolbox.cards, self.spec.limits.answer_tokens, self.tell_trimmed)

    async def _act(self, course: Course) -> None:
        """Calls tools until the model answers, nothing new can be called, or the steps are used up."""
        chooser = Chooser(self.model, self._prompts, self.toolbox.cards, writes_at_once=self.way == "calls")
        while len(course.calls) < self.spec.limits.steps:
            intent = await chooser.next(course)
            if intent is None:
                break
            course.begin(intent)
            await self._call(course, intent)
        if course.plan.steps:
            self.toolbox.tell_plan(course.plan.spec())

    async def _call(self, course: Course, intent: Intent) -> None:
        try:
            outputs = await self.toolbox.call(intent.card.name, intent.values)
        except _TOLD as error:
            course.fail(intent, str(error))
            return
        course.take(intent, outputs)

    async def _act_by_plan(self, course: Course, inputs: Mapping[str, Value]) -> None:
        """Carries out a plan; step by step where the model found none that is legal, unless a person is to see it."""
        limits = self.spec.limits
        planning = Planning(
            self.script,
            self.toolbox.cards,
            self.model,
            self.toolbox.check,
            self.way,
            limits.steps,
            limits.repairs,
            self.toolbox.tell_plan,
            self.tell_trimmed,
        )
        proposal = await planning.propose(course.task)
        if proposal.spec is not None:
            plan = await self.toolbox.approved(proposal.spec) if self.shows_plan else proposal.spec
            course.calls += await self.toolbox.carry_out(plan, inputs)
        elif proposal.refused and self.shows_plan:
            course.notes.append("(nothing was called: no plan could be made that can be carried out)")
        elif proposal.refused:
            await self._act(course)

    async def _answer(self, course: Course) -> str:
        """The answer, told as it comes. The history gives way, oldest first, where it does not fit."""
        history_chars = HISTORY_CHARS
        while True:
            ask = self._prompts.answer(course.task, course.calls, course.notes, history_chars)
            try:
                return await self._said(ask)
            except CallerError:
                if not course.task.history or history_chars == 0:
                    raise
                history_chars = history_chars // 2 if history_chars > _LEAST_HISTORY_CHARS else 0

    def _reservation(self, calls: Sequence[Call]) -> str:
        """A line behind the answer where tools found nothing, told like the answer: the model may claim otherwise."""
        empty = [f"{tool} {FOUND_NOTHING}" for tool in fruitless(calls)]
        if not empty:
            return ""
        line = f"({'; '.join(empty)})"
        self.tell(f"\n{line}")
        self._pass_on([line])
        return f"\n{line}"

    async def _said(self, ask: Ask) -> str:
        sentences = Sentences()

        def hear(piece: str) -> None:
            self.tell(piece)
            self._pass_on(sentences.feed(piece))

        reply = await reply_to(self.model, ask, hear)
        self._pass_on(sentences.rest())
        return reply.text.strip()

    def _pass_on(self, sentences: Sequence[str]) -> None:
        if self.spec.has_sentences:
            for sentence in sentences:
                self.tell_sentence(sentence)


def _made(calls: Sequence[Call], outputs: Mapping[str, Value], types: Mapping[str, PortType]) -> dict[str, Value]:
    """For each output that nobody wrote, what the last call that made such a part gave."""
    found: dict[str, Value] = {}
    for port, kind in types.items():
        if outputs[port] is not None or kind.kind in WRITTEN:
            continue
        for call in reversed(calls):
            fitting = [value for value in call.outputs.values() if not is_empty(value) and _is_kind(value, kind)]
            if fitting:
                found[port] = fitting[0]
                break
    return found


def _is_kind(value: Value, kind: PortType) -> bool:
    return not isinstance(value, tuple) and not kind.is_list and value is not None and value.kind == kind.kind
