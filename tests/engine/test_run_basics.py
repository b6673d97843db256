"""What a run does with nodes, wires and control, on tools of a few lines."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sensorium.errors import CallerError, DeadlineError, PausedError, RefusedError, SensoriumError, ToolError
from sensorium.events import Event, ItemMade, NodeFailed, NodeFinished, NodeProgress, NodeStarted, RunFinished
from sensorium.graph import Graph, Question, Result, RunOptions, Verdict
from sensorium.parts import Number, Text
from sensorium.testing import Scratch
from tests.engine.door import Door, door

__all__ = ["door"]

QUIET = RunOptions(raise_on_failure=False)


@pytest_asyncio.fixture
async def project(tmp_path: Path) -> AsyncGenerator[Scratch]:
    made = Scratch(tmp_path)
    log = f"LOG = {str(tmp_path / 'calls.log')!r}"
    made.tool("shout", Shout, inputs={"text": "text", "times": "number?"}, outputs={"text": "text"}, header=log)
    made.tool("count", Count, inputs={"text": "text"}, outputs={"count": "number", "long": "flag"})
    made.tool("split", Split, inputs={"text": "text"}, outputs={"words": "[text]", "first": "text?"})
    made.tool("join", Join, inputs={"words": "[text]"}, outputs={"text": "text"})
    made.tool("grow", Grow, inputs={"number": "number"}, outputs={"number": "number", "enough": "flag"}, header=log)
    made.tool("fail", Fail, inputs={"text": "text", "passing": "flag?"}, outputs={"text": "text"}, header=log)
    yield made
    await made.close()


def calls(project: Scratch) -> list[str]:
    log = project.home / "calls.log"
    return log.read_text().split("\n")[:-1] if log.exists() else []


LOG = ""
Inputs = dict[str, Any]
Outputs = dict[str, Any]


class Shout:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        with open(LOG, "a") as log:
            log.writelines(f"shout {call['text']}\n" for call in batch)
        return [{"text": call["text"].upper() * int(call.get("times") or 1)} for call in batch]

    def close(self) -> None: ...


class Count:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        return [{"count": float(len(call["text"])), "long": len(call["text"]) > 3} for call in batch]

    def close(self) -> None: ...


class Split:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        split = [call["text"].split() for call in batch]
        return [{"words": words, "first": words[0] if words else None} for words in split]

    def close(self) -> None: ...


class Join:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        return [{"text": " ".join(word or "-" for word in call["words"])} for call in batch]

    def close(self) -> None: ...


class Grow:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        with open(LOG, "a") as log:
            log.writelines(f"grow {call['number']:g}\n" for call in batch)
        return [{"number": call["number"] * 2, "enough": call["number"] * 2 >= 10} for call in batch]

    def close(self) -> None: ...


class Fail:
    """Fails every call; with `passing` the first two alone, and says that they can be made again."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        self.failed = 0

    def run(self, batch: list[Inputs]) -> Iterator[object]:
        from sensorium.worker import Failed

        results: list[Outputs | None] = []
        for index, call in enumerate(batch):
            with open(LOG, "a") as log:
                log.write(f"fail {call['text']}\n")
            passing = bool(call.get("passing"))
            if passing and self.failed >= 2:
                results.append({"text": call["text"]})
                continue
            self.failed += 1
            yield Failed(index, "it is broken", can_retry=passing)
            results.append(None)
        yield results

    def close(self) -> None: ...


async def test_outputs_flow_along_wires(project: Scratch) -> None:
    graph = project.graph("""
        name: loud
        inputs: {words: text, times: "number?"}
        nodes:
          shout: {tool: shout, with: {text: $words, times: $times}}
          count: {tool: count, with: {text: $shout.text}}
        outputs: {loud: $shout.text, count: $count.count, said: $words}
    """)
    result = await graph.arun(words="hey", times=2)
    assert result.status == "done"
    assert result.loud == Text("HEYHEY") == result["loud"]
    assert (result.count, result.said) == (Number(6.0), Text("hey"))
    assert [(report.node, report.status, report.cached) for report in result.nodes] == [
        ("shout", "done", False),
        ("count", "done", False),
    ]


async def test_a_node_whose_when_is_false_is_skipped_with_what_requires_it(project: Scratch) -> None:
    graph = project.graph("""
        name: long
        inputs: {words: text}
        nodes:
          count: {tool: count, with: {text: $words}}
          shout: {tool: shout, with: {text: $words}, when: $count.count > 3}
          again: {tool: shout, with: {text: $shout.text}}
          short: {tool: shout, with: {text: $words}, when: not $count.long}
        outputs: {loud: $again.text, quiet: $short.text}
    """)
    short = await graph.arun(words="hey")
    assert (short.status, short.loud, short.quiet) == ("done", None, Text("HEY"))
    assert [report.status for report in short.nodes] == ["done", "skipped", "skipped", "done"]
    long = await graph.arun(words="hello")
    assert (long.loud, long.quiet) == (Text("HELLO"), None)


