"""Agents that hand on what their model holds, where the model hands on text alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from sensorium.errors import AuthorError, CallerError
from sensorium.events import Event, WireCrossed
from sensorium.graph import RunOptions
from sensorium.parts import Latent
from sensorium.spec.agent import AgentSpec
from sensorium.testing import Scratch

CONTEXT = "latent(lm.context)"
MUTE = "kv, recipe, embeds: its sender hands on text alone"


@pytest.fixture
async def scratch(tmp_path: Path) -> AsyncIterator[Scratch]:
    scratch = Scratch(tmp_path)
    scratch.agent("reader", inputs={"document": "text"}, outputs={"memory": CONTEXT})
    asked = {"memory": CONTEXT, "question": "text"}
    scratch.agent("answerer", prompt="Answer from it.", inputs=asked, outputs={"answer": "text"})
    yield scratch
    await scratch.close()


GRAPH = """
    name: read-and-answer
    inputs: {document: text}
    nodes:
      read: {agent: reader, with: {document: $document}}
      say: {agent: answerer, with: {memory: $read.memory, question: "What is red?"}}
    outputs: {answer: $say.answer, memory: $read.memory}
"""


async def test_what_was_read_goes_on_as_text_and_the_wire_says_why(scratch: Scratch) -> None:
    model = scratch.scripted("central", ["The door."])
    events: list[Event] = []
    result = await scratch.graph(GRAPH).arun(document="The door is red.", options=RunOptions(on_event=events.append))
    memory = result["memory"]
    assert isinstance(memory, Latent)
    assert (memory.space, memory.twin, memory.made_by) == ("lm.context", "The door is red.", "central")
    assert len(model.asked) == 1  # nobody asks a model that holds nothing
    assert "The door is red." in model.asked[0].messages[-1].content
    assert model.asked[0].messages[0].content == "Answer from it."
    (crossed,) = (event for event in events if isinstance(event, WireCrossed))
    assert (crossed.rung, crossed.why, crossed.num_bytes) == ("text", MUTE, len("The door is red."))


async def test_thoughts_are_written_down_where_they_cannot_be_thought(scratch: Scratch) -> None:
    model = scratch.scripted("central", ["So the door is open.", "The house is ours.", "Through the door."])
    inputs = {"notes": "text", "thoughts": f"{CONTEXT}?"}
    limits = {"thoughts": 4}
    scratch.agent("thinker", prompt="Think.", inputs=inputs, outputs={"thoughts": CONTEXT}, limits=limits)
    result = await scratch.graph("""
        name: think
        inputs: {first: text, second: text}
        nodes:
          begin: {agent: thinker, with: {notes: $first}}
          go-on: {agent: thinker, with: {notes: $second, thoughts: $begin.thoughts}}
          say: {agent: answerer, with: {memory: $go-on.thoughts, question: "How do we come in?"}}
        outputs: {answer: $say.answer, thoughts: $go-on.thoughts}
    """).arun(first="The key is lost.", second="We live there.")
    thoughts = result["thoughts"]
    assert isinstance(thoughts, Latent)
    assert thoughts.twin is not None
    assert thoughts.twin.split("\n\n") == [
        "The key is lost.",
        "So the door is open.",
        "We live there.",
        "The house is ours.",
    ]
    assert model.asked[0].messages[-1].content == "The key is lost.\n\nThink."
    assert str(result["answer"]) == "Through the door."


async def test_a_wire_that_nothing_may_cross_fails_and_tells_of_every_rung(scratch: Scratch) -> None:
    scratch.scripted("central", ["The door."])
    graph = scratch.graph(GRAPH.replace('red?"}}', 'red?"}, wire: {memory: {rungs: [kv, recipe]}}}'))
    with pytest.raises(
        CallerError, match=r"input memory: no way is left .*kv: its sender hands on text alone; .*text: the"
    ):
        await graph.arun(document="The door is red.")


async def test_a_context_goes_into_an_agent_and_nowhere_as_text(scratch: Scratch) -> None:
    scratch.scripted("central", [])
    scratch.agent("other", inputs={"request": "text"})
    with pytest.raises(
        AuthorError, match=r"memory is latent\(lm.context\), and input 'request' of agent other takes text"
    ):
        scratch.graph("""
            name: wrong
            inputs: {document: text}
            nodes:
              read: {agent: reader, with: {document: $document}}
              say: {agent: other, with: {request: $read.memory}}
            outputs: {answer: $say.answer}
        """)


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"outputs": {"one": CONTEXT, "two": CONTEXT}}, "outputs one and two are lm.context, and an agent holds one"),
        ({"limits": {"thoughts": 3}}, "limits.thoughts is for an agent that hands on what it holds"),
        ({"limits": {"thoughts": -1}, "outputs": {"one": CONTEXT}}, "greater than or equal to 0"),
        ({"outputs": {"one": f"[{CONTEXT}]"}}, "which an agent cannot fill"),
    ],
)
def test_an_agents_file_says_what_it_can_hold(declared: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        AgentSpec.model_validate({"name": "one", "about": "One.", **declared})


@pytest.mark.parametrize("rung", ["KV", "kv/", "kv/Int8", "tin-can", "text "])
def test_a_rung_that_is_none_is_a_fault(scratch: Scratch, rung: str) -> None:
    with pytest.raises(AuthorError, match="rungs"):
        scratch.graph(GRAPH.replace('red?"}}', f'red?"}}, wire: {{memory: {{rungs: ["{rung}"]}}}}}}'))
