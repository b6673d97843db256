"""Lists that are followed while they are made: when work on them begins, what of it counts, and how it ends."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sensorium.events import (
    ItemMade,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeSkipped,
    NodeStarted,
    RunFinished,
)
from sensorium.graph import Question, Verdict
from sensorium.testing import Scratch
from tests.engine.stream_workshop import SHOUTING, THREE_STAGES, Either, Gate, Running, calls, fill, once, soon, texts


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    made = Gate(tmp_path / "gate")
    yield made
    made.close()


@pytest_asyncio.fixture
async def project(tmp_path: Path, gate: Gate) -> AsyncGenerator[Scratch]:
    made = Scratch(tmp_path)
    fill(made)
    yield made
    gate.let(1000)
    await made.close()


# When work begins


async def test_an_element_is_worked_on_while_the_list_is_made(project: Scratch, gate: Gate) -> None:
    running = Running(project.graph(SHOUTING), {"tries": once("a", "b"), "gate": gate.path})
    gate.let(1)
    await running.until(NodeFinished, "shout[0]")
    assert running.count(ItemMade, "split") == 1
    assert running.count(NodeStarted, "shout") == 1
    assert running.count(NodeFinished, "split") == running.count(NodeFinished, "shout") == 0
    gate.let(2)
    result = await running.result()
    assert texts(result.words) == ["A", "B"]
    assert calls(project) == ["shout a", "shout b"]
    assert running.count(NodeStarted, "shout") == running.count(NodeFinished, "shout") == 1
    shout = next(report for report in result.nodes if report.node == "shout")
    assert (shout.status, shout.cached) == ("done", False)


async def test_elements_go_through_three_stages_one_behind_the_other(project: Scratch, gate: Gate) -> None:
    running = Running(project.graph(THREE_STAGES), {"tries": once("a", "b", "c"), "gate": gate.path})
    for index in range(3):
        assert running.count(NodeStarted, f"shout[{index}]") == 0
        gate.let(1)
        await running.until(NodeFinished, f"wrap[{index}]")
    assert running.count(NodeFinished, "split") == running.count(NodeFinished, "shout") == 0
    gate.let(1)
    assert texts((await running.result()).words) == ["(A)", "(B)", "(C)"]
    assert len(calls(project)) == 6


async def test_a_list_is_passed_on_in_its_order_whatever_is_done_first(
    project: Scratch, gate: Gate, tmp_path: Path
) -> None:
    second = Gate(tmp_path / "second")
    project.graph("""
        name: held-or-not
        inputs: {word: text, gate: text}
        nodes:
          held:   {tool: hold, with: {text: $word, gate: $gate}, when: $word == slow}
          quick:  {tool: wrap, with: {text: $word}, when: $word != slow}
          either: {tool: either, with: {one: $held.text, other: $quick.text}}
        outputs: {text: $either.text}
    """)
    graph = project.graph("""
        name: ordered
        inputs: {tries: data, gate: text, second: text}
        nodes:
          split:  {tool: split, with: {tries: $tries, gate: $gate}}
          middle: {graph: held-or-not, each: $split.words, as: word, with: {word: $word, gate: $second}}
          shout:  {tool: shout, each: $middle.text, as: word, with: {text: $word}}
        outputs: {words: $shout.text}
    """)
    running = Running(graph, {"tries": once("slow", "quick"), "gate": gate.path, "second": second.path})
    gate.let(2)
    await running.until(NodeFinished, "middle[1]")
    assert running.count(NodeStarted, "shout") == 0
    second.let(1)
    await running.until(NodeFinished, "shout[1]")
    assert running.count(NodeFinished, "split") == 0
    gate.let(1)
    assert texts((await running.result()).words) == ["SLOW", "(QUICK)"]
    second.close()


async def test_two_nodes_follow_one_list(project: Scratch, gate: Gate) -> None:
    graph = project.graph("""
        name: two
        inputs: {tries: data, gate: text}
        nodes:
          split: {tool: split, with: {tries: $tries, gate: $gate}}
          shout: {tool: shout, each: $split.words, as: word, with: {text: $word}}
          wrap:  {tool: wrap, each: $split.words, as: word, with: {text: $word}}
          count: {tool: count, with: {words: $split.words}}
        outputs: {loud: $shout.text, wrapped: $wrap.text, count: $count.count}
    """)
    running = Running(graph, {"tries": once("a", "b"), "gate": gate.path})
    gate.let(1)
    await running.until(NodeFinished, "shout[0]")
    await running.until(NodeFinished, "wrap[0]")
    assert running.count(NodeFinished, "split") == running.count(NodeStarted, "count") == 0
    gate.let(2)
    result = await running.result()
    assert (texts(result.loud), texts(result.wrapped)) == (["A", "B"], ["(a)", "(b)"])
    assert result.count.value == 2


async def test_lists_are_followed_within_a_called_graph(project: Scratch, gate: Gate) -> None:
    project.graph(SHOUTING)
    graph = project.graph("""
        name: outer
        inputs: {tries: data, gate: text}
        nodes:
          inner: {graph: shouting, with: {tries: $tries, gate: $gate}}
          wrap:  {tool: wrap, each: $inner.words, as: word, with: {text: $word}}
        outputs: {words: $wrap.text}
    """)
    running = Running(graph, {"tries": once("a"), "gate": gate.path})
    gate.let(1)
    await running.until(NodeFinished, "inner/shout[0]")
    assert running.count(NodeFinished, "inner/split") == running.count(NodeStarted, "wrap") == 0
    gate.let(1)
    result = await running.result()
    assert texts(result.words) == ["(A)"]
    assert running.place(NodeFinished, "inner") < running.place(NodeStarted, "wrap")


async def test_the_most_calls_at_once_are_kept_to_and_nothing_waits_for_itself(tmp_path: Path, gate: Gate) -> None:
    project = Scratch(tmp_path, parallel=1)
    fill(project)
    running = Running(project.graph(THREE_STAGES), {"tries": once("a", "b"), "gate": gate.path})
    gate.let(2)
    await running.until(NodeStarted, "shout[1]")
    assert calls(project) == []
    gate.let(1)
    assert texts((await running.result()).words) == ["(A)", "(B)"]
    await project.close()


async def test_lists_are_followed_across_processes(tmp_path: Path, gate: Gate) -> None:
    project = Scratch(tmp_path, host="worker")
    fill(project)
    running = Running(project.graph(THREE_STAGES), {"tries": once("a", "b"), "gate": gate.path})
    gate.let(1)
    await running.until(NodeFinished, "wrap[0]")
    assert running.count(NodeFinished, "split") == 0
    gate.let(2)
    assert texts((await running.result()).words) == ["(A)", "(B)"]
    assert calls(project) == ["shout a", "wrap A", "shout b", "wrap B"]
    await project.close()


# Who waits for the whole list


@pytest.mark.parametrize(
    "late",
    [
        "{tool: send, each: $split.words, as: word, with: {text: $word}}",
        "{tool: wrap, each: $split.words, as: word, with: {text: $word}, approve: true}",
        "{tool: wrap, each: $split.words, as: word, with: {text: $word}, cache: 'off'}",
        "{tool: shout, each: $split.words, as: word, with: {text: $word}, else: {tool: send}}",
        "{graph: sending, each: $split.words, as: word, with: {text: $word}}",
        "{graph: asking, each: $split.words, as: word, with: {text: $word}}",
        "{agent: sender, each: $split.words, as: word, with: {request: $word}}",
    ],
)
async def test_what_may_not_be_done_in_vain_waits_for_the_whole_list(project: Scratch, gate: Gate, late: str) -> None:
    inner = "inputs: {text: text}\nnodes: {one: {tool: TOOL, with: {text: $text}}}\noutputs: {text: $one.text}\n"
    project.graph("name: sending\n" + inner.replace("TOOL", "send"))
    project.graph("name: asking\n" + inner.replace("TOOL", "wrap").replace("}}}", "}, approve: true}}"))
    project.agent("sender", tools=["send"], inputs={"request": "text"}, outputs={"text": "text"})
    project.scripted("central", lambda _: "answer")
    await assert_waits(project, gate, f"late: {late}", "text")


async def test_a_condition_or_an_input_of_the_lists_maker_is_waited_for(project: Scratch, gate: Gate) -> None:
    project.tool("both", Either, inputs={"one": "text?", "other": "flag"}, outputs={"text": "text"})
    for late in (
        "{tool: wrap, each: $split.words, as: word, with: {text: $word}, when: $split.go}",
        "{tool: both, each: $split.words, as: word, with: {one: $word, other: $split.go}}",
    ):
        await assert_waits(project, gate, f"late: {late}", "text")


async def assert_waits(project: Scratch, gate: Gate, late: str, port: str) -> None:
    """Asserts that a node begins after `split` has ended, where one that may begin at once has done all its work."""
    graph = project.graph(f"""
        name: waits
        inputs: {{tries: data, gate: text}}
        nodes:
          split: {{tool: split, with: {{tries: $tries, gate: $gate}}}}
          shout: {{tool: shout, each: $split.words, as: word, with: {{text: $word}}}}
          {late}
        outputs: {{early: $shout.text, late: $late.{port}}}
    """)
    running = Running(graph, {"tries": once("a", "b"), "gate": gate.path}, approver=Agreeing(), fresh=True)
    gate.let(2)
    await running.until(NodeFinished, "shout[1]")
    assert running.count(NodeStarted, "late") == 0
    gate.let(1)
    result = await running.result()
    assert result.status == "done", result.error
    assert len(texts(result.late)) == 2
    assert running.place(NodeFinished, "split") < running.place(NodeStarted, "late")


class Agreeing:
    """A person who says yes."""

    async def ask(self, question: Question) -> Verdict:
        return Verdict(True)


async def test_a_condition_of_another_node_is_no_reason_to_wait(project: Scratch, gate: Gate) -> None:
    graph = project.graph("""
        name: asked
        inputs: {tries: data, gate: text, go: flag}
        nodes:
          split: {tool: split, with: {tries: $tries, gate: $gate}}
          shout: {tool: shout, each: $split.words, as: word, with: {text: $word}, when: $go}
        outputs: {words: $shout.text}
    """)
    running = Running(graph, {"tries": once("a"), "gate": gate.path, "go": True})
    gate.let(1)
    await running.until(NodeFinished, "shout[0]")
    assert running.count(NodeFinished, "split") == 0
    gate.let(1)
    assert texts((await running.result()).words) == ["A"]
    running = Running(graph, {"tries": once("b"), "gate": gate.path, "go": False})
    gate.let(2)
    assert (await running.result()).words is None
    assert running.count(NodeStarted, "shout") == 0
    assert running.count(NodeSkipped, "shout") == 1
    assert calls(project) == ["shout a"]


# What counts


@pytest.mark.parametrize(
    ("items", "whole", "called"),
    [
        (["a", "x", "c"], ["a", "b", "c"], ["shout a", "shout x", "shout c", "shout b"]),
        (["a", "b", "c"], ["a"], ["shout a", "shout b", "shout c"]),
        (["a"], ["a", "b"], ["shout a", "shout b"]),
        (["a", "b"], [], ["shout a", "shout b"]),
        (["bad"], ["a"], ["shout bad", "shout a"]),
        ([], [], []),
    ],
)
async def test_the_list_that_the_node_ends_with_decides(
    project: Scratch, gate: Gate, items: list[str], whole: list[str], called: list[str]
) -> None:
    running = Running(project.graph(THREE_STAGES), {"tries": once(*items, whole=whole), "gate": gate.path})
    gate.let(len(items))
    for index, item in enumerate(items):
        await running.until(NodeFailed if item == "bad" else NodeFinished, f"shout[{index}]")
    gate.let(1)
    result = await running.result()
    assert result.status == "done"
    assert texts(result.words) == [f"({word.upper()})" for word in whole]
    assert sorted(call for call in calls(project) if call.startswith("shout")) == sorted(called)


async def test_a_try_again_with_other_words_replaces_what_was_begun(project: Scratch, gate: Gate) -> None:
    tries = [{"items": ["a", "b", "c"], "fails": "once"}, {"items": ["a", "d"]}]
    running = Running(project.graph(THREE_STAGES), {"tries": tries, "gate": gate.path})
    gate.let(3)
    await running.until(NodeFinished, "wrap[2]")
    gate.let(3)
    await running.until(NodeFinished, "wrap[1]", times=2)
    assert running.count(NodeFinished, "split") == 0
    gate.let(1)
    assert texts((await running.result()).words) == ["(A)", "(D)"]
    assert sorted(calls(project)) == sorted(
        f"{tool} {word}" for tool, words in (("shout", "abcd"), ("wrap", "ABCD")) for word in words
    )
    assert running.count(NodeStarted, "shout") == running.count(NodeFinished, "shout") == 1


async def test_a_call_that_turns_out_to_be_in_vain_is_cancelled(project: Scratch, gate: Gate, tmp_path: Path) -> None:
    second = Gate(tmp_path / "second")
    graph = project.graph("""
        name: held
        inputs: {tries: data, gate: text, second: text}
        nodes:
          split: {tool: split, with: {tries: $tries, gate: $gate}, retry: 1}
          hold:  {tool: hold, each: $split.words, as: word, with: {text: $word, gate: $second}}
        outputs: {words: $hold.text}
    """)
    tries = [{"items": ["a"], "fails": "once"}, {"items": ["b"]}]
    running = Running(graph, {"tries": tries, "gate": gate.path, "second": second.path})
    gate.let(1)
    await running.until(NodeProgress, "hold[0]")
    gate.let(2)
    await running.until(NodeStarted, "hold[0]", times=2)
    second.let(2)
    await running.until(NodeFinished, "hold[0]")
    gate.let(1)
    assert texts((await running.result()).words) == ["b"]
    assert running.count(NodeFinished, "hold[0]") == 1
    assert calls(project) == ["hold a", "hold b"]
    second.close()


async def test_a_list_whose_maker_fails_stops_those_who_follow_it(project: Scratch, gate: Gate) -> None:
    running = Running(project.graph(THREE_STAGES), {"tries": once("a", "b", fails="always"), "gate": gate.path})
    gate.let(2)
    await running.until(NodeFinished, "wrap[1]")
    gate.let(1)
    result = await running.result()
    assert (result.status, result.words) == ("failed", None)
    assert [report.status for report in result.nodes] == ["failed", "cancelled", "cancelled"]
    assert result.error is not None
    assert (result.error.node, "the pen is broken" in result.error.message) == ("split", True)
    assert running.count(NodeFinished, "shout") == running.count(NodeFailed, "shout") == 0


async def test_an_element_that_failed_fails_its_node_when_the_list_is_whole(project: Scratch, gate: Gate) -> None:
    running = Running(project.graph(THREE_STAGES), {"tries": once("a", "bad", "c"), "gate": gate.path})
    gate.let(3)
    await running.until(NodeFailed, "shout[1]")
    await running.until(NodeFinished, "shout[2]")
    assert running.count(NodeFailed, "shout") == 0
    assert running.count(NodeStarted, "wrap[2]") == 0
    gate.let(1)
    result = await running.result()
    assert [report.status for report in result.nodes] == ["done", "failed", "cancelled"]
    assert result.error is not None
    assert result.error.node == "shout[1]"


async def test_a_stand_in_answers_for_an_element_at_once(project: Scratch, gate: Gate) -> None:
    graph = project.graph(
        THREE_STAGES.replace("name: stages", "name: mended").replace(
            "with: {text: $word}}\n      wrap", "with: {text: $word}, else: {value: {text: '?'}}}\n      wrap"
        )
    )
    running = Running(graph, {"tries": once("a", "bad"), "gate": gate.path})
    gate.let(2)
    await running.until(NodeFinished, "wrap[1]")
    assert running.count(NodeFinished, "split") == 0
    gate.let(1)
    assert texts((await running.result()).words) == ["(A)", "(?)"]


async def test_a_second_run_finds_everything(project: Scratch, gate: Gate) -> None:
    graph = project.graph(THREE_STAGES)
    gate.let(3)
    first = await soon(graph.arun(tries=once("a", "b"), gate=gate.path))
    again = Running(graph, {"tries": once("a", "b"), "gate": gate.path})
    second = await again.result()
    assert texts(second.words) == texts(first.words) == ["(A)", "(B)"]
    assert [report.cached for report in second.nodes] == [True, True, True]
    assert not [event for event in again.events if isinstance(event, ItemMade)]
    assert len(calls(project)) == 4


async def test_a_list_whose_maker_is_skipped_skips_those_who_follow_it(project: Scratch, gate: Gate) -> None:
    graph = project.graph("""
        name: skipping
        inputs: {tries: data, gate: text, go: flag}
        nodes:
          split: {tool: split, with: {tries: $tries, gate: $gate}, when: $go}
          shout: {tool: shout, each: $split.words, as: word, with: {text: $word}}
        outputs: {words: $shout.text}
    """)
    running = Running(graph, {"tries": once("a"), "gate": gate.path, "go": False})
    result = await running.result()
    assert (result.status, result.words) == ("done", None)
    assert [report.status for report in result.nodes] == ["skipped", "skipped"]
    assert running.count(NodeStarted, "shout") == 0


async def test_cancelling_a_run_ends_what_was_begun(project: Scratch, gate: Gate, tmp_path: Path) -> None:
    second = Gate(tmp_path / "second")
    graph = project.graph("""
        name: held
        inputs: {tries: data, gate: text, second: text}
        nodes:
          split: {tool: split, with: {tries: $tries, gate: $gate}}
          hold:  {tool: hold, each: $split.words, as: word, with: {text: $word, gate: $second}}
        outputs: {words: $hold.text}
    """)
    inputs: dict[str, object] = {"tries": once("a", "b"), "gate": gate.path, "second": second.path}
    running = Running(graph, inputs)
    gate.let(1)
    await running.until(NodeStarted, "hold[0]")
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(running.task)
    assert not [task for task in asyncio.all_tasks() if is_of_the_run(task)]
    assert isinstance(running.events[-1], RunFinished)
    assert running.events[-1].status == "cancelled"
    assert not [event for event in running.events if isinstance(event, NodeFinished)]
    gate.let(10)
    second.let(10)
    assert texts((await soon(graph.arun(inputs))).words) == ["a", "b"]
    second.close()


def is_of_the_run(task: asyncio.Task[Any]) -> bool:
    work = task.get_coro()
    assert inspect.iscoroutine(work)
    return "sensorium/graph" in work.cr_code.co_filename
