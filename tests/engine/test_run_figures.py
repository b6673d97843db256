"""What a run tells of each node: calls, kept results, bytes of media."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image as PillowImage
from PIL import ImageOps

from sensorium.events import Event, Figures, ModelAsked, NodeFailed, NodeFinished, NodeStarted, ToolCalled
from sensorium.graph import Result, RunOptions
from sensorium.model.contract import Ask
from sensorium.testing import Scratch

Inputs = dict[str, Any]
Outputs = dict[str, Any]


class Invert:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        return [{"image": ImageOps.invert(call["image"])} for call in batch]

    def close(self) -> None: ...


class Measure:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        for call in batch:
            if call["image"].width == 13:
                raise ValueError("thirteen")
        return [{"width": call["image"].width} for call in batch]

    def close(self) -> None: ...


@pytest_asyncio.fixture
async def project(tmp_path: Path) -> AsyncGenerator[Scratch]:
    made = Scratch(tmp_path)
    header = "from PIL import ImageOps"
    made.tool("invert", Invert, inputs={"image": "image"}, outputs={"image": "image"}, header=header)
    made.tool("measure", Measure, inputs={"image": "image"}, outputs={"width": "number"})
    yield made
    await made.close()


def picture(folder: Path, width: int) -> Path:
    path = folder / f"{width}.png"
    PillowImage.new("RGB", (width, 8), (width, 0, 0)).save(path)
    return path


def figures(result: Result) -> dict[str, Figures]:
    return {report.node: report.figures for report in result.nodes}


def size(result: Result, port: str) -> int:
    return int(result[port].blob.size_bytes)


async def test_media_count_where_they_go_in_and_come_out_and_kept_results_where_they_answer(
    project: Scratch, tmp_path: Path
) -> None:
    graph = project.graph("""
        name: measured
        inputs: {picture: image}
        nodes:
          turn: {tool: invert, with: {image: $picture}}
          width: {tool: measure, with: {image: $turn.image}}
        outputs: {picture: $picture, turned: $turn.image, width: $width.width}
    """)
    for kept in (0, 1):
        result = await graph.arun(picture=picture(tmp_path, 20))
        brought, made = size(result, "picture"), size(result, "turned")
        assert brought > 0
        assert figures(result) == {
            "turn": Figures(brought, made, calls=1, kept=kept),
            "width": Figures(made, 0, calls=1, kept=kept),
        }
        assert result.to_json()["nodes"][0] | {"seconds": 0} == {
            "node": "turn",
            "tool": "invert",
            "status": "done",
            "seconds": 0,
            "cached": bool(kept),
            "bytes_in": brought,
            "bytes_out": made,
            "calls": 1,
            "kept": kept,
        }


async def test_a_skipped_node_moves_and_calls_nothing_and_a_failed_one_what_went_in(
    project: Scratch, tmp_path: Path
) -> None:
    events: list[Event] = []
    result = await project.graph("""
        name: some
        inputs: {picture: image, wanted: flag}
        nodes:
          width: {tool: measure, with: {image: $picture}}
          turn: {tool: invert, with: {image: $picture}, when: $wanted}
          after: {tool: invert, with: {image: $picture}, when: $width.width > 1}
        outputs: {picture: $picture, turned: $turn.image, width: $width.width, after: $after.image}
    """).arun(
        picture=picture(tmp_path, 13),
        wanted=False,
        options=RunOptions(raise_on_failure=False, on_event=events.append),
    )
    failed = Figures(size(result, "picture"), 0, calls=1)
    assert [(one.node, one.status, one.figures) for one in result.nodes] == [
        ("width", "failed", failed),
        ("turn", "skipped", Figures()),
        ("after", "cancelled", Figures()),
    ]
    assert [event.figures for event in events if isinstance(event, NodeFailed)] == [failed]


async def test_an_each_counts_its_items_and_the_same_media_once(project: Scratch, tmp_path: Path) -> None:
    events: list[Event] = []
    result = await project.graph("""
        name: many
        inputs: {pictures: "[image]"}
        nodes: {turn: {tool: invert, with: {image: $one}, each: $pictures, as: one}}
        outputs: {pictures: $pictures, turned: $turn.image}
    """).arun(
        pictures=[picture(tmp_path, 20), picture(tmp_path, 30), picture(tmp_path, 20)],
        options=RunOptions(on_event=events.append),
    )
    first, second, _ = (part.blob.size_bytes for part in result["pictures"])
    made = [part.blob.size_bytes for part in result["turned"]]
    assert figures(result) == {"turn": Figures(first + second, made[0] + made[1], calls=3, kept=1)}
    items = {event.node: event.figures for event in events if isinstance(event, NodeFinished) and "[" in event.node}
    assert items["turn[1]"] == Figures(second, made[1], calls=1)
    assert sum(one.kept for one in items.values()) == 1


async def test_a_called_graph_counts_the_calls_within_it_and_its_own_media(project: Scratch, tmp_path: Path) -> None:
    project.graph("""
        name: inner
        inputs: {picture: image}
        nodes:
          first: {tool: invert, with: {image: $picture}}
          second: {tool: measure, with: {image: $first.image}}
        outputs: {width: $second.width}
    """)
    result = await project.graph("""
        name: outer
        inputs: {picture: image}
        nodes: {deep: {graph: inner, with: {picture: $picture}}}
        outputs: {picture: $picture, width: $deep.width}
    """).arun(picture=picture(tmp_path, 20))
    told = figures(result)
    assert told["deep"] == Figures(size(result, "picture"), 0, calls=2)
    assert (told["deep/first"].calls, told["deep/second"].calls) == (1, 1)


async def test_every_try_and_the_stand_in_are_calls(project: Scratch, tmp_path: Path) -> None:
    project.tool(
        "slip",
        """
