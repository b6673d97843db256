"""What people are asked, what they may change, and what an answer is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from sensorium.errors import CallerError, PausedError, RefusedError, ToolError
from sensorium.events import Event, PersonAnswered, PersonAsked
from sensorium.graph import Question, Result, RunOptions, Verdict
from sensorium.model.contract import Ask
from sensorium.parts import Text
from sensorium.testing import Scratch
from tests.engine.marking import MARKING, Person, breaking, calls, marking, paused, project

__all__ = ["project"]

wrong: Any = Verdict  # for what no type checker lets through


async def test_a_run_waits_for_a_person_while_the_rest_goes_on(project: Scratch) -> None:
    graph = marking(project, asks=True)
    with pytest.raises(PausedError, match="two waits for a person's approval of tool mark") as raised:
        await graph.arun(words="hey")
    assert raised.value.result.other == Text("heyx")
    assert calls(project) == ["a", "x"]
    (question,) = project.runs.questions(raised.value.result.run)
    assert (question.node, question.callee, question.verdict) == ("two", "tool mark", None)


async def test_what_a_person_answered_is_not_asked_again(project: Scratch) -> None:
    graph = marking(project, asks=True)
    run = await paused(graph, {"words": "hey"})
    breaking(project, True)
    person, events = Person(lambda _: Verdict(True, inputs={"mark": "B"})), list[Event]()
    with pytest.raises(ToolError, match="out of ink"):
        await graph.aresume(run, options=RunOptions(approver=person, on_event=events.append))
    asked = [event for event in events if isinstance(event, PersonAsked | PersonAnswered)]
    given: Mapping[str, Text] = {"text": Text("heya"), "mark": Text("b")}
    assert asked == [
        PersonAsked(run, "two", "tool mark", given),
        PersonAnswered(run, "two", "tool mark", True, "", {"mark": Text("B")}),
    ]
    breaking(project, False)
    assert (await graph.aresume(run, options=RunOptions(approver=person))).all == Text("heyaBc")
    assert len(person.asked) == 1


async def test_other_inputs_are_another_question(project: Scratch) -> None:
    run = await paused(marking(project, asks=True), {"words": "hey"})
    changed = project.graph(MARKING.replace("mark: a", "mark: A").replace("ASKED", ", approve: true"))
    person = Person()
    assert (await changed.aresume(run, options=RunOptions(approver=person))).all == Text("heyAbc")
    assert [question.inputs["text"] for question in person.asked] == [Text("heyA")]


async def test_a_refusal_ends_a_run_for_good(project: Scratch) -> None:
    graph = marking(project, asks=True)
    run = await paused(graph, {"words": "hey"})
    person = Person(lambda _: Verdict(False, "not today"))
    with pytest.raises(RefusedError, match="a person refused two: not today") as raised:
        await graph.aresume(run, options=RunOptions(approver=person))
    assert raised.value.result.other == Text("heyx")
    with pytest.raises(CallerError, match="was refused by a person"):
        await graph.aresume(run)
    fork = await graph.afork(run, "two", options=RunOptions(approver=Person()))
    assert fork.all == Text("heyabc")
    assert calls(project) == ["a", "b", "c", "x"]


@pytest.mark.parametrize(
    ("verdict", "match"),
    [
        (Verdict(True, inputs={"marks": "B"}), "no input 'marks' that a person may change; did you mean 'mark'"),
        (Verdict(True, inputs={"mark": 3}), "input mark .*int"),
        (Verdict(False, why="\ud800"), "input why .*Unicode"),
        (wrong(True, inputs=["mark"]), "inputs by name"),
        (wrong(True, inputs={5: "B"}), "no input 5 that a person may change"),
    ],
)
async def test_an_answer_that_does_not_fit_counts_for_nothing(project: Scratch, verdict: Any, match: str) -> None:
    graph = marking(project, asks=True)
    with pytest.raises(CallerError, match=match) as raised:
        await graph.arun(words="hey", options=RunOptions(approver=Person(lambda _: verdict)))
    run = raised.value.result.run
    assert project.runs.questions(run)[0].verdict is None
    assert (await graph.aresume(run, options=RunOptions(approver=Person()))).all == Text("heyabc")


@pytest.mark.parametrize("failure", [ValueError("no ink"), asyncio.CancelledError("no ink")])
async def test_an_approver_that_fails_leaves_the_question_open(project: Scratch, failure: BaseException) -> None:
    graph = marking(project, asks=True)

    class Failing:
        async def ask(self, question: Question) -> Verdict:
            raise failure

    async with asyncio.timeout(20):
        with pytest.raises(CallerError, match=r"approver failed that was asked for two: .*: no ink") as raised:
            await graph.arun(words="hey", options=RunOptions(approver=Failing()))
    result: Result = raised.value.result
    assert (result.status, result.other) == ("failed", Text("heyx"))
    assert (await graph.aresume(result.run, options=RunOptions(approver=Person()))).all == Text("heyabc")


@pytest.mark.parametrize(
    ("said", "match"),
    [
        (True, "the approver gave a bool for two"),
        (None, "the approver gave a NoneType for two"),
        (Verdict("no"), "have it say True or False"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ],
)
async def test_what_merely_looks_like_a_yes_approves_nothing(project: Scratch, said: Any, match: str) -> None:
    graph = marking(project, asks=True)
    with pytest.raises(CallerError, match=match):
        await graph.arun(words="hey", options=RunOptions(approver=Person(lambda _: said)))
    assert calls(project) == ["a", "x"]


async def test_a_damaged_answer_approves_nothing(project: Scratch) -> None:
    graph = marking(project, asks=True)
    run = await paused(graph, {"words": "hey"})
    (question,) = project.runs.questions(run)
    await project.runs.answer(run, question.question, is_approved=True)
    project.database.execute("UPDATE sensorium_questions SET verdict = ? WHERE run = ?", ("perhaps", run))
    with pytest.raises(CallerError, match=r"answered to two .* is damaged"):
        await graph.aresume(run)
    project.database.execute(
        "UPDATE sensorium_questions SET verdict = ?, changed = ? WHERE run = ?", ("approved", b"\xc1", run)
    )
    with pytest.raises(CallerError, match=r"answered to two .* is damaged"):
        await graph.aresume(run)
    assert calls(project) == ["a", "x"]


async def test_a_whole_list_is_approved_at_once(project: Scratch) -> None:
    marking(project)
    graph = project.graph("""
        name: listing
        inputs: {words: "[text]"}
        nodes: {all: {tool: mark, each: $words, as: word, with: {text: $word, mark: a}, approve: true}}
        outputs: {all: $all.text}
    """)
    person = Person()
    assert (await graph.arun(words=["b", "c"], options=RunOptions(approver=person))).all == (Text("ba"), Text("ca"))
    (question,) = person.asked
    assert question.inputs == {"mark": Text("a"), "$word": (Text("b"), Text("c"))}
    assert question.types == {}


async def test_the_time_that_people_take_is_no_time_of_the_call(project: Scratch) -> None:
    marking(project)
    project.graph("""
        name: asking
        inputs: {words: text}
        nodes:
          one: {tool: mark, with: {text: $words, mark: a}, approve: true}
          two: {tool: mark, with: {text: $words, mark: b}, approve: true}
        outputs: {one: $one.text, two: $two.text}
    """)
    graph = project.graph("""
        name: hurrying
        inputs: {words: text}
        nodes: {all: {graph: asking, with: {words: $words}, timeout: 1}}
        outputs: {one: $all.one, two: $all.two}
    """)
    late = asyncio.get_running_loop().time() + 1.5

    class Slow:
        async def ask(self, question: Question) -> Verdict:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(late if question.node == "all/two" else 0):
                    await asyncio.Event().wait()
            return Verdict(True)

    result = await graph.arun(words="hey", options=RunOptions(approver=Slow()))
    assert (result.one, result.two) == (Text("heya"), Text("heyb"))


async def test_what_an_agent_chose_is_asked_once_over_attempts(project: Scratch) -> None:
    marking(project, effects=True)
    project.agent("helper", tools=["mark"], inputs={"request": "text"}, outputs={"answer": "text"})
    project.scripted("central", marks)
    graph = project.graph("""
        name: helping
        inputs: {request: text}
        nodes: {think: {agent: helper, with: {request: $request}}}
        outputs: {answer: $think.answer}
    """)
    run = await paused(graph, {"request": "Mark it"})
    person = Person(lambda _: Verdict(True, inputs={"mark": "M"}))
    result = await graph.aresume(run, options=RunOptions(approver=person))
    assert (result.answer, calls(project)) == (Text("It is marked."), ["M"])
    assert [(question.node, question.callee) for question in person.asked] == [("think", "tool mark")]


def marks(ask: Ask) -> str:
    if ask.choices:
        return "answer" if "(done:" in ask.messages[-1].content else "mark"
    return '{"text": "it", "mark": "m"}' if ask.schema else "It is marked."
