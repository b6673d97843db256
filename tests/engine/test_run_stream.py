"""Lists that are followed while they are made: when work on them begins, what of it counts, and how it ends."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncGenerator, Awaitable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from sensorium.events import (
    Event,
    ItemMade,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeSkipped,
    NodeStarted,
    RunFinished,
)
from sensorium.graph import Graph, Question, Result, RunOptions, Verdict
from sensorium.model.contract import Ask, ModelEvent, Reply
from sensorium.parts import Text, Value
from sensorium.testing import Scratch, ScriptedModel

Made = TypeVar("Made")
Inputs = dict[str, Any]
Outputs = dict[str, Any]
LOG = ""

PATIENCE_S = 60.0


class Gate:
    """A pipe that a tool reads before each step; closed, it lets everything through."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._file = os.open(path, os.O_RDWR)  # for reading too, since opening one end alone waits for the other

    def let(self, steps: int) -> None:
        os.write(self._file, b"." * steps)

    def close(self) -> None:
        self.let(1000)
        os.close(self._file)


class Running:
    """A run that is watched from outside."""

    def __init__(self, graph: Graph, inputs: dict[str, object], **options: Any) -> None:
        self.events: list[Event] = []
        self._changed = asyncio.Event()
        whole = RunOptions(on_event=self._see, raise_on_failure=False, **options)
        self.task = asyncio.ensure_future(graph.arun(inputs, options=whole))

    def _see(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, kind: type[Event], node: str, times: int = 1) -> None:
        """Waits until so many such events were seen of a node."""
        async with asyncio.timeout(PATIENCE_S):
            while self.count(kind, node) < times:
                assert not self.task.done(), f"the run ended before {kind.__name__} of {node}: {self.events}"
                await self._changed.wait()
                self._changed.clear()

    def count(self, kind: type[Event], node: str) -> int:
        return sum(isinstance(event, kind) and getattr(event, "node", "") == node for event in self.events)

    def place(self, kind: type[Event], node: str) -> int:
        """Where the first such event of a node stands among all."""
        return next(
            place
            for place, event in enumerate(self.events)
            if isinstance(event, kind) and getattr(event, "node", "") == node
        )

    async def result(self) -> Result:
        return await soon(self.task)


async def soon(work: Awaitable[Made]) -> Made:
    async with asyncio.timeout(PATIENCE_S):
        return await work


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


def fill(project: Scratch) -> None:
    log = f"LOG = {str(project.home / 'calls.log')!r}"
    project.tool("split", Split, inputs={"tries": "data", "gate": "text"}, outputs={"words": "[text]", "go": "flag"})
    project.tool("shout", Shout, inputs={"text": "text"}, outputs={"text": "text"}, header=log)
    project.tool("wrap", Wrap, inputs={"text": "text"}, outputs={"text": "text"}, header=log)
    project.tool("send", Wrap, inputs={"text": "text"}, outputs={"text": "text"}, header=log, effects=True)
    project.tool("hold", Hold, inputs={"text": "text", "gate": "text"}, outputs={"text": "text"}, header=log)
    project.tool("either", Either, inputs={"one": "text?", "other": "text?"}, outputs={"text": "text"})
    project.tool("count", Count, inputs={"words": "[text]"}, outputs={"count": "number"})


def calls(project: Scratch) -> list[str]:
    log = project.home / "calls.log"
    return log.read_text().split("\n")[:-1] if log.exists() else []


class Split:
    """Gives the words of a try one by one, each behind the gate, and so its end.

    A try is `{"items", "whole"?, "fails"?}`: `whole` is the list in the end where it is another, `fails` says whether
    the try fails, `once` in a way that can pass.
    """

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        self.tried = 0

    def run(self, batch: list[Inputs]) -> Iterator[object]:
        from sensorium.worker import Failed, Item

        (call,) = batch
        this = call["tries"][min(self.tried, len(call["tries"]) - 1)]
        self.tried += 1
        with open(call["gate"], "rb", buffering=0) as gate:
            for word in this["items"]:
                gate.read(1)
                yield Item(0, "words", word)
            gate.read(1)
        if "fails" in this:
            yield Failed(0, "the pen is broken", can_retry=this["fails"] == "once")
            yield [None]
        else:
            yield [{"words": this.get("whole", this["items"]), "go": True}]

    def close(self) -> None: ...


class Shout:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        (call,) = batch
        with open(LOG, "a") as log:
            log.write(f"shout {call['text']}\n")
        if call["text"] == "bad":
            raise ValueError("no bad words")
        return [{"text": call["text"].upper()}]

    def close(self) -> None: ...


class Wrap:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        (call,) = batch
        with open(LOG, "a") as log:
            log.write(f"wrap {call['text']}\n")
        return [{"text": f"({call['text']})"}]

    def close(self) -> None: ...


