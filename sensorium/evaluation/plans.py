"""The plans that a planner makes for samples, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

from sensorium.errors import CallerError, ModelError
from sensorium.evaluation.answers import Answer, Answers, Tokens
from sensorium.evaluation.outline import Outline
from sensorium.evaluation.planner import Listener, Planned, Planner
from sensorium.evaluation.taskbench import Sample

__all__ = ["plan_all"]

_FAILURES_IN_A_ROW = 3
"""So many say that it lies with the model or the setting, and not with a request."""


async def plan_all(
    samples: Sequence[Sample],
    planner: Planner,
    listener: Listener,
    answers: Answers,
    see: Callable[[int, int], None],
) -> list[Answer]:
    """An answer for each sample: one that is kept, else one that is asked for now and then kept.

    Args:
        samples: What is asked.
        planner: Who is asked; its model is `listener`.
        listener: Hears the replies.
        answers: Those that are kept.
        see: Hears how many are done, of how many.

    Raises:
        ModelError: The model failed three times in a row.
        CallerError: The requests do not fit into the model's context, three in a row.
        OperatorError: The model is missing, or the disk does not let an answer be kept.
    """
    given: list[Answer] = []
    num_failed = 0
    for number, sample in enumerate(samples, 1):
        answer = answers.kept.get(sample.id)
        if answer is None:
            answer, error = await _answer(sample, planner, listener)
            num_failed = 0 if error is None else num_failed + 1
            if error is not None and num_failed == _FAILURES_IN_A_ROW:
                raise error
            answers.add(answer)
        given.append(answer)
        see(number, len(samples))
    return given


async def _answer(
    sample: Sample, planner: Planner, listener: Listener
) -> tuple[Answer, ModelError | CallerError | None]:
    listener.forget()
    began_s = perf_counter()
    failure: ModelError | CallerError | None = None
    planned = Planned(Outline())
    try:
        planned = await planner.plan(sample.request)
    except (ModelError, CallerError) as error:
        failure = error
    replies = listener.replies
    tokens = (
        Tokens(reply.usage.prompt_tokens, reply.usage.answer_tokens, reply.usage.cached_tokens) for reply in replies
    )
    answer = Answer(
        id=sample.id,
        kind=sample.kind,
        request=sample.request,
        gold=sample.gold,
        given=planned.given,
        refused=planned.refused,
        seconds=perf_counter() - began_s,
        asks=len(replies),
        tokens=sum(tokens, Tokens()),
        replies=tuple(reply.text for reply in replies),
        failed="" if failure is None else str(failure),
    )
    return answer, failure
