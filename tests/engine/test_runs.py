"""Runs that go on after they stopped, and what the book says of them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import PIL.Image
import pytest

from sensorium.errors import CallerError, PausedError
from sensorium.events import Event, NodeFinished, RunId, RunStarted
from sensorium.graph import Question, RunOptions, Verdict
from sensorium.parts import Text
from sensorium.testing import Scratch
from tests.engine.marking import MARKING, Inputs, Person, breaking, calls, failed, marking, paused, project

__all__ = ["project"]


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


@pytest.mark.parametrize("name", ["nobody", "\udce4", "", None, 5, b"last"])
async def test_a_run_that_is_not_there_is_told_so(project: Scratch, name: Any) -> None:
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
    endless = msgspec.msgpack.encode({"words": {"type": "image", "width": 1, "height": 1, "blob": ["a", 1e400, "b"]}})
    half = b"\x81\xa5words\x82\xa4type\xa4text\xa5value\xa3\xed\xa0\x80"
    deep = b"\x81\xa5words\x82\xa4type\xa4data\xa5value" + b"\x91" * 100_000 + b"\xc0"
    for inputs in (b"\xc1", b"", endless, half, deep):
        project.database.execute("UPDATE sensorium_runs SET inputs = ? WHERE run = ?", (inputs, run))
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


async def test_a_run_goes_on_as_one_of_its_own_graph_alone(project: Scratch) -> None:
    run = (await marking(project).arun(words="hey")).run
    other = project.graph(MARKING.replace("name: marking", "name: other").replace("ASKED", ""))
    with pytest.raises(CallerError, match="one of graph 'marking', not of 'other'; load that one, or leave `run`"):
        await other.arun(words="hey", options=RunOptions(run=run))


@pytest.mark.parametrize("run", ["", "last", "-x", "a b", "a\n", "\ud800", "\0", "ü", "x" * 201, 5])
async def test_what_cannot_be_named_is_no_run(project: Scratch, run: Any) -> None:
    graph = marking(project)
    with pytest.raises(CallerError, match="is no id of a run"):
        await graph.arun(words="hey", options=RunOptions(run=run))
    first = await graph.arun(words="hey")
    with pytest.raises(CallerError, match="is no id of a run"):
        await graph.afork(first.run, "two", options=RunOptions(run=run))
    assert len(project.runs.newest(9)) == 1


@pytest.mark.parametrize("run", ["a'b%_\"", "[/red]", "../../x", "x" * 200])
async def test_a_run_goes_on_by_whatever_name_it_was_given(project: Scratch, run: str) -> None:
    graph = marking(project, asks=True)
    with pytest.raises(PausedError):
        await graph.arun(words="hey", options=RunOptions(run=RunId(run)))
    assert (await graph.aresume(run, options=RunOptions(approver=Person()))).all == Text("heyabc")


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
    is_asked, is_marked = asyncio.Event(), asyncio.Event()

    class Silent:
        async def ask(self, question: Question) -> Verdict:
            is_asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    def see(event: Event) -> None:
        if isinstance(event, NodeFinished) and event.node == "other":
            is_marked.set()

    options = RunOptions(approver=Silent(), on_event=see)
    running = asyncio.create_task(graph.arun(words="hey", options=options))
    await asyncio.gather(is_asked.wait(), is_marked.wait())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    record = project.runs.require("last")
    assert record.status == "cancelled"
    assert (await graph.aresume(record.run, options=RunOptions(approver=Person()))).all == Text("heyabc")
    assert calls(project) == ["a", "b", "c", "x"]
