"""Agents as nodes of graphs: what is kept, what is told, and who is asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from sensorium.errors import AuthorError, PausedError
from sensorium.events import Event, NodeProgress, PromptSent, TextPiece, ToolCalled, WireCrossed
from sensorium.graph import Question, RunOptions, Verdict
from sensorium.model.contract import Ask, ModelEvent, Preparing
from sensorium.parts import Number, Text
from sensorium.testing import Scratch, ScriptedModel

GRAPH = """
    name: talk
    inputs: {request: text}
    nodes: {think: {agent: helper, with: {request: $request}}}
    outputs: {answer: $think.answer, total: $think.total}
"""


class Adder:
    """Adds one."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[dict[str, float]]) -> list[dict[str, float]]:
        return [{"total": call["number"] + 1} for call in batch]

    def close(self) -> None: ...


class Person:
    """Says yes or no, and keeps what was asked."""

    def __init__(self, is_approved: bool) -> None:
        self.asked: list[Question] = []
        self._verdict = Verdict(is_approved, "" if is_approved else "too risky")

    async def ask(self, question: Question) -> Verdict:
        self.asked.append(question)
        return self._verdict


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    scratch = Scratch(tmp_path)
    scratch.tool("add", Adder, inputs={"number": "number"}, outputs={"total": "number"}, effects=True)
    scratch.agent("helper", tools=["add"], inputs={"request": "text"}, outputs={"answer": "text", "total": "data?"})
    return scratch


def adds(ask: Ask) -> str:
    if ask.choices:
        return "answer" if "(done:" in ask.messages[-1].content else "add"
    return '{"number": 41}' if ask.schema else "It is done."


async def test_equal_asks_are_made_once_over_runs(scratch: Scratch) -> None:
    scratch.agents["helper"] = scratch.agent("helper", inputs={"request": "text"}, outputs={"answer": "text"})
    model = scratch.scripted("central", lambda _: "Hello.")
    graph = scratch.graph(GRAPH.replace(", total: $think.total", ""))
    for request in ("Hi", "Hi", "Bye"):
        assert (await graph.arun(request=request))["answer"] == Text("Hello.")
    assert len(model.asked) == 2
    await graph.arun(request="Hi", options=RunOptions(fresh=True))
    assert len(model.asked) == 3


async def test_whoever_watches_sees_each_prompt_each_piece_and_each_call(scratch: Scratch) -> None:
    scratch.allowed = frozenset({"add"})
    scratch.scripted("central", adds)
    events: list[Event] = []
    await scratch.graph(GRAPH).arun(request="Add one to 41", options=RunOptions(on_event=events.append))
    prompts = [event.prompt for event in events if isinstance(event, PromptSent)]
    assert len(prompts) == 4
    assert "Add one to 41\n(done: add)" in prompts[2]
    assert [event.text for event in events if isinstance(event, TextPiece)] == ["It", " is", " done."]
    (called,) = [event for event in events if isinstance(event, ToolCalled)]
    assert (called.tool, called.status, called.outputs) == ("add", "done", {"total": Number(42.0)})


@pytest.mark.parametrize("is_approved", [True, False])
async def test_a_tool_with_effects_asks_a_person(scratch: Scratch, is_approved: bool) -> None:
    model = scratch.scripted("central", adds if is_approved else lambda ask: "add" if ask.choices else adds(ask))
    person = Person(is_approved)
    result = await scratch.graph(GRAPH).arun(request="Add", options=RunOptions(approver=person))
    assert result["answer"] == Text("It is done.")
    (question,) = person.asked
    assert (question.node, question.callee, question.inputs) == ("think", "tool add", {"number": Number(41.0)})
    told = model.asked[-1].messages[-1].content
    assert ("a person refused add: too risky" in told) is not is_approved


async def test_without_a_person_to_ask_it_pauses(scratch: Scratch) -> None:
    scratch.scripted("central", adds)
    with pytest.raises(PausedError, match="think waits for a person's approval of tool add"):
        await scratch.graph(GRAPH).arun(request="Add")


