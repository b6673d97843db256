"""The box's graphs of several agents, with models that say what they are told to: who hears what, and when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensorium.agent import Script
from sensorium.graph import Graph
from sensorium.model.contract import Ask
from sensorium.parts import Flag, Number
from sensorium.project import Project
from sensorium.spec.read import read_agent, read_graph
from sensorium.testing import Scratch

BOX = Path(__file__).parents[2]
DRAFTS = ("Come!", "Come on Friday!", "Come on Friday at eight!")


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    scratch = Scratch(tmp_path)
    scratch.tool_folder(BOX / "tools" / "enough")
    for name in ("writer", "critic", "advocate", "opponent", "judge"):
        spec, prompt = read_agent(BOX / "agents" / name)
        declared = spec.model_dump(by_alias=True, exclude={"name", "model"})
        scratch.agent(name, prompt=prompt, model=name, **declared)
    return scratch


def box_graph(scratch: Scratch, *names: str) -> Graph:
    graphs = [scratch.graph(read_graph(BOX / "graphs" / f"{name}.yaml").spec) for name in names]
    return graphs[-1]


def last(ask: Ask) -> str:
    return ask.messages[-1].content


@pytest.mark.parametrize("good_at", [1, 2, 3, 9])
async def test_a_text_is_written_anew_until_the_critic_is_content_three_times_at_most(
    scratch: Scratch, good_at: int
) -> None:
    drafts = iter(DRAFTS)
    writer = scratch.scripted("writer", lambda _: next(drafts))
    judged: list[str] = []

    def judge(ask: Ask) -> str:
        if ask.schema:
            return f'{{"is_good": {str(len(judged) >= good_at).lower()}}}'
        judged.append(last(ask))
        return f"critique number {len(judged)}"

    critic = scratch.scripted("critic", judge)
    result = await box_graph(scratch, "write-and-judge", "draft-and-critique").arun(request="Invite my choir.")
    rounds = min(good_at, 3)
    assert (result["rounds"], result["is_good"]) == (Number(rounds), Flag(good_at <= 3))
    assert str(result["text"]) == DRAFTS[rounds - 1]
    assert str(result["critique"]) == f"critique number {rounds}"
    assert all(draft in told for draft, told in zip(DRAFTS, judged, strict=False))
    assert last(writer.asked[0]) == "Invite my choir."
    for number, ask in enumerate(writer.asked[1:], 1):
        assert DRAFTS[number - 1] in last(ask)
        assert f"critique number {number}" in last(ask)
    verdicts = [last(ask) for ask in critic.asked if ask.schema]
    assert all(f"critique number {number}" in told for number, told in enumerate(verdicts, 1))


async def test_both_sides_of_a_debate_answer_each_other_before_it_is_summed_up(scratch: Scratch) -> None:
    scratch.scripted("advocate", lambda ask: "yes to it" if "\nyes\n" in last(ask) else "no to it")
    opponent = scratch.scripted("opponent", lambda ask: f"against: {last(ask).splitlines()[-1]}")
    judge = scratch.scripted("judge", lambda _: "The no side was better.")
    result = await box_graph(scratch, "debate").arun(question="Is rain good?")
    said = {port: str(value) for port, value in result.outputs.items()}
    assert said == {
        "yes": "yes to it",
        "no": "no to it",
        "yes_again": "against: no to it",
        "no_again": "against: yes to it",
        "verdict": "The no side was better.",
    }
    assert all("Is rain good?" in last(ask) for ask in opponent.asked)
    assert "against: no to it" in last(judge.asked[0])
    assert "against: yes to it" in last(judge.asked[0])


async def test_the_planner_hands_on_to_agents_and_tools_of_the_box() -> None:
    project = Project(None)
    entry = project.catalogue.agents["planner"]
    assert {"writer", "critic"} <= set(entry.spec.tools) & set(project.catalogue.agents)
    script = Script.parse(entry.prompt)
    known = {*entry.spec.tools, "answer"}
    assert {example.tool for example in script.choices} == known
    assert {example.tool for example in script.fillings} <= known
    await project.close()