class Slip:
    def setup(self, checkpoints, device): ...
    def run(self, batch):
        yield Failed(0, "not yet", can_retry=True)
        yield [{"width": 0}]
    def close(self): ...
""",
        header="from sensorium.worker import Failed",
        inputs={"image": "image"},
        outputs={"width": "number"},
    )
    result = await project.graph("""
        name: patient
        inputs: {picture: image}
        nodes: {slip: {tool: slip, with: {image: $picture}, retry: 1, else: {tool: measure, with: {image: $picture}}}}
        outputs: {picture: $picture, width: $slip.width}
    """).arun(picture=picture(tmp_path, 20))
    assert figures(result) == {"slip": Figures(size(result, "picture"), 0, calls=3)}


def turns(ask: Ask) -> str:
    if ask.choices:
        return "answer" if "(done:" in ask.messages[-1].content else "invert"
    return "It is turned."


@pytest.mark.parametrize("kept", [False, True])
async def test_an_agent_counts_its_asks_and_its_calls(project: Scratch, tmp_path: Path, kept: bool) -> None:
    project.agent(
        "helper",
        tools=["invert"],
        inputs={"request": "text", "image": "image?"},
        outputs={"answer": "text", "turned": "image?"},
    )
    project.scripted("central", turns)
    graph = project.graph("""
        name: talk
        inputs: {request: text, picture: image}
        nodes: {think: {agent: helper, with: {request: $request, image: $picture}}}
        outputs: {picture: $picture, answer: $think.answer, turned: $think.turned}
    """)
    given = {"request": "Turn it", "picture": picture(tmp_path, 20)}
    if kept:
        await graph.arun(given)
    events: list[Event] = []
    result = await graph.arun(given, options=RunOptions(on_event=events.append))
    brought, made = size(result, "picture"), size(result, "turned")
    asks = [event for event in events if isinstance(event, ModelAsked)]
    (called,) = [event for event in events if isinstance(event, ToolCalled)]
    num_calls = len(asks) + 1
    assert figures(result) == {"think": Figures(brought, made, num_calls, num_calls * kept)}
    assert {(one.status, one.model, one.finish, one.cached) for one in asks} == {("done", "central", "stop", kept)}
    assert all(one.prompt_tokens > 0 and one.answer_tokens > 0 for one in asks)
    assert (called.cached, called.bytes_in, called.bytes_out) == (kept, brought, made)


async def test_a_model_that_fails_is_told_with_the_kind_of_its_error(project: Scratch) -> None:
    project.agent("helper", inputs={"request": "text"}, outputs={"answer": "text"})
    project.scripted("central", [])
    events: list[Event] = []
    result = await project.graph("""
        name: talk
        inputs: {request: text}
        nodes: {think: {agent: helper, with: {request: $request}}}
        outputs: {answer: $think.answer}
    """).arun(request="Hi", options=RunOptions(on_event=events.append, raise_on_failure=False))
    (asked,) = [event for event in events if isinstance(event, ModelAsked)]
    assert (asked.status, asked.kind, asked.cached) == ("failed", "model", False)
    assert figures(result) == {"think": Figures(calls=1)}


async def test_a_node_is_told_to_have_started_before_its_tool_has_done_anything(
    project: Scratch, tmp_path: Path
) -> None:
    project.tool(
        "wait",
        """
class Wait:
    def setup(self, checkpoints, device): ...
    def run(self, batch):
        with open(DOOR) as door:
            return [{"text": door.read()} for _ in batch]
    def close(self): ...
""",
        header=f"DOOR = {str(tmp_path / 'door')!r}",
        inputs={"text": "text"},
        outputs={"text": "text"},
    )
    (tmp_path / "door").touch()
    seen: list[str] = []

    def see(event: Event) -> None:
        seen.append(type(event).__name__)
        if isinstance(event, NodeStarted):
            (tmp_path / "door").write_text("open")

    result = await project.graph("""
        name: waiting
        inputs: {text: text}
        nodes: {wait: {tool: wait, with: {text: $text}}}
        outputs: {text: $wait.text}
    """).arun(text="x", options=RunOptions(on_event=see))
    assert str(result["text"]) == "open"
    assert seen == ["RunStarted", "NodeStarted", "NodeFinished", "RunFinished"]