async def test_a_tool_that_is_not_there_is_the_authors_fault(scratch: Scratch) -> None:
    scratch.agent(
        "helper", tools=["subtract"], inputs={"request": "text"}, outputs={"answer": "text", "total": "data?"}
    )
    scratch.scripted("central", ["x"])
    with pytest.raises(AuthorError, match="names 'subtract', which is no tool, agent or graph; there are add, helper"):
        await scratch.graph(GRAPH).arun(request="Add")


async def test_a_latent_input_tells_which_rung_was_taken(scratch: Scratch) -> None:
    scratch.tool(
        "look",
        '''
class Look:
    """Gives a vector, and what it says."""

    def setup(self, checkpoints, device): ...
    def run(self, batch): return [{"vector": np.zeros((1, 2), np.float32), "caption": "a red bus"} for _ in batch]
    def close(self): ...
''',
        header="import numpy as np",
        inputs={"name": "text"},
        outputs={"vector": {"type": "latent(look.vector)", "twin": "caption"}, "caption": "text"},
    )
    scratch.agent("helper", inputs={"request": "text", "seen": "latent(look.vector)?"}, outputs={"answer": "text"})
    model = scratch.scripted("central", ["A bus."])
    events: list[Event] = []
    result = await scratch.graph("""
        name: see
        inputs: {request: text}
        nodes:
          look: {tool: look, with: {name: $request}}
          think: {agent: helper, with: {request: $request, seen: $look.vector}}
        outputs: {answer: $think.answer}
    """).arun(request="What is it?", options=RunOptions(on_event=events.append))
    assert "a red bus" in model.asked[0].messages[-1].content
    (crossed,) = [event for event in events if isinstance(event, WireCrossed)]
    assert (crossed.node, crossed.port, crossed.rung) == ("think", "seen", "text")
    assert crossed.why == "bridge: its reader takes text alone"
    assert result.to_json()["nodes"][1]["crossed"] == {
        "seen": {"rung": "text", "bytes": crossed.num_bytes, "why": crossed.why}
    }


class Slow(ScriptedModel):
    """Is long in coming."""

    async def ask(self, ask: Ask) -> AsyncGenerator[ModelEvent, None]:
        yield Preparing(0.0, "loading central", is_loading=True)
        yield Preparing(0.0, "", is_loading=True)
        yield Preparing(0.5, "read 1 of 2 tokens")
        async for event in super().ask(ask):
            yield event


async def test_whoever_watches_is_told_what_a_model_does_before_its_first_word(scratch: Scratch) -> None:
    scratch.agent("helper", inputs={"request": "text"}, outputs={"answer": "text", "total": "data?"})
    scratch.models["central"] = Slow(["Hello."])
    events: list[Event] = []
    result = await scratch.graph(GRAPH).arun(request="Hi", options=RunOptions(on_event=events.append))
    assert result["answer"] == Text("Hello.")
    told = [(event.node, event.note, event.is_loading) for event in events if isinstance(event, NodeProgress)]
    assert told == [("think", "loading central", True), ("think", "", True), ("think", "read 1 of 2 tokens", False)]


async def test_a_model_is_not_told_of_a_failure_that_passes(scratch: Scratch) -> None:
    scratch.tool(
        "add",
        '''
class Adder:
    """Adds one, from the second call on."""

    def setup(self, checkpoints, device): self.calls = 0
    def run(self, batch):
        self.calls += 1
        if self.calls == 1:
            yield Failed(0, "not yet", can_retry=True)
            yield [None]
        yield [{"total": call["number"] + 1} for call in batch]
    def close(self): ...
''',
        header="from sensorium.worker import Failed",
        inputs={"number": "number"},
        outputs={"total": "number"},
    )
    model = scratch.scripted("central", adds)
    events: list[Event] = []
    await scratch.graph(GRAPH).arun(request="Add one to 41", options=RunOptions(on_event=events.append))
    assert not any("not yet" in ask.messages[-1].content for ask in model.asked)
    (called,) = [event for event in events if isinstance(event, ToolCalled)]
    assert (called.status, called.outputs) == ("done", {"total": Number(42.0)})
