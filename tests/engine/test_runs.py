"""Runs that go on after they stopped, runs that begin in the midst of others, and what people are asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import PIL.Image
import pytest
import pytest_asyncio

from sensorium.database import open_database
from sensorium.errors import CallerError, PausedError, RefusedError, ToolError
from sensorium.events import Event, PersonAnswered, PersonAsked, RunId, RunStarted
from sensorium.graph import Graph, Question, Result, RunOptions, Verdict
from sensorium.model.contract import Ask
from sensorium.parts import Text
from sensorium.testing import Scratch

Inputs = dict[str, Any]
LOG = ""


@pytest_asyncio.fixture
async def project(tmp_path: Path, place: str) -> AsyncGenerator[Scratch]:
    made = Scratch(tmp_path, database=open_database(place))
    yield made
    await made.close()


class Mark:
    """Adds a mark to a text, and writes down that it was called; fails while a file says so."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Inputs]:
        from pathlib import Path

        with open(LOG, "a") as log:
            log.writelines(f"{call['mark']}\n" for call in batch)
        if Path(LOG).with_name("broken").exists():
            raise ValueError("the mark is out of ink")
        return [{"text": f"{call['text']}{call['mark']}"} for call in batch]

    def close(self) -> None: ...


@dataclass
class Person:
    """Says what it is told to say, and keeps what it was asked."""

    say: Callable[[Question], Verdict] = field(default=lambda _: Verdict(True))
    asked: list[Question] = field(default_factory=list[Question])

    async def ask(self, question: Question) -> Verdict:
        self.asked.append(question)
        return self.say(question)


MARKING = """
    name: marking
    inputs: {words: text}
    nodes:
      one:   {tool: mark, with: {text: $words, mark: a}}
      other: {tool: mark, with: {text: $words, mark: x}}
      two:   {tool: mark, with: {text: $one.text, mark: b}ASKED}
      three: {tool: mark, with: {text: $two.text, mark: c}}
    outputs: {other: $other.text, all: $three.text}
"""


def marking(project: Scratch, *, asks: bool = False, ink: str = "blue", **declared: Any) -> Graph:
    header = f"LOG = {str(project.home / 'calls.log')!r}  # in {ink}"
    ports = {"text": "text", "mark": "text"}
    project.tool("mark", Mark, inputs=ports, outputs={"text": "text"}, header=header, **declared)
    return project.graph(MARKING.replace("ASKED", ", approve: true" if asks else ""))


def calls(project: Scratch) -> list[str]:
    """The marks that were made since this was asked last."""
    log = project.home / "calls.log"
    made = sorted(log.read_text().split()) if log.exists() else []
    log.unlink(missing_ok=True)
    return made


def breaking(project: Scratch, is_broken: bool) -> None:
    sign = project.home / "broken"
    sign.touch() if is_broken else sign.unlink()


async def failed(graph: Graph, words: str) -> RunId:
    with pytest.raises(ToolError) as raised:
        await graph.arun(words=words)
    result: Result = raised.value.result
    return result.run


async def paused(graph: Graph, inputs: Mapping[str, object]) -> RunId:
    with pytest.raises(PausedError, match="sensorium runs resume") as raised:
        await graph.arun(inputs)
    result: Result = raised.value.result
    return result.run


async def test_the_book_tells_what_a_run_was_given_and_gave(project: Scratch) -> None:
    result = await marking(project).arun(words="hey", options=RunOptions(seed=7))
    record = project.runs.require("last")
    assert (record.run, record.graph, record.status) == (result.run, "marking", "done")
    beginning = record.beginning()
    assert (beginning.seed, beginning.fresh, beginning.parent) == (7, False, None)
    assert set(beginning.identities) == {"graph marking", "tool mark", "the device of tool mark"}


async def test_a_run_that_failed_goes_on_where_it_stopped(project: Scratch) -> None:
    graph = marking(project)
    await graph.arun(words="hey", options=RunOptions(seed=3))
    breaking(project, True)
    run = await failed(graph, words="you")
    assert calls(project).count("a") == 2
    breaking(project, False)
    events: list[Event] = []
    result = await graph.aresume(run, options=RunOptions(on_event=events.append))
    assert (result.run, result.all) == (run, Text("youabc"))
    assert events[0] == RunStarted(run, "marking", ())
    assert calls(project) == ["a", "b", "c", "x"], "what failed is called again"
    assert project.runs.require(run[:20]).status == "done"