class Hold:
    """Gives its text behind a gate."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> Iterator[object]:
        from sensorium.worker import Progress

        (call,) = batch
        with open(LOG, "a") as log:
            log.write(f"hold {call['text']}\n")
        yield Progress(0, 0.5)
        with open(call["gate"], "rb", buffering=0) as gate:
            gate.read(1)
        yield Progress(0, 1.0)
        yield [{"text": call["text"]}]

    def close(self) -> None: ...


class Either:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        return [{"text": call["one"] or call["other"]} for call in batch]

    def close(self) -> None: ...


class Count:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        return [{"count": len(call["words"])} for call in batch]

    def close(self) -> None: ...


def texts(value: Value) -> list[str | None]:
    assert isinstance(value, tuple)
    return [None if part is None else str(part) for part in value]


def once(*items: str, **further: object) -> list[dict[str, object]]:
    return [{"items": list(items), **further}]


SHOUTING = """
    name: shouting
    inputs: {tries: data, gate: text}
    nodes:
      split: {tool: split, with: {tries: $tries, gate: $gate}, retry: 2}
      shout: {tool: shout, each: $split.words, as: word, with: {text: $word}}
    outputs: {words: $shout.text}
"""
THREE_STAGES = """
    name: stages
    inputs: {tries: data, gate: text}
    nodes:
      split: {tool: split, with: {tries: $tries, gate: $gate}, retry: 2}
      shout: {tool: shout, each: $split.words, as: word, with: {text: $word}}
      wrap:  {tool: wrap, each: $shout.text, as: word, with: {text: $word}}
    outputs: {words: $wrap.text}
"""


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


# An agent's sentences


class Writer(ScriptedModel):
    """Says the last word of its reply when it is told to."""

    def __init__(self, replies: Sequence[str]) -> None:
        super().__init__(replies)
        self.may_end = asyncio.Event()

    async def ask(self, ask: Ask) -> AsyncGenerator[ModelEvent, None]:
        async for event in super().ask(ask):
            if isinstance(event, Reply):
                await self.may_end.wait()
            yield event


TELL = """
    name: tell
    inputs: {request: text}
    nodes:
      think: {agent: teller, with: {request: $request}}
      shout: {tool: shout, each: $think.sentences, as: sentence, with: {text: $sentence}}
    outputs: {answer: $think.answer, said: $shout.text}
"""


async def test_a_sentence_is_worked_on_while_the_next_is_written(project: Scratch) -> None:
    project.agent("teller", inputs={"request": "text"}, outputs={"answer": "text", "sentences": "[text]"})
    project.models["central"] = writer = Writer(["It rains. Dr. Moss stays in.\n真的？"])
    running = Running(project.graph(TELL), {"request": "How is it?"})
    await running.until(NodeFinished, "shout[1]")
    assert running.count(NodeFinished, "think") == 0
    writer.may_end.set()
    result = await running.result()
    assert result.answer == Text("It rains. Dr. Moss stays in.\n真的？")
    assert texts(result.said) == ["IT RAINS.", "DR. MOSS STAYS IN.", "真的？"]
    assert [str(event.part) for event in running.events if isinstance(event, ItemMade)] == [
        "It rains.",
        "Dr. Moss stays in.",
        "真的？",
    ]
    assert len(writer.asked) == 1


async def test_sentences_of_an_answer_that_was_kept_are_there_too(project: Scratch) -> None:
    project.agent("teller", inputs={"request": "text"}, outputs={"answer": "text", "sentences": "[text]"})
    model = project.scripted("central", ["It rains. Stay in."])
    graph = project.graph(TELL)
    for _ in range(2):
        assert texts((await soon(graph.arun(request="How is it?"))).said) == ["IT RAINS.", "STAY IN."]
    assert len(model.asked) == 1
    assert sorted(calls(project)) == ["shout It rains.", "shout Stay in."]


async def test_what_an_agents_tool_gives_is_no_element_of_the_agents_list(project: Scratch, gate: Gate) -> None:
    project.tool("sentence", Sentence, inputs={"text": "text"}, outputs={"sentences": "[text]"})
    project.agent(
        "teller", tools=["sentence"], inputs={"request": "text"}, outputs={"answer": "text", "sentences": "[text]"}
    )
    project.scripted("central", ["sentence", '{"text": "It rains"}', "answer", "Stay in."])
    running = Running(project.graph(TELL), {"request": "How is it?"})
    result = await running.result()
    assert result.error is None, result.error
    assert texts(result.said) == ["STAY IN."]
    assert running.count(NodeStarted, "shout[0]") == 1
    assert [str(event.part) for event in running.events if isinstance(event, ItemMade)] == ["It rains", "Stay in."]


class Sentence:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> Iterator[object]:
        from sensorium.worker import Item

        (call,) = batch
        yield Item(0, "sentences", call["text"])
        yield [{"sentences": [call["text"]]}]

    def close(self) -> None: ...