async def test_each_calls_for_every_element_and_keeps_their_order(project: Scratch) -> None:
    graph = project.graph("""
        name: words
        inputs: {line: text}
        nodes:
          split: {tool: split, with: {text: $line}}
          shout: {tool: shout, each: $split.words, as: word, with: {text: $word}}
          join:  {tool: join, with: {words: $shout.text}}
        outputs: {words: $shout.text, line: $join.text}
    """)
    events: list[Event] = []
    result = await graph.arun(line="c a b", options=RunOptions(on_event=events.append))
    assert result.words == (Text("C"), Text("A"), Text("B"))
    assert result.line == Text("C A B")
    begun = {event.node for event in events if isinstance(event, NodeStarted)}
    assert begun == {"split", "shout", "shout[0]", "shout[1]", "shout[2]", "join"}
    none = await graph.arun(line="")
    assert (none.words, none.line) == ((), Text(""))


async def test_a_failed_element_fails_its_node_unless_else_stands_in(project: Scratch) -> None:
    project.tool("picky", Picky, inputs={"text": "text"}, outputs={"text": "text"})
    text = """
        name: pick
        inputs: {line: "[text]"}
        nodes: {pick: {tool: picky, each: $line, as: word, with: {text: $word} ELSE}}
        outputs: {words: $pick.text}
    """
    failed = await project.graph(text.replace("ELSE", "")).arun(line=["a", "bad", "c"], options=QUIET)
    assert failed.status == "failed"
    assert failed.error is not None
    assert (failed.error.kind, failed.error.node) == ("tool", "pick[1]")
    graph = project.graph(text.replace("ELSE", ", else: {value: {text: '?'}}").replace("name: pick", "name: pick-else"))
    mended = await graph.arun(line=["a", "bad", "c"])
    assert mended.words == (Text("a"), Text("?"), Text("c"))
    assert "no bad words" in mended.nodes[0].why


class Picky:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        (call,) = batch
        if call["text"] == "bad":
            raise ValueError("no bad words")
        return [{"text": call["text"]}]

    def close(self) -> None: ...


async def test_until_goes_round_and_hands_on_what_carry_names(project: Scratch) -> None:
    graph = project.graph("""
        name: grow
        inputs: {number: number}
        nodes:
          grow: {tool: grow, with: {number: $number}, until: $self.enough, at_most: 5, carry: {number: $self.number}}
        outputs: {number: $grow.number}
    """)
    assert (await graph.arun(number=3)).number == Number(12.0)
    assert calls(project) == ["grow 3", "grow 6"]
    with pytest.raises(ToolError, match="did not hold after 5 rounds"):
        await graph.arun(number=0)


async def test_rounds_without_carry_are_calls_of_their_own(project: Scratch) -> None:
    graph = project.graph("""
        name: again
        inputs: {number: number}
        nodes: {grow: {tool: grow, with: {number: $number}, until: $self.enough, at_most: 3}}
        outputs: {number: $grow.number}
    """)
    assert (await graph.arun(number=1, options=QUIET)).status == "failed"
    assert calls(project) == ["grow 1"] * 3


async def test_retry_makes_calls_again_that_may_pass(project: Scratch) -> None:
    text = """
        name: retry
        inputs: {words: text, passing: flag}
        nodes: {fail: {tool: fail, with: {text: $words, passing: $passing}, retry: 3}}
        outputs: {words: $fail.text}
    """
    graph = project.graph(text)
    assert (await graph.arun(words="a", passing=True)).words == Text("a")
    assert calls(project) == ["fail a"] * 3
    assert (await graph.arun(words="b", passing=False, options=QUIET)).status == "failed"
    assert calls(project)[3:] == ["fail b"]


async def test_else_stands_in_for_a_tool_a_graph_or_a_value(project: Scratch) -> None:
    project.graph("""
        name: spare
        inputs: {text: text}
        nodes: {shout: {tool: shout, with: {text: $text}}}
        outputs: {text: $shout.text}
    """)
    for instead, wanted in (
        ("{tool: shout}", Text("HEY")),
        ("{tool: shout, with: {text: ho}}", Text("HO")),
        ("{graph: spare}", Text("HEY")),
        ("{value: {text: nothing}}", Text("nothing")),
        ("{value: {text: null}}", None),
    ):
        graph = project.graph(f"""
            name: else
            inputs: {{words: text}}
            nodes: {{fail: {{tool: fail, with: {{text: $words}}, else: {instead}}}}}
            outputs: {{words: $fail.text}}
        """)
        result = await graph.arun(words="hey")
        assert (result.status, result.words) == ("done", wanted)
        assert "it is broken" in result.nodes[0].why


