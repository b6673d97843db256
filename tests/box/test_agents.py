"""The box's agents that work together, with real weights."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from sensorium.errors import OperatorError
from sensorium.events import Event, NodeFinished
from sensorium.graph import RunOptions
from sensorium.parts import Flag, Number
from sensorium.project import Project

pytestmark = pytest.mark.models


@pytest.fixture
async def project() -> AsyncGenerator[Project, None]:
    project = Project(None, profile="small")
    try:
        await project.model("central")
    except OperatorError as error:
        pytest.skip(str(error))
    yield project
    await project.close()


async def test_a_draft_is_written_and_judged(project: Project) -> None:
    events: list[Event] = []
    options = RunOptions(on_event=events.append)
    request = "A sign that says that the swimming pool is closed on Monday."
    result = await project.graph("draft-and-critique").arun(request=request, options=options)
    rounds, is_good = result["rounds"], result["is_good"]
    assert isinstance(rounds, Number)
    assert isinstance(is_good, Flag)
    ended = [event.node for event in events if isinstance(event, NodeFinished)]
    assert ended.count("rounds/write") == ended.count("rounds/judge") == rounds.value
    assert is_good.value or rounds.value == 3
    assert "pool" in str(result["text"]).lower()
    assert str(result["critique"])


async def test_both_sides_speak_and_a_judge_sums_up(project: Project) -> None:
    result = await project.graph("debate").arun(question="Should shops be open at night?")
    assert str(result["yes"]) != str(result["no"])
    assert all(str(result[port]) for port in ("yes", "no", "yes_again", "no_again", "verdict"))


async def test_the_planner_has_the_writer_write(project: Project) -> None:
    result = await project.graph("planner").arun(request="Write a poem about the sea.")
    called = [(node.kind, node.callee) for node in result.nodes]
    assert called[:2] == [("agent", "planner"), ("agent", "writer")]
    assert "sea" in str(result["answer"]).lower()
