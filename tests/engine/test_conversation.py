"""Conversations: what a turn leaves behind, and what the next one is given."""

from __future__ import annotations

import asyncio
import json
import resource
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image as Picture

from sensorium.admit import Admission
from sensorium.errors import CallerError, ModelError, OperatorError, SensoriumError
from sensorium.events import Event, HistoryTrimmed, NodeStarted, ToolCalled
from sensorium.graph import Question, Result, RunOptions, Verdict
from sensorium.model.contract import Ask
from sensorium.parts import Image, Masks, Text
from sensorium.project.conversation import Conversation
from sensorium.project.sessions import open_session, remove_sessions, session_blobs
from sensorium.project.turn import Turn
from sensorium.testing import Scratch, ScriptedModel

CHAT = """
    name: chat
    inputs: {request: text, image: "image?", history: "data?"}
    nodes:
      think: {agent: helper, with: {request: $request, image: $image, history: $history}}
    outputs: {answer: $think.answer, image: $think.image, masks: $think.masks}
"""
FIND = """
class Find:
    def setup(self, checkpoints, device): ...
    def run(self, batch): return [{"boxes": np.ones((1, 4), np.float32)} for call in batch]
    def close(self): ...
"""
SEGMENT = """
class Segment:
    def setup(self, checkpoints, device): ...
    def run(self, batch): return [{"masks": np.ones((1, *call["image"].size[::-1]), bool)} for call in batch]
    def close(self): ...
"""
MIRROR = """
class Mirror:
    def setup(self, checkpoints, device): ...
    def run(self, batch): return [{"image": call["image"].transpose(0)} for call in batch]
    def close(self): ...
"""


def reply(ask: Ask) -> str:
    """Wants what the request names, and says back what it was asked."""
    asked = ask.messages[-1].content
    if "please fail" in asked:
        raise ModelError("no words come")
    if ask.choices is None:
        return '{"phrase": "cat"}' if ask.schema else f"You said: {asked.splitlines()[-1]}"
    wanted = "segment" if "cut it out" in asked else "mirror" if "mirror" in asked else "answer"
    return wanted if f"(done: {wanted}" not in asked and f", {wanted}" not in asked else "answer"


def made(folder: Path) -> Scratch:
    """The same project each time, as another process would have it."""
    scratch = Scratch(folder)
    looks = {"image": "image"}
    header = "import numpy as np"
    scratch.tool("find", FIND, header=header, inputs={**looks, "phrase": "text"}, outputs={"boxes": "boxes"})
    scratch.tool("segment", SEGMENT, header=header, inputs={**looks, "boxes": "boxes"}, outputs={"masks": "masks"})
    scratch.tool("mirror", MIRROR, inputs=looks, outputs={"image": "image"})
    scratch.agent(
        "helper",
        tools=["find", "segment", "mirror"],
        inputs={"request": "text", "image": "image?", "history": "data?"},
        outputs={"answer": "text", "image": "image?", "masks": "masks?"},
    )
    scratch.scripted("central", reply)
    return scratch


def conversation(scratch: Scratch, name: str | None = "talk", *, graph: str = CHAT) -> Conversation:
    session = None if name is None else open_session(scratch.home, name)
    return Conversation(scratch.graph(graph), Admission(scratch.store), session)


def picture(folder: Path, colour: str) -> str:
    path = folder / f"{colour}.png"
    Picture.new("RGB", (4, 6), colour).save(path)
    return str(path)


def brief(turns: list[Turn]) -> list[tuple[str, str, str]]:
    return [(turn.request, turn.status, turn.answer) for turn in turns]


def history_of(model: ScriptedModel) -> list[str]:
    """What the model was told of earlier turns when it answered last."""
    return [message.content for message in model.asked[-1].messages[1:-1]]


SAY = """
class Say:
    def setup(self, checkpoints, device): ...
    def run(self, batch):
        if "loudly" in batch[0]["text"]:
            raise ValueError("too\\0loud")
        return [{"said": "a\\0b"} for call in batch]
    def close(self): ...
"""


