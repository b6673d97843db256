"""The box's assistant and summariser: their files, and what they do with the small model."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensorium.agent import Script
from sensorium.agent.frontier import offer
from sensorium.agent.hand import Hand
from sensorium.agent.prompts import Prompts
from sensorium.agent.task import Task
from sensorium.agent.toolbox import Card
from sensorium.errors import OperatorError
from sensorium.model.contract import Reply
from sensorium.parts import Audio, Boxes, Image, Text, Value
from sensorium.project import Project
from sensorium.spec.agent import ANSWER
from sensorium.spec.ports import PortType
from sensorium.store import Store

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SETS = ("routing.tsv", "routing-development.tsv", "routing-fresh.tsv")


def rows(name: str) -> list[tuple[str, str]]:
    lines = (BENCHMARKS / name).read_text(encoding="utf-8").splitlines()
    assert lines[0] == "request\ttool"
    return [(request, tool) for request, tool in (line.split("\t") for line in lines[1:])]


def box() -> tuple[Project, Script, tuple[Card, ...]]:
    project = Project(None)
    entry = project.catalogue.agents["assistant"]
    tools = project.catalogue.tools
    cards = tuple(Card(name, tools[name].spec.about, tools[name].spec.signature) for name in entry.spec.tools)
    return project, Script.parse(entry.prompt, str(entry.folder / "prompt.md")), cards


@pytest.mark.parametrize("name", SETS)
def test_the_requests_are_fifteen_for_each_tool_half_of_them_chinese(name: str) -> None:
    counts = {tool: sum(right == tool for _, right in rows(name)) for _, tool in rows(name)}
    assert counts == dict.fromkeys(["transcribe", "speak", "see", "find", "segment", "read", "overlay", "answer"], 15)
    assert sum(any("\u4e00" <= letter <= "\u9fff" for letter in request) for request, _ in rows(name)) == 60


def test_no_request_is_in_two_sets() -> None:
    requests = [request for name in SETS for request, _ in rows(name)]
    assert len(set(requests)) == len(requests)


@pytest.mark.parametrize("name", SETS)
def test_no_request_is_among_the_prompts_examples(name: str) -> None:
    _, script, _ = box()
    shown = {example.request for example in script.choices}
    shown |= {example.request for example in (*script.fillings, *script.further)}
    assert not shown & {request for request, _ in rows(name)}


def test_every_example_names_a_tool_that_the_assistant_has() -> None:
    _, script, cards = box()
    known = {card.name for card in cards} | {ANSWER}
    assert {example.tool for example in script.choices} == known
    assert {example.tool for example in script.fillings} <= known


def test_with_everything_at_hand_all_seven_tools_are_legal(tmp_path: Path) -> None:
    _, _, cards = box()
    blob = Store(tmp_path).put(b"x", "image/png")
    parts: dict[str, Value] = {
        "image": Image(blob, 4, 4),
        "audio": Audio(blob, 1.0, 16000),
        "boxes": Boxes(((0.0, 0.0, 1.0, 1.0),)),
    }
    hand = Hand().given(parts, {port: PortType(port) for port in parts})
    assert all(offer(card, hand) is not None for card in cards)
    assert len(cards) == 7


@pytest.mark.models
@pytest.mark.parametrize(
    ("request_text", "tool"),
    [
        ("Hello, how are you today?", "answer"),
        ("把这张照片里的文字读出来给我看", "read"),
        ("Type up the recorded interview.", "transcribe"),
        ("图里的小猫在哪儿？", "find"),
    ],
)
async def test_the_small_model_wants_the_right_tool(request_text: str, tool: str) -> None:
    project = Project(None, profile="small")
    try:
        model = await project.model("central")
    except OperatorError as error:
        pytest.skip(str(error))
    _, script, cards = box()
    prompts = Prompts(script, cards, 60)
    ask = prompts.choose(Task(request_text, (), (), Hand(), ()), (), (*(card.name for card in cards), ANSWER))
    replies = [event async for event in model.ask(ask) if isinstance(event, Reply)]
    await project.close()
    assert [reply.text for reply in replies] == [tool]


@pytest.mark.models
async def test_the_summariser_sums_up() -> None:
    project = Project(None, profile="small")
    try:
        await project.model("central")
    except OperatorError as error:
        pytest.skip(str(error))
    text = (
        "Good morning. The meeting on Friday is moved to Monday at ten, because the hall is being painted. "
        "Bring the budget. Lunch is at noon in the garden."
    )
    result = await project.graph("summariser").arun(text=text)
    await project.close()
    summary = result["summary"]
    assert isinstance(summary, Text)
    assert "Monday" in summary.value