async def test_a_failure_stops_only_what_depends_on_it(project: Scratch) -> None:
    graph = project.graph("""
        name: two
        inputs: {words: text}
        nodes:
          fail:  {tool: fail, with: {text: $words}}
          after: {tool: shout, with: {text: $fail.text}}
          last:  {tool: shout, with: {text: $after.text}}
          shout: {tool: shout, with: {text: $words}}
          count: {tool: count, with: {text: $shout.text}}
        outputs: {lost: $last.text, count: $count.count}
    """)
    result = await graph.arun(words="hey", options=QUIET)
    assert (result.status, result.lost, result.count) == ("failed", None, Number(3.0))
    assert [report.status for report in result.nodes] == ["failed", "cancelled", "cancelled", "done", "done"]
    assert result.error is not None
    assert (result.error.kind, result.error.node) == ("tool", "fail")
    assert "it is broken" in result.error.message


async def test_a_run_that_fails_raises_with_what_could_be_had(project: Scratch) -> None:
    graph = project.graph("""
        name: two
        inputs: {words: text}
        nodes:
          fail:  {tool: fail, with: {text: $words}}
          shout: {tool: shout, with: {text: $words}}
        outputs: {lost: $fail.text, loud: $shout.text}
    """)
    with pytest.raises(ToolError, match="it is broken") as raised:
        await graph.arun(words="hey")
    assert raised.value.node == "fail"
    assert isinstance(raised.value.result, Result)
    assert raised.value.result.loud == Text("HEY")


async def test_a_graph_is_called_as_a_node(project: Scratch) -> None:
    project.graph("""
        name: inner
        inputs: {line: text}
        nodes:
          shout: {tool: shout, with: {text: $line}}
          count: {tool: count, with: {text: $shout.text}}
        outputs: {text: $shout.text, count: $count.count}
    """)
    graph = project.graph("""
        name: outer
        inputs: {line: text}
        nodes:
          split: {tool: split, with: {text: $line}}
          album: {graph: inner, each: $split.words, as: word, with: {line: $word}}
          one:   {graph: inner, with: {line: $line}}
        outputs: {counts: $album.count, text: $one.text}
    """)
    events: list[Event] = []
    result = await graph.arun(line="ab c", options=RunOptions(on_event=events.append))
    assert result.counts == (Number(2.0), Number(1.0))
    assert result.text == Text("AB C")
    paths = {event.node for event in events if isinstance(event, NodeFinished)}
    assert {"album[1]/count", "album[1]", "album", "one/shout", "one"} <= paths
    assert [report.node for report in result.nodes] == ["split", "album", "one", "one/shout", "one/count"]


async def test_a_failure_within_a_called_graph_names_its_node(project: Scratch) -> None:
    project.graph("""
        name: inner
        inputs: {line: text}
        nodes: {fail: {tool: fail, with: {text: $line}}}
        outputs: {text: $fail.text}
    """)
    graph = project.graph("""
        name: outer
        inputs: {line: text}
        nodes: {album: {graph: inner, with: {line: $line}}}
        outputs: {text: $album.text}
    """)
    result = await graph.arun(line="a", options=QUIET)
    assert result.error is not None
    assert result.error.node == "album/fail"
    assert [(report.node, report.status) for report in result.nodes] == [("album", "failed"), ("album/fail", "failed")]


async def test_progress_and_items_are_told_as_they_come(project: Scratch) -> None:
    project.tool("spell", Spell, inputs={"text": "text"}, outputs={"letters": "[text]"})
    graph = project.graph("""
        name: spell
        inputs: {words: text}
        nodes: {spell: {tool: spell, with: {text: $words}}}
        outputs: {letters: $spell.letters}
    """)
    events = [event async for event in graph.stream(words="ab")]
    assert [event.part for event in events if isinstance(event, ItemMade)] == [Text("a"), Text("b")]
    assert [event.share for event in events if isinstance(event, NodeProgress)] == [0.5, 1.0]
    assert isinstance(events[-1], RunFinished)
    assert events[-1].status == "done"


class Spell:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> Iterator[object]:
        from sensorium.worker import Item, Progress

        text = batch[0]["text"]
        for index, letter in enumerate(text):
            yield Item(0, "letters", letter)
            yield Progress(0, (index + 1) / len(text))
        yield [{"letters": list(text)}]

    def close(self) -> None: ...