@pytest.mark.parametrize("text", ["softly", "loudly"])
async def test_a_nul_that_was_said_or_given_ends_no_conversation(tmp_path: Path, text: str) -> None:
    scratch = Scratch(tmp_path)
    scratch.tool("say", SAY, inputs={"text": "text"}, outputs={"said": "text"})
    scratch.agent(
        "helper",
        tools=["say"],
        inputs={"request": "text", "image": "image?", "history": "data?"},
        outputs={"answer": "text", "image": "image?", "masks": "masks?"},
    )

    def answer(ask: Ask) -> str:
        if ask.choices is None:
            return json.dumps({"text": text}) if ask.schema else "He\0llo."
        return "say" if ask.messages[-1].content.count("say") == 0 else "answer"

    model = scratch.scripted("central", answer)
    talk = conversation(scratch)
    assert (await talk.turn("Speak", RunOptions())).status == "done"
    assert (await talk.turn("Speak again", RunOptions())).status == "done"
    assert "\0" not in "".join(history_of(model))
    await scratch.close()


async def test_what_was_attached_stays_callable_in_another_process(tmp_path: Path) -> None:
    first = conversation(made(tmp_path))
    cat = first.attach(picture(tmp_path, "red"))
    await first.turn("What is this?", RunOptions())
    called: list[ToolCalled] = []

    def see(event: Event) -> None:
        if isinstance(event, ToolCalled):
            called.append(event)

    second = conversation(made(tmp_path))
    assert second.at_hand == {"image": cat}
    result = await second.turn("Now cut it out", RunOptions(on_event=see))
    assert [(call.tool, call.status) for call in called] == [("find", "done"), ("segment", "done")]
    assert isinstance(result.masks, Masks)
    assert (result.masks.height, result.masks.width) == (6, 4)
    third = conversation(made(tmp_path))
    assert third.turns == second.turns
    assert [turn.media.get("masks") for turn in third.turns] == [None, result.masks]


async def test_what_tools_gave_is_told_again_in_another_process_just_as_it_was_told(tmp_path: Path) -> None:
    scratch = made(tmp_path)
    first = conversation(scratch)
    first.attach(picture(tmp_path, "red"))
    await first.turn("Now cut it out", RunOptions())
    before = scratch.models["central"]
    again = made(tmp_path)
    second = conversation(again)
    assert [tool for tool, _ in second.turns[0].gave] == ["find", "segment"]
    events: list[Event] = []
    await second.turn("And what is it?", RunOptions(on_event=events.append))
    now = again.models["central"]
    assert isinstance(before, ScriptedModel)
    assert isinstance(now, ScriptedModel)
    told = before.asked[-1].messages
    assert "<<< segment\nmasks: 1 mask\n>>>" in told[-1].content
    assert now.asked[-1].messages[: len(told)] == told


async def test_a_long_conversation_tells_what_a_prompt_leaves_out(tmp_path: Path) -> None:
    talk = conversation(made(tmp_path))
    events: list[Event] = []
    for number in range(6):
        await talk.turn(f"{number} " + "word " * 250, RunOptions(on_event=events.append))
    trimmed = [event for event in events if isinstance(event, HistoryTrimmed)]
    assert [event.left_out for event in trimmed] == [4, 6, 6]
    assert trimmed[0].why == "the prompt for an answer takes 6,000 characters of what was said before"


async def test_a_picture_stays_at_hand_until_another_takes_its_place(tmp_path: Path) -> None:
    talk = conversation(made(tmp_path))
    red, blue = picture(tmp_path, "red"), picture(tmp_path, "blue")
    first = talk.attach(red)
    await talk.turn("One", RunOptions())
    await talk.turn("Two", RunOptions())
    second = talk.attach(blue)
    await talk.turn("Three", RunOptions())
    assert [turn.at_hand["image"] for turn in talk.turns] == [first, first, second]
    assert conversation(made(tmp_path)).at_hand == {"image": second}


