"""A model that sees and hears for itself: what came with the request reaches it, and counts for what is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from sensorium.errors import CallerError
from sensorium.events import Event, PromptSent
from sensorium.graph import Graph, RunOptions
from sensorium.model.contract import Ask, Message
from sensorium.parts import Audio, Image
from sensorium.project import Project
from sensorium.testing import Scratch, ScriptedModel

RED, BLUE = (PillowImage.new("RGB", (8, 6), colour) for colour in ((200, 0, 0), (0, 0, 200)))
TALK = """
    name: talk
    inputs: {request: text, image: "image?", pictures: "[image]?", audio: "audio?"}
    nodes:
      think:
        agent: helper
        with: {request: $request, image: $image, pictures: $pictures, audio: $audio}
    outputs: {answer: $think.answer, object: $think.object}
"""


class Look:
    """Says that a picture is there."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[dict[str, object]]) -> list[dict[str, object]]:
        return [{"caption": "a colour", "copy": call["image"]} for call in batch]

    def close(self) -> None: ...


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    scratch = Scratch(tmp_path)
    scratch.tool("look", Look, inputs={"image": "image"}, outputs={"caption": "text", "copy": "image"})
    return scratch


def talk(scratch: Scratch, *tools: str) -> Graph:
    inputs = {"request": "text", "image": "image?", "pictures": "[image]?", "audio": "audio?"}
    scratch.agent("helper", tools=list(tools), inputs=inputs, outputs={"answer": "text", "object": "text?"})
    return scratch.graph(TALK)


def says(ask: Ask) -> str:
    if ask.choices:
        return "look"
    return '{"object": "bus"}' if ask.schema else "A bus."


async def test_what_came_with_the_request_stands_in_the_last_message_of_every_ask(scratch: Scratch) -> None:
    model = scratch.scripted("central", says, reads=("image", "audio"))
    sound = (np.zeros(160, np.float32), 16_000)
    await talk(scratch, "look").arun(request="What is it?", image=RED, pictures=[BLUE, RED], audio=sound)
    assert len(model.asked) == 3  # which tool, the answer, the object
    for ask in model.asked:
        *before, last = ask.messages
        assert not any(message.parts for message in before)
        assert [type(part) for part in last.parts] == [Image, Image, Image, Audio]  # and not what the tool made
        assert last.parts[0] == last.parts[2] != last.parts[1]


async def test_a_model_gets_what_it_reads_and_nothing_else(scratch: Scratch) -> None:
    model = scratch.scripted("central", says, reads=("audio",))
    sound = (np.zeros(160, np.float32), 16_000)
    await talk(scratch).arun(request="What is it?", image=RED, audio=sound)
    assert {tuple(part.kind for part in ask.messages[-1].parts) for ask in model.asked} == {("audio",)}


async def test_without_a_request_for_it_a_model_of_words_gets_words(scratch: Scratch) -> None:
    model = scratch.scripted("central", says)
    await talk(scratch).arun(request="What is it?", image=RED)
    assert not any(message.parts for ask in model.asked for message in ask.messages)


async def test_a_kept_reply_belongs_to_the_picture_that_was_shown(scratch: Scratch) -> None:
    model = scratch.scripted("central", says, reads=("image",))
    graph = talk(scratch)
    for image, asked in ((RED, 2), (RED, 2), (BLUE, 4), (None, 6)):
        await graph.arun(request="What is it?", image=image)
        assert len(model.asked) == asked


async def test_whoever_watches_is_told_of_the_picture(scratch: Scratch) -> None:
    scratch.scripted("central", says, reads=("image",))
    events: list[Event] = []
    await talk(scratch).arun(request="What is it?", image=RED, options=RunOptions(on_event=events.append))
    prompts = [event.prompt for event in events if isinstance(event, PromptSent)]
    assert prompts
    assert all("[user]\n[image 8×6]\nWhat is it?" in prompt for prompt in prompts)


async def test_a_part_that_the_model_does_not_read_is_the_callers_fault(scratch: Scratch) -> None:
    scratch.scripted("central", says, reads=("image",))
    result = await talk(scratch, "look").arun(request="What is it?", image=RED)
    assert result["answer"]
    image = Image(scratch.store.put(b"picture", "image/png"), 8, 6)
    ask = Ask((Message("system", "Look."), Message("user", "What is it?", (image,))))
    with pytest.raises(CallerError, match="message 2 of 2 holds a part of kind image, and this language model reads"):
        _ = [event async for event in ScriptedModel(["x"], reads=("audio",)).ask(ask)]


async def test_a_profile_says_what_its_model_reads(tmp_path: Path, home: Path) -> None:
    (tmp_path / "sensorium.yaml").write_text(
        "sensorium: 1\nname: mine\nprofile: eyes\nprofiles:\n"
        "  eyes: {models: {central: {backend: scripted, replies: [hm], reads: [image]}}}\n"
    )
    project = Project.find(tmp_path)
    assert (await project.model("central")).reads == {"image"}
    await project.close()


async def test_whoever_plans_sees_the_picture_too(scratch: Scratch) -> None:
    def plans(ask: Ask) -> str:
        return '{"nodes": [{"tool": "look"}]}' if "nodes" in (ask.schema or {}).get("properties", {}) else says(ask)

    scratch.ways["central"] = "whole"
    model = scratch.scripted("central", plans, reads=("image",))
    await talk(scratch, "look").arun(request="What is it?", image=RED)
    assert len(model.asked) == 3  # the plan, the answer, the object
    assert all([type(part) for part in ask.messages[-1].parts] == [Image] for ask in model.asked)