async def test_what_changed_since_is_told_and_called_anew(project: Scratch) -> None:
    graph = marking(project, asks=True)
    run = await paused(graph, {"words": "hey"})
    assert calls(project) == ["a", "x"]
    graph = marking(project, asks=True, ink="red")
    events: list[Event] = []
    options = RunOptions(approver=Person(), on_event=events.append)
    assert (await graph.aresume(run, options=options)).all == Text("heyabc")
    assert events[0] == RunStarted(run, "marking", ("tool mark has changed",))
    assert calls(project) == ["a", "b", "c", "x"], "nothing that the tool of before made counts"


@pytest.mark.parametrize("name", ["nobody", "\udce4", ""])
async def test_a_run_that_is_not_there_is_told_so(project: Scratch, name: str) -> None:
    graph = marking(project)
    await graph.arun(words="hey")
    with pytest.raises(CallerError, match="there is no run"):
        await graph.aresume(name)


async def test_what_cannot_go_on_is_told_so(project: Scratch) -> None:
    graph = marking(project)
    run = (await graph.arun(words="hey")).run
    with pytest.raises(CallerError, match=f"run {run} is done, and nothing is left .* runs fork"):
        await graph.aresume("last")
    other = project.graph(MARKING.replace("name: marking", "name: other").replace("ASKED", ""))
    with pytest.raises(CallerError, match="is one of graph 'marking', not of 'other'"):
        await other.aresume(run)
    with pytest.raises(CallerError, match="is one of graph 'marking', not of 'other'"):
        await other.arun(words="hey", options=RunOptions(run=run))
    assert project.runs.require(run).graph == "marking"
    await graph.arun(words="you")
    with pytest.raises(CallerError, match="several runs begin with 20"):
        await graph.aresume("20")


async def test_a_damaged_record_is_told_so(project: Scratch) -> None:
    breaking(project, True)
    graph = marking(project)
    run = await failed(graph, words="hey")
    project.database.execute("UPDATE sensorium_runs SET inputs = ? WHERE run = ?", (b"\xc1", run))
    with pytest.raises(CallerError, match="damaged, or of another version"):
        await graph.aresume(run)
    project.database.execute("UPDATE sensorium_runs SET start = ? WHERE run = ?", (b"{}", run))
    with pytest.raises(CallerError, match="damaged, or of another version"):
        await graph.aresume(run)


async def test_a_run_whose_picture_is_gone_cannot_go_on(project: Scratch) -> None:
    project.tool("look", Look, inputs={"image": "image"}, outputs={"width": "number"})
    graph = project.graph("""
        name: looking
        inputs: {picture: image}
        nodes: {look: {tool: look, with: {image: $picture}, approve: true}}
        outputs: {width: $look.width}
    """)
    run = await paused(graph, {"picture": PIL.Image.new("RGB", (5, 4))})
    question = project.runs.questions(run)[0]
    (held,) = msgspec.msgpack.decode(question.inputs).values()
    for path in (project.home / "store").rglob(held["blob"][0]):
        path.unlink()
    with pytest.raises(CallerError, match="took as picture is gone from the store"):
        await graph.aresume(run)


class Look:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Inputs]:
        return [{"width": call["image"].width} for call in batch]

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("node", "again"), [("one", ["a", "b", "c"]), ("two", ["b", "c"]), ("three", ["c"]), ("other", ["x"])]
)
async def test_a_fork_runs_a_node_and_what_follows_it_again(project: Scratch, node: str, again: list[str]) -> None:
    graph = marking(project, effects=True)
    first = await graph.arun(words="hey")
    assert calls(project) == ["a", "b", "c", "x"]
    fork = await graph.afork(first.run, node)
    assert (fork.all, fork.other, fork.status) == (first.all, first.other, "done")
    assert calls(project) == again
    record = project.runs.require(fork.run)
    assert (record.run != first.run, record.beginning().parent) == (True, first.run)
    fork_of_fork = await graph.afork(fork.run, "three")
    assert fork_of_fork.all == first.all
    assert calls(project) == ["c"]


