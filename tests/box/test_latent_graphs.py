"""The box's graphs whose agents hand on what they hold, with real weights."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from sensorium.errors import OperatorError
from sensorium.graph import Result, RunOptions
from sensorium.project import Project

pytestmark = pytest.mark.models

SPEECH = Path("/usr/share/pocketsphinx/test/data/librivox/sense_and_sensibility_01_austen_64kb-0880.wav")
"""A person who says: he was not an ill disposed young man."""
FRESH = RunOptions(fresh=True)


@pytest.fixture
async def project() -> AsyncGenerator[Project, None]:
    project = Project(None, profile="latent-small")
    try:
        await project.model("central")
    except OperatorError as error:
        pytest.skip(str(error))
    yield project
    await project.close()


def rungs(result: Result) -> dict[str, str]:
    """By node and port."""
    return {f"{node.node} {port}": wire.rung for node in result.nodes for port, wire in node.crossed.items()}


async def test_three_readers_answer_about_what_one_has_read(project: Project) -> None:
    document = "The bicycle of the baker is red. It has stood in the shed since March, and nobody has ridden it."
    result = await project.graph("reading-group").arun(
        document=document, question="Of what colour is the bicycle?", options=FRESH
    )
    assert rungs(result) == {"facts memory": "kv", "doubts memory": "kv", "in-brief memory": "kv"}
    assert "red" in str(result["facts"]).lower()
    assert all(str(result[port]) for port in ("doubts", "in_brief"))


async def test_thoughts_go_from_one_to_the_next(project: Project) -> None:
    result = await project.graph("think-together").arun(
        first="The bicycle is red.", second="It stands in the shed.", question="Where is it?", options=FRESH
    )
    assert rungs(result) == {"go-on thoughts": "kv", "say thoughts": "kv"}
    assert str(result["answer"])


@pytest.mark.skipif(not SPEECH.is_file(), reason="no recording is here; install pocketsphinx-testdata")
async def test_speech_is_answered_about_by_a_bridge_and_else_by_its_transcript(project: Project) -> None:
    graph = project.graph("hear-without-words")
    result = await graph.arun(audio=SPEECH, question="Who is it about?", options=FRESH)
    assert rungs(result) == {"answer speech": "bridge"}
    assert str(result["answer"])
    blind = Project(None, profile="small")
    try:
        told = await blind.graph("hear-without-words").arun(audio=SPEECH, question="Who is it about?", options=FRESH)
    finally:
        await blind.close()
    assert rungs(told) == {"answer speech": "text"}
    (answer,) = (node for node in told.nodes if node.node == "answer")
    assert answer.crossed["speech"].why == "bridge: its reader takes text alone"
