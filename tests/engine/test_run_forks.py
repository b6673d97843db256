"""Runs that begin in the midst of others."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sensorium.errors import CallerError, PausedError, ToolError
from sensorium.events import RunId
from sensorium.graph import RunOptions
from sensorium.testing import Scratch
from tests.engine.marking import Person, breaking, calls, marking, paused, project

__all__ = ["project"]


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
    nothing: Any = None
    with pytest.raises(CallerError, match="a node's name is text"):
        await graph.afork(run, nothing)


async def test_a_fork_of_a_run_that_was_removed_is_told_so(project: Scratch) -> None:
    graph = marking(project, asks=True)
    first = await graph.arun(words="hey", options=RunOptions(approver=Person(), run=RunId("mine")))
    with pytest.raises(PausedError) as raised:
        await graph.afork(first.run, "two")
    fork = raised.value.result.run
    project.runs.drop(first.run)
    await graph.arun(words="you", options=RunOptions(approver=Person(), run=RunId("mine-2")))
    with pytest.raises(CallerError, match=f"run {fork} is a fork of run mine, which was removed"):
        await graph.aresume(fork)
    num_runs = len(project.runs.newest(9))
    with pytest.raises(CallerError, match="was removed"):
        await graph.afork(fork, "three")
    assert len(project.runs.newest(9)) == num_runs, "what cannot begin is not written down as begun"


async def test_a_fork_takes_the_place_of_no_run(project: Scratch) -> None:
    graph = marking(project)
    first = await graph.arun(words="hey")
    with pytest.raises(CallerError, match=f"run {first.run} is there already"):
        await graph.afork(first.run, "two", options=RunOptions(run=first.run))
    assert (await graph.afork(first.run, "two")).all == first.all


async def test_a_run_that_is_said_to_be_a_fork_of_itself_is_damaged(project: Scratch) -> None:
    graph = marking(project, asks=True)
    run = await paused(graph, {"words": "hey"})
    beginning = msgspec.structs.replace(project.runs.require(run).beginning(), parent=run)
    start = msgspec.json.encode(beginning)
    project.database.execute("UPDATE sensorium_runs SET start = ? WHERE run = ?", (start, run))
    with pytest.raises(CallerError, match="damaged: it is a fork of itself"):
        await graph.aresume(run)
