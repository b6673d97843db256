"""Answers of people to what a run asked before it paused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sensorium.admit import Admission
from sensorium.errors import CallerError
from sensorium.graph.approval import admit_changes
from sensorium.graph.plans import PLAN, PLAN_TYPES
from sensorium.graph.record import read_values
from sensorium.parts import Value, encode_values
from sensorium.project.project import Project
from sensorium.runs import AskedQuestion, RunRecord
from sensorium.spec.callees import Callees
from sensorium.spec.nearest import meant
from sensorium.spec.ports import PortType

__all__ = ["Answer", "answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a person says."""

    is_approved: bool
    nodes: Sequence[str] = ()
    """Paths of the nodes that asked; may be left out where one did."""
    why: str = ""
    change: Callable[[Mapping[str, PortType]], Mapping[str, Value]] = field(default=lambda _: {})
    """Gives inputs that the call is to have instead, from the types of those that may be changed."""


async def answer(door: Project, record: RunRecord, given: Answer) -> None:
    """Writes down what a person says to what a run asked; the run is then to go on.

    Raises:
        CallerError: The run asks nothing, goes on just now, or asks of several nodes and none was named; a named node
            asks nothing; a change does not fit, or what is kept of the run is damaged: nothing was written. Or somebody
            else answered one of the questions in this moment.
        OperatorError: The database cannot be read or written.
    """
    if door.results.is_going_on(record.run):
        raise CallerError(f"run {record.run} goes on just now, here or in another process; wait until it ends")
    asked = [question for question in door.runs.questions(record.run) if question.verdict is None]
    chosen = _chosen(asked, record, given.nodes)
    admission, callees = Admission(door.store), Callees(door.catalogue)
    changed: list[dict[str, Value]] = []
    for question in chosen:
        types = _types(read_values(record, question.inputs, door.store), question.callee, callees)
        changed.append(admit_changes(admission, given.change(types), types))
    for question, values in zip(chosen, changed, strict=True):
        await door.runs.answer(
            record.run,
            question.question,
            is_approved=given.is_approved,
            why=str(admission.admit(given.why, PortType("text"), name="why")),
            changed=encode_values(values) if values else None,
        )


def _chosen(asked: Sequence[AskedQuestion], record: RunRecord, nodes: Sequence[str]) -> list[AskedQuestion]:
    if not asked:
        raise CallerError(f"run {record.run} asks nothing; `sensorium runs show {record.run}` tells how it stands")
    names = list(dict.fromkeys(question.node for question in asked))
    for node in nodes:
        if node not in names:
            right = meant(node, names, "those that ask are")
            raise CallerError(f"node {node!r} of run {record.run} asks nothing; {right}")
    if not nodes and len(asked) > 1:
        listed = " ".join(f"--node {name}" for name in names)
        raise CallerError(f"run {record.run} asks {len(asked)} questions; name those that you answer: {listed}")
    return [question for question in asked if not nodes or question.node in nodes]


def _types(inputs: Mapping[str, Value], called: str, callees: Callees) -> Mapping[str, PortType]:
    """The inputs that a person may change: none of a call that is asked for a whole list."""
    if called == PLAN:
        return PLAN_TYPES
    if any(name.startswith("$") for name in inputs):
        return {}
    kind, _, name = called.partition(" ")
    callee = callees.find(kind, name)
    return {} if callee is None else callee.signature.inputs