async def test_a_fork_that_stopped_goes_on_as_a_fork(project: Scratch) -> None:
    graph = marking(project, effects=True)
    first = await graph.arun(words="hey")
    calls(project)
    breaking(project, True)
    with pytest.raises(ToolError) as raised:
        await graph.afork(first.run, "two", options=RunOptions(seed=5))
    breaking(project, False)
    assert calls(project) == ["b"]
    result = await graph.aresume(raised.value.result.run)
    assert (result.all, calls(project)) == (first.all, ["b", "c"])
    assert project.runs.require(result.run).beginning().seed == 5


async def test_a_fork_of_what_is_not_there_is_told_so(project: Scratch) -> None:
    graph = marking(project)
    run = (await graph.arun(words="hey")).run
    with pytest.raises(CallerError, match="has no node 'too'; did you mean 'two'"):
        await graph.afork(run, "too")
    with pytest.raises(CallerError, match="two/inner lies within two: fork from two"):
        await graph.afork(run, "two/inner")


async def test_a_fork_takes_no_other_runs_place(project: Scratch) -> None:
    graph = marking(project, asks=True)
    other = await paused(graph, {"words": "hey"})
    first = await graph.arun(words="hey", options=RunOptions(approver=Person()))
    with pytest.raises(CallerError, match=f"run {other} is there already"):
        await graph.afork(first.run, "two", options=RunOptions(run=other))
    (question,) = project.runs.questions(other)
    assert (question.verdict, project.runs.require(other).status) == (None, "paused")


async def test_what_was_forked_from_a_run_that_was_removed_cannot_go_on(project: Scratch) -> None:
    graph = marking(project, asks=True)
    first = await graph.arun(words="hey", options=RunOptions(approver=Person()))
    with pytest.raises(PausedError) as raised:
        await graph.afork(first.run, "two")
    fork = raised.value.result.run
    project.runs.drop(first.run)
    with pytest.raises(CallerError, match=f"run {fork} is a fork of {first.run}, which is kept no more"):
        await graph.aresume(fork)
    with pytest.raises(CallerError, match="which is kept no more"):
        await graph.afork(fork, "three")
    assert project.runs.require("last").run == fork


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
    ],
)
async def test_an_answer_that_does_not_fit_counts_for_nothing(project: Scratch, verdict: Verdict, match: str) -> None:
    graph = marking(project, asks=True)
    with pytest.raises(CallerError, match=match) as raised:
        await graph.arun(words="hey", options=RunOptions(approver=Person(lambda _: verdict)))
    run = raised.value.result.run
    assert project.runs.questions(run)[0].verdict is None
    assert (await graph.aresume(run, options=RunOptions(approver=Person()))).all == Text("heyabc")


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


async def test_of_two_that_go_on_with_a_run_one_is_told(project: Scratch) -> None:
    graph = marking(project, asks=True)
    run = await paused(graph, {"words": "hey"})
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    class Slow:
        async def ask(self, question: Question) -> Verdict:
            is_asked.set()
            await may_answer.wait()
            return Verdict(True)

    first = asyncio.create_task(graph.aresume(run, options=RunOptions(approver=Slow())))
    await is_asked.wait()
    with pytest.raises(CallerError, match=f"run {run} goes on already"):
        await graph.aresume(run)
    may_answer.set()
    assert (await first).all == Text("heyabc")


async def test_a_cancelled_run_is_written_down_and_can_go_on(project: Scratch) -> None:
    graph = marking(project, asks=True)
    is_asked = asyncio.Event()

    class Silent:
        async def ask(self, question: Question) -> Verdict:
            is_asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    running = asyncio.create_task(graph.arun(words="hey", options=RunOptions(approver=Silent())))
    await is_asked.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    record = project.runs.require("last")
    assert record.status == "cancelled"
    assert (await graph.aresume(record.run, options=RunOptions(approver=Person()))).all == Text("heyabc")
    assert calls(project) == ["a", "b", "c", "x"]