async def test_what_an_answer_came_with_can_be_talked_about(tmp_path: Path) -> None:
    first = conversation(made(tmp_path))
    with pytest.raises(CallerError, match="came with no picture or sound"):
        first.take()
    first.attach(picture(tmp_path, "red"))
    result = await first.turn("mirror", RunOptions())
    later = conversation(made(tmp_path))
    assert later.take() == [result.image]
    await later.turn("And now?", RunOptions())
    assert later.turns[-1].at_hand == {"image": result.image}
    assert isinstance(result.image, Image)
    assert result.image.blob.digest in session_blobs(tmp_path)


async def test_a_turn_that_waited_for_a_person_has_the_end_that_it_came_to(tmp_path: Path) -> None:
    scratch = made(tmp_path)
    waiting, other = conversation(scratch, graph=ASKS_FIRST), conversation(scratch, graph=ASKS_FIRST)
    await waiting.turn("Send it", QUIET)
    assert other.refresh() == 1
    run = waiting.turns[0].run
    assert run is not None
    result = await waiting.graph.aresume(run, options=RunOptions(approver=Yes()))
    told = [("Send it", "done", str(result.answer))]
    assert brief(conversation(scratch, graph=ASKS_FIRST).turns) == told
    assert (other.refresh(), brief(other.turns)) == (1, told)


class Yes:
    """A person who agrees."""

    async def ask(self, question: Question) -> Verdict:
        return Verdict(True)


class No:
    """A person who refuses."""

    async def ask(self, question: Question) -> Verdict:
        return Verdict(False, "not today")


ASKS_FIRST = CHAT.replace("think: {", "think: {approve: true, ")
ENDINGS = {
    "failed": (CHAT, "please fail", QUIET := RunOptions(raise_on_failure=False), "model", "no words come"),
    "refused": (ASKS_FIRST, "Send it", replace(QUIET, approver=No()), "refused", "not today"),
    "paused": (ASKS_FIRST, "Send it", QUIET, "paused", "person"),
}


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("status", ENDINGS)
async def test_a_turn_that_is_not_done_is_kept_and_not_told_to_the_model(
    tmp_path: Path, status: str, raises: bool
) -> None:
    graph, request, options, kind, says = ENDINGS[status]
    scratch = made(tmp_path)
    await conversation(scratch).turn("Hello", RunOptions())
    bad = conversation(scratch, graph=graph)
    if raises:
        with pytest.raises(SensoriumError, match=says):
            await bad.turn(request, replace(options, raise_on_failure=True))
    else:
        assert (await bad.turn(request, options)).status == status
    last = conversation(scratch)
    assert brief(last.turns) == [("Hello", "done", "You said: Hello"), (request, status, "")]
    error = last.turns[-1].error
    assert error is not None
    assert (error.kind, says in error.message) == (kind, True)
    await last.turn("Bye", RunOptions())
    model = scratch.models["central"]
    assert isinstance(model, ScriptedModel)
    assert history_of(model) == ["Hello", "You said: Hello"]


async def test_a_turn_that_is_cancelled_is_kept_as_that(tmp_path: Path) -> None:
    scratch = made(tmp_path)
    talk = conversation(scratch)

    def stop(event: Event) -> None:
        if isinstance(event, NodeStarted):
            turning.cancel()

    turning = asyncio.ensure_future(talk.turn("Hello", RunOptions(on_event=stop)))
    with pytest.raises(asyncio.CancelledError):
        await turning
    assert brief(talk.turns) == brief(conversation(scratch).turns) == [("Hello", "cancelled", "")]


async def test_the_request_is_on_the_disk_before_its_run_begins(tmp_path: Path) -> None:
    scratch = made(tmp_path)
    seen: list[Turn] = []

    def look(event: Event) -> None:
        if isinstance(event, NodeStarted):
            seen.extend(conversation(scratch).turns)

    talk = conversation(scratch)
    result = await talk.turn("Hello", RunOptions(on_event=look))
    assert brief(seen) == [("Hello", "interrupted", "")]
    assert [turn.run for turn in (*seen, *talk.turns)] == [result.run, result.run]


