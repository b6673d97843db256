"""Calls that a person must approve first: asked once, and written down before anything follows from it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

from sensorium.admit import Admission
from sensorium.errors import CallerError, PausedError, RefusedError, SensoriumError
from sensorium.events import PersonAnswered, PersonAsked
from sensorium.graph.clocks import standing_still
from sensorium.graph.leaf import CallContext
from sensorium.graph.options import Approver, Question, Verdict
from sensorium.parts import Value, blobs_of, decode_values, encode_values, values_digest
from sensorium.runs import AskedQuestion, QuestionId
from sensorium.spec.nearest import meant
from sensorium.spec.ports import PortType

__all__ = ["admit_changes", "approved"]

_WORDS = PortType("text")


async def approved(
    context: CallContext,
    what: str,
    callee: str,
    inputs: Mapping[str, Value],
    types: Mapping[str, PortType],
    *,
    check: Callable[[Mapping[str, Value]], object] | None = None,
) -> dict[str, Value]:
    """The inputs of a call that a person approved: those of the question, or what the person gave instead.

    What was answered in an earlier attempt of the run is not asked again, as long as the inputs are the same.

    Args:
        context: Where the call is made; its approver is asked.
        what: The call, for people.
        callee: `tool send`, `agent assistant` or `graph publish`.
        inputs: What it would be called with.
        types: The inputs that a person may change.
        check: Raises where what the person approves cannot be; the question then stays open.

    Raises:
        PausedError: Nobody can be asked now; the question is written down.
        RefusedError: The person refused.
        CallerError: What the person gave instead does not fit, or what is kept of the answer is damaged; or the
            approver gives no verdict.
        OperatorError: The database cannot be read or written.
    """
    question = _id(context, callee, inputs)
    asked = await context.services.runs.asked(context.lineage.chain(context.node), question)
    if asked is None or asked.verdict is None:
        new = AskedQuestion(context.run, question, context.node, callee, encode_values(dict(inputs)), time.time())
        asked = await _answered(context, new, inputs, types, check)
    if asked.verdict == "refused":
        raise RefusedError(f"a person refused {what}" + (f": {asked.why}" if asked.why else ""))
    return {**inputs, **_changed(asked, context)}


def _changed(asked: AskedQuestion, context: CallContext) -> dict[str, Value]:
    """What the person gave instead; only an answer that can be read whole is an approval."""
    try:
        if asked.verdict != "approved":
            raise ValueError(f"it says {asked.verdict!r}")
        changed = {} if asked.changed is None else decode_values(asked.changed, context.services.store)
    except ValueError as error:
        raise CallerError(
            f"what a person answered to {asked.node} of run {asked.run} is damaged, or of another version of "
            f"Sensorium: {error}; start a new run, which asks again"
        ) from error
    for name, value in changed.items():
        if not all(context.services.store.hold(blob.digest) for blob in blobs_of({name: value})):
            raise CallerError(
                f"what a person gave to {asked.node} of run {asked.run} as {name} is gone from the store; start a new "
                "run, which asks again"
            )
    return changed


async def _answered(
    context: CallContext,
    asked: AskedQuestion,
    inputs: Mapping[str, Value],
    types: Mapping[str, PortType],
    check: Callable[[Mapping[str, Value]], object] | None,
) -> AskedQuestion:
    """A question that is written down, with what the person says, which is written down too."""
    runs, callee = context.services.runs, asked.callee
    await runs.ask(asked)
    context.emit(PersonAsked(context.run, context.node, callee, dict(inputs)))
    if context.approver is None:
        raise PausedError(
            f"{context.node} waits for a person's approval of {callee}, and nobody can be asked here; `sensorium runs "
            f"resume {context.run} --approve` or --refuse goes on"
        )
    verdict = await _verdict(context.approver, Question(context.run, context.node, callee, inputs, types))
    admission = Admission(context.services.store)
    given = admit_changes(admission, verdict.inputs, types)
    if check is not None and verdict.is_approved and given:
        check({**inputs, **given})
    changed = encode_values(given) if given else None
    why = str(admission.admit(verdict.why, _WORDS, name="why"))
    await runs.answer(context.run, asked.question, is_approved=verdict.is_approved, why=why, changed=changed)
    context.emit(PersonAnswered(context.run, context.node, callee, verdict.is_approved, why, given))
    return replace(asked, verdict="approved" if verdict.is_approved else "refused", why=why, changed=changed)


async def _verdict(approver: Approver, question: Question) -> Verdict:
    """What the approver gives, where that is a verdict: what merely looks like a yes approves nothing.

    Raises:
        CallerError: It gave something else, failed, or was cancelled while the run goes on.
    """
    try:
        with standing_still():
            verdict = cast("object", await approver.ask(question))  # of a program that no type checker may have seen
    except SensoriumError:
        raise
    except (Exception, asyncio.CancelledError) as error:
        current = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and current is not None and current.cancelling():
            raise
        raise CallerError(
            f"the approver failed that was asked for {question.node}: {type(error).__name__}: {error}; have it give a "
            "Verdict, or raise PausedError to leave the question open"
        ) from error
    if not isinstance(verdict, Verdict):
        raise CallerError(f"the approver gave a {type(verdict).__name__} for {question.node}; have it give a Verdict")
    is_approved, inputs = cast("object", verdict.is_approved), cast("object", verdict.inputs)
    if not isinstance(is_approved, bool) or not isinstance(inputs, Mapping):
        raise CallerError(
            f"the approver gave {verdict!r} for {question.node}; have it say True or False, and inputs by name"
        )
    return verdict


def admit_changes(admission: Admission, given: Mapping[str, object], types: Mapping[str, PortType]) -> dict[str, Value]:
    """Inputs that a person gave instead of those of a question.

    Raises:
        CallerError: The call has no such input, or it does not take the value.
        OperatorError: The store cannot be written.
    """
    for name in given:
        if name not in types:
            right = meant(str(name), types, "what can be changed is") or "nothing of it can be changed"
            raise CallerError(f"the call has no input {name!r} that a person may change; {right}")
    return {name: admission.admit(value, types[name], name=name) for name, value in given.items()}


def _id(context: CallContext, callee: str, inputs: Mapping[str, Value]) -> QuestionId:
    """Another round, another call or other inputs are another question."""
    lines = (context.node, context.round, callee, values_digest(dict(inputs)))
    return QuestionId(hashlib.sha256("\n".join(lines).encode()).hexdigest())