async def test_a_watcher_that_fails_does_not_fail_the_run(project: Scratch, caplog: pytest.LogCaptureFixture) -> None:
    graph = shouting(project)

    def see(event: Event) -> None:
        raise ValueError("I cannot look")

    assert (await graph.arun(words="hey", options=RunOptions(on_event=see))).loud == Text("HEY")
    assert "I cannot look" in caplog.text


async def test_a_call_that_takes_longer_than_its_timeout_fails(project: Scratch, door: Door) -> None:
    project.tool("wait", Wait, inputs={"path": "text"}, outputs={"text": "text"})
    graph = project.graph("""
        name: wait
        inputs: {path: text}
        nodes: {wait: {tool: wait, with: {path: $path}, timeout: 0.1}}
        outputs: {text: $wait.text}
    """)
    with pytest.raises(DeadlineError, match="wait"):
        await graph.arun(path=str(door.path))


class Wait:
    """Waits until a door is opened."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> Iterator[object]:
        from sensorium.worker import Progress

        (call,) = batch
        yield Progress(0, 0.5)
        open(call["path"]).close()
        yield [{"text": "gone on"}]

    def close(self) -> None: ...


async def test_cancelling_a_run_ends_its_calls(project: Scratch, door: Door) -> None:
    project.tool("wait", Wait, inputs={"path": "text"}, outputs={"text": "text"})
    graph = project.graph("""
        name: wait
        inputs: {path: text}
        nodes:
          wait:  {tool: wait, with: {path: $path}}
          shout: {tool: shout, with: {text: $wait.text}}
        outputs: {text: $shout.text}
    """)
    events: list[Event] = []
    begun = asyncio.Event()

    def see(event: Event) -> None:
        events.append(event)
        if isinstance(event, NodeProgress):
            begun.set()

    running = asyncio.ensure_future(graph.arun(path=str(door.path), options=RunOptions(on_event=see)))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert isinstance(events[-1], RunFinished)
    assert events[-1].status == "cancelled"
    assert not [event for event in events if isinstance(event, NodeFinished)]
    door.open()
    assert (await graph.arun(path=str(door.path))).text == Text("GONE ON")


async def test_leaving_a_stream_cancels_the_run(project: Scratch, door: Door) -> None:
    project.tool("wait", Wait, inputs={"path": "text"}, outputs={"text": "text"})
    graph = project.graph("""
        name: wait
        inputs: {path: text}
        nodes: {wait: {tool: wait, with: {path: $path}}}
        outputs: {text: $wait.text}
    """)
    seen: list[Event] = []
    stream = graph.stream(path=str(door.path), options=RunOptions(on_event=seen.append))
    async for event in stream:
        if isinstance(event, NodeProgress):
            break
    await stream.aclose()
    assert isinstance(seen[-1], RunFinished)
    assert seen[-1].status == "cancelled"


async def test_a_node_that_wants_approval_pauses_a_run_where_nobody_can_be_asked(project: Scratch) -> None:
    graph = approving(project)
    with pytest.raises(PausedError, match="waits for a person") as raised:
        await graph.arun(words="hey")
    assert raised.value.exit_code == 6
    assert raised.value.result.status == "paused"
    assert raised.value.result.quiet == Number(3.0)
    assert calls(project) == []


async def test_a_person_approves_or_refuses(project: Scratch) -> None:
    graph = approving(project)

    class Person:
        def __init__(self, verdict: Verdict) -> None:
            self.verdict = verdict
            self.asked: list[Question] = []

        async def ask(self, question: Question) -> Verdict:
            self.asked.append(question)
            return self.verdict

    yes = Person(Verdict(True))
    assert (await graph.arun(words="hey", options=RunOptions(approver=yes))).loud == Text("HEY")
    assert [(question.node, question.callee) for question in yes.asked] == [("shout", "tool shout")]
    assert yes.asked[0].inputs["text"] == Text("hey")
    with pytest.raises(RefusedError, match="not so loud") as raised:
        await graph.arun(words="hey", options=RunOptions(approver=Person(Verdict(False, "not so loud"))))
    assert raised.value.result.status == "refused"


def approving(project: Scratch) -> Graph:
    return project.graph("""
        name: approve
        inputs: {words: text}
        nodes:
          shout: {tool: shout, with: {text: $words}, approve: true}
          count: {tool: count, with: {text: $words}}
        outputs: {loud: $shout.text, quiet: $count.count}
    """)


def shouting(project: Scratch) -> Graph:
    return project.graph("""
        name: loud
        inputs: {words: text}
        nodes: {shout: {tool: shout, with: {text: $words}}}
        outputs: {loud: $shout.text}
    """)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"wrods": "hey"}, "has no input 'wrods'; did you mean 'words'"),
        ({}, r"lacks words \(text\); give it"),
        ({"words": None}, r"lacks words \(text\)"),
        ({"words": 3}, "input words is a int; give text"),
        ({"words": "half a \ud83d"}, "lone surrogate"),
    ],
)
async def test_inputs_that_do_not_fit_are_refused_before_anything_begins(
    project: Scratch, inputs: dict[str, object], says: str
) -> None:
    graph = shouting(project)
    events: list[Event] = []
    with pytest.raises(CallerError, match=says):
        await graph.arun(inputs, options=RunOptions(on_event=events.append))
    assert events == []


async def test_text_that_is_not_unicode_is_refused_when_a_tool_gives_it(project: Scratch) -> None:
    project.tool("halve", Halve, inputs={"text": "text"}, outputs={"text": "text"})
    graph = project.graph("""
        name: halve
        inputs: {words: text}
        nodes: {halve: {tool: halve, with: {text: $words}}}
        outputs: {text: $halve.text}
    """)
    with pytest.raises(ToolError):
        await graph.arun(words="hey")


class Halve:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        return [{"text": "half a \ud83d"} for _ in batch]

    def close(self) -> None: ...


async def test_a_batch_gives_a_result_for_each_set_of_inputs(project: Scratch) -> None:
    project.tool("picky", Picky, inputs={"text": "text"}, outputs={"text": "text"})
    graph = project.graph("""
        name: pick
        inputs: {word: text}
        nodes: {pick: {tool: picky, with: {text: $word}}}
        outputs: {word: $pick.text}
    """)
    results = await graph.abatch([{"word": word} for word in ("a", "bad", "c")], parallel=2)
    assert [result.status for result in results] == ["done", "failed", "done"]
    assert [result.outputs["word"] for result in results] == [Text("a"), None, Text("c")]
    with pytest.raises(CallerError, match="has no input"):
        await graph.abatch([{"word": "a"}, {"world": "b"}])


async def test_run_works_within_a_running_loop_and_without_one(tmp_path: Path) -> None:
    project = Scratch(tmp_path)
    project.tool("count", Count, inputs={"text": "text"}, outputs={"count": "number", "long": "flag"})
    graph = project.graph("""
        name: count
        inputs: {words: text}
        nodes: {count: {tool: count, with: {text: $words}}}
        outputs: {count: $count.count}
    """)
    assert graph.run(words="hey").count == Number(3.0)
    assert await asyncio.to_thread(lambda: graph.run(words="hello").count) == Number(5.0)
    assert [result.outputs["count"] for result in graph.batch([{"words": "a"}, {"words": "ab"}])] == [
        Number(1.0),
        Number(2.0),
    ]


def test_an_interrupt_ends_the_calls_of_a_run(tmp_path: Path, door: Door) -> None:
    project = Scratch(tmp_path)
    project.tool("wait", Wait, inputs={"path": "text"}, outputs={"text": "text"})
    graph = project.graph("""
        name: wait
        inputs: {path: text}
        nodes: {wait: {tool: wait, with: {path: $path}}}
        outputs: {text: $wait.text}
    """)
    events: list[Event] = []

    def see(event: Event) -> None:
        events.append(event)
        if isinstance(event, NodeProgress):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        graph.run(path=str(door.path), options=RunOptions(on_event=see))
    assert isinstance(events[-1], RunFinished)
    assert events[-1].status == "cancelled"


async def test_an_error_that_nobody_raised_on_purpose_is_our_own_fault(project: Scratch) -> None:
    graph = shouting(project)
    entry = project.tools.pop("shout")
    result = await graph.arun(words="hey", options=QUIET)
    project.tools["shout"] = entry
    assert result.error is not None
    assert result.error.kind == "internal"


async def test_failures_are_told_by_event(project: Scratch) -> None:
    graph = project.graph("""
        name: fails
        inputs: {words: text}
        nodes: {fail: {tool: fail, with: {text: $words}}}
        outputs: {words: $fail.text}
    """)
    events: list[Event] = []

    async def watch() -> None:
        async for event in graph.stream(words="a"):
            events.append(event)  # noqa: PERF401 - the stream raises at its end

    with pytest.raises(SensoriumError):
        await watch()
    assert [(event.node, event.kind) for event in events if isinstance(event, NodeFailed)] == [("fail", "tool")]
    assert isinstance(events[-1], RunFinished)
    assert events[-1].status == "failed"