@pytest.mark.parametrize("request_text", ["half a character \ud83d", "a \0 in it", "x" * (1 << 21)])
async def test_a_request_that_is_no_text_is_refused_at_the_door_and_not_kept(tmp_path: Path, request_text: str) -> None:
    talk = conversation(made(tmp_path))
    with pytest.raises(CallerError, match="input request"):
        await talk.turn(request_text, QUIET)
    assert talk.turns == []
    assert talk.session is not None
    assert not talk.session.exists()


async def test_a_full_disk_before_a_turn_begins_nothing(tmp_path: Path) -> None:
    scratch = made(tmp_path)
    talk = conversation(scratch)
    await talk.turn("Hello", RunOptions())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OperatorError, match="cannot be written"):
            await talk.turn("Again", RunOptions())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert brief(talk.turns) == brief(conversation(scratch).turns) == [("Hello", "done", "You said: Hello")]


async def test_an_answer_that_the_session_cannot_keep_is_given_all_the_same(tmp_path: Path) -> None:
    scratch = made(tmp_path)
    talk = conversation(scratch)

    def remove(event: Event) -> None:
        if isinstance(event, NodeStarted):
            remove_sessions(tmp_path, ["talk"])

    with pytest.raises(CallerError, match="was removed or replaced meanwhile") as told:
        await talk.turn("Hello", RunOptions(on_event=remove))
    assert isinstance(told.value.result, Result)
    assert told.value.result["answer"] == Text("You said: Hello")
    talk.save(open_session(tmp_path, "saved"))
    assert brief(conversation(scratch, "saved").turns) == [("Hello", "done", "You said: Hello")]


async def test_a_session_that_grew_elsewhere_is_read_anew_before_a_turn(tmp_path: Path) -> None:
    scratch = made(tmp_path)
    here, there = conversation(scratch), conversation(scratch)
    await here.turn("Here", RunOptions())
    blue = there.attach(picture(tmp_path, "blue"))
    await there.turn("There", RunOptions())
    assert here.refresh() == 1
    assert here.refresh() == 0
    assert here.at_hand == {"image": blue}
    await here.turn("Here again", RunOptions())
    model = scratch.models["central"]
    assert isinstance(model, ScriptedModel)
    assert history_of(model) == ["Here", "You said: Here", "There", "You said: There"]
    assert [turn.request for turn in conversation(scratch).turns] == ["Here", "There", "Here again"]


async def test_what_was_just_attached_counts_before_what_another_process_attached(tmp_path: Path) -> None:
    scratch = made(tmp_path)
    here, there = conversation(scratch), conversation(scratch)
    red = here.attach(picture(tmp_path, "red"))
    there.attach(picture(tmp_path, "blue"))
    await there.turn("There", RunOptions())
    await here.turn("Here", RunOptions())
    assert here.turns[-1].at_hand == {"image": red}


async def test_a_conversation_is_saved_with_every_turn_and_under_a_free_name_alone(tmp_path: Path) -> None:
    scratch = made(tmp_path)
    talk = conversation(scratch, None)
    await talk.turn("Hello", RunOptions())
    await talk.turn("please fail", QUIET)
    talk.save(open_session(tmp_path, "saved"))
    await talk.turn("Bye", RunOptions())
    assert conversation(scratch, "saved").turns == talk.turns
    assert [turn.status for turn in talk.turns] == ["done", "failed", "done"]
    with pytest.raises(CallerError, match=r"saved\.jsonl is there already; go on with it"):
        conversation(scratch, None).save(open_session(tmp_path, "saved"))


async def test_a_graph_without_eyes_goes_on_with_a_session_that_has_a_picture(tmp_path: Path) -> None:
    scratch = made(tmp_path)
    talk = conversation(scratch)
    red = talk.attach(picture(tmp_path, "red"))
    await talk.turn("Look", RunOptions())
    blind = """
        name: blind
        inputs: {request: text}
        nodes: {think: {agent: helper, with: {request: $request}}}
        outputs: {answer: $think.answer}
    """
    await conversation(scratch, graph=blind).turn("Hello", RunOptions())
    assert [turn.status for turn in conversation(scratch).turns] == ["done", "done"]
    assert conversation(scratch).at_hand == {"image": red}
