"""An agent's sentences, worked on while the agent writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path

import pytest_asyncio

from sensorium.events import ItemMade, NodeFinished, NodeStarted
from sensorium.model.contract import Ask, ModelEvent, Reply
from sensorium.parts import Text
from sensorium.testing import Scratch, ScriptedModel
from tests.engine.stream_workshop import Inputs, Running, calls, fill, soon, texts


@pytest_asyncio.fixture
async def project(tmp_path: Path) -> AsyncGenerator[Scratch]:
    made = Scratch(tmp_path)
    fill(made)
    yield made
    await made.close()


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


async def test_what_an_agents_tool_gives_is_no_element_of_the_agents_list(project: Scratch) -> None:
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
