"""What a model is asked for a whole plan, where the agent's script wants each call's purpose in words first."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sensorium.agent import Card, Script
from sensorium.agent.hand import Hand
from sensorium.agent.planning import Planning, Way
from sensorium.agent.task import Task
from sensorium.agent.whole import WholePlans
from sensorium.model.contract import Ask, Message, Reply, Usage
from sensorium.model.scripted import ScriptedModel
from sensorium.spec.ports import PortType, Signature

TEXT = PortType("text")
CARDS = (
    Card("say", "Says words.", Signature({"text": TEXT}, {"audio": PortType("audio")})),
    Card("climb", "Climbs.", Signature({"step": TEXT}, {"height": PortType("number")})),
)
TASK = Task("Say hello, then climb the third step.", (), (), Hand(), ())
SPOKEN = 'Tools:\n{tools}\nReply with {"nodes": [{"step": TEXT, "tool": NAME}, ...]}.'


def plans(planning: str) -> WholePlans:
    return WholePlans(Script.parse(f"You plan.\n\n## Planning\n{planning}"), CARDS, 4)


def calls(ask: Ask) -> list[dict[str, Any]]:
    assert ask.schema is not None
    found: list[dict[str, Any]] = ask.schema["properties"]["nodes"]["items"]["anyOf"]
    return found


ORDERS = [
    (SPOKEN, [["step", "tool", "text"], ["tool", "step"]]),
    ("Tools:\n{tools}\nReply with JSON.", [["tool", "text"], ["tool", "step"]]),
]


@pytest.mark.parametrize(("planning", "order"), ORDERS)
def test_a_call_says_what_it_is_for_before_its_tool_where_the_script_speaks_of_it(
    planning: str, order: list[list[str]]
) -> None:
    asked = calls(plans(planning).ask(TASK))
    assert [call["required"] for call in asked] == order
    assert [list(call["properties"]) for call in asked] == order


def test_the_words_are_no_input_unless_a_port_has_that_name() -> None:
    told = {"nodes": [{"step": "greet", "tool": "say", "text": "hello"}, {"tool": "climb", "step": "the third"}]}
    plan = plans(SPOKEN).read(Reply(json.dumps(told), Usage(0, 0), "stop"), TASK).plan
    assert [dict(step.inputs) for step in plan.steps] == [{"text": "hello"}, {"step": "the third"}]


@pytest.mark.parametrize("way", ["whole", "steps"])
async def test_a_plan_tells_which_earlier_messages_its_prompts_leave_out(way: Way) -> None:
    history = tuple(Message("user" if number % 2 == 0 else "assistant", "word " * 100) for number in range(8))
    told: list[tuple[int, str]] = []
    replies = [json.dumps({"nodes": []})] if way == "whole" else ["say", json.dumps({"text": "Hello."}), "answer"]
    planning = Planning(
        Script.parse("You plan."),
        CARDS,
        ScriptedModel(replies),
        lambda plan: (),
        way,
        tell_trimmed=lambda left_out, why: told.append((left_out, why)),
    )
    await planning.propose(replace(TASK, history=history))
    what = "a plan" if way == "whole" else "a call"
    assert told == [(6, f"the prompt for {what} takes 1,500 characters of what was said before")]
