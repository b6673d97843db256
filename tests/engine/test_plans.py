"""Plans of agents: whole ones, with repairs, before a person, and kept as graphs. Scripted models, real runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sensorium.agent.planning import Way
from sensorium.errors import AuthorError, CallerError, ModelError, RefusedError
from sensorium.graph import Question, RunOptions, Verdict
from sensorium.parts import Text
from sensorium.project.plan_file import save_plan
from sensorium.spec.read import parse_graph
from sensorium.testing import Scratch
from tests.engine.plan_workshop import ASKING, Clerk, Fails, Seen, plan_of, planner, project

__all__ = ["project"]

COMMAND = Path(__file__).parents[2] / "benchmarks" / "illegal_plans.py"
LOOK, MARK, COUNT = {"tool": "look", "phrase": "two cups"}, {"tool": "mark"}, {"tool": "count"}


async def test_a_whole_plan_is_carried_out_as_a_graph_below_the_agent(project: Scratch) -> None:
    seen = Seen()
    graph, model = planner(project, [plan_of(LOOK, MARK, COUNT), "There are two."])
    result = await graph.arun(request="How many cups?", options=RunOptions(on_event=seen))
    assert str(result.answer) == "There are two."
    assert [report.node for report in result.nodes] == ["think", "think/look", "think/mark", "think/count"]
    assert {report.status for report in result.nodes} == {"done"}
    assert seen.called == ["look", "mark", "count"]
    assert "number: 2" in model.asked[-1].messages[-1].content
    assert len(result.points.value) == 2, "the agent's own output is what the last call that made one gave"


async def test_what_was_called_runs_again_without_a_model(project: Scratch, tmp_path: Path) -> None:
    graph, model = planner(project, [plan_of(LOOK, MARK, COUNT), "Two."])
    result = await graph.arun(request="How many cups?")
    file = tmp_path / "counting.yaml"
    save_plan(result.plans["think"], file)
    again = project.graph(file.read_text())
    assert (again.name, list(again.inputs)) == ("counting", [])
    assert (await again.arun()).number.value == 2.0
    assert len(model.asked) == 2
    with pytest.raises(CallerError, match="is there already"):
        save_plan(result.plans["think"], file)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (plan_of({"tool": "mark"}), "boxes"),
        (plan_of({"tool": "paint"}), "paint"),
        (plan_of({"tool": "hidden"}), "hidden"),
        (plan_of({"tool": "look"}), "phrase"),
        (plan_of({"tool": "look", "phrase": "$look.said"}), "itself"),
        (plan_of({"tool": "look", "phrase": "$mark.points"}, MARK), "points"),
        (plan_of({"tool": "look", "phrase": 7}), "7"),
        (plan_of(LOOK | {"colour": "red"}), "colour"),
        (plan_of({"tool": "/" * 100_000}), "more characters)"),
        (plan_of(*[LOOK] * 10_000), "10,000"),
        ('{"nodes": [{"tool": "look"', "not JSON"),
        ("[]", "no list of nodes"),
        ('{"nodes": [7]}', "names no tool"),
    ],
)
async def test_the_model_sees_what_is_wrong_with_its_plan_and_nothing_of_it_runs(
    project: Scratch, wrong: str, told: str
) -> None:
    seen = Seen()
    graph, model = planner(project, [wrong, plan_of(LOOK, MARK), "Done."], is_held=False)
    result = await graph.arun(request="Mark the cups", options=RunOptions(on_event=seen))
    assert result.status == "done"
    assert told in model.asked[1].messages[-1].content
    assert seen.called == ["look", "mark"]


async def test_after_so_many_repairs_the_agent_goes_step_by_step(project: Scratch) -> None:
    seen = Seen()
    wrong = plan_of(MARK)
    graph, model = planner(project, [wrong, wrong, "look", '{"phrase": "cups"}', "answer", "There."], repairs=1)
    await graph.arun(request="Where are the cups?", options=RunOptions(on_event=seen))
    assert seen.called == ["look"]
    assert [bool(plan.faults) for plan in seen.plans] == [True, True, False]
    assert len(model.asked) == 6


async def test_a_plan_of_no_calls_is_answered_in_words(project: Scratch) -> None:
    graph, _ = planner(project, [plan_of(), "Hello."])
    result = await graph.arun(request="Hi")
    assert (str(result.answer), result.plans) == ("Hello.", {})


async def test_a_call_that_fails_is_told_and_what_depends_on_it_is_not_called(project: Scratch) -> None:
    graph, model = planner(project, [plan_of({"tool": "look", "phrase": "no cups"}, MARK, COUNT), "None."])
    result = await graph.arun(request="How many cups?")
    assert result.status == "done"
    told = model.asked[-1].messages[-1].content
    assert "mark failed" in told
    assert "there is no box to mark" in told
    assert [report.status for report in result.nodes] == ["done", "done", "failed", "cancelled"][: len(result.nodes)]


@pytest.mark.parametrize("way", ["whole", "steps"])
async def test_a_person_sees_the_plan_before_any_of_it_is_called(project: Scratch, way: Way) -> None:
    replies: dict[Way, list[str]] = {
        "whole": [plan_of(LOOK, MARK), "Marked."],
        "steps": ["look", '{"phrase": "two cups"}', "mark", "answer", "Marked."],
    }
    seen, clerk = Seen(), Clerk()
    graph, _ = planner(project, replies[way], way=way)
    result = await graph.arun(
        request="Mark the cups", options=RunOptions(on_event=seen, approver=clerk, shows_plans=True)
    )
    assert [question.callee for question in clerk.asked] == ["plan"]
    shown = parse_graph(str(clerk.asked[0].inputs["plan"])).spec
    assert {name: node.callee for name, node in shown.nodes.items()} == {
        "look": ("tool", "look"),
        "mark": ("tool", "mark"),
    }
    assert shown.nodes["mark"].with_ == {"boxes": "$look.boxes"}
    assert seen.called == ["look", "mark"]
    assert result.status == "done"


async def test_a_plan_that_nobody_can_be_asked_about_waits_and_goes_on_later(project: Scratch) -> None:
    seen = Seen()
    graph, model = planner(
        project,
        [plan_of(LOOK, MARK), "Marked."],
        graph=ASKING.replace("agent: planner", "agent: planner, approve: plan"),
    )
    waiting = await graph.arun(request="Mark the cups", options=RunOptions(on_event=seen, raise_on_failure=False))
    assert (waiting.status, seen.called) == ("paused", [])
    done = await graph.aresume(waiting.run, options=RunOptions(on_event=seen, approver=Clerk()))
    assert (str(done.answer), seen.called) == ("Marked.", ["look", "mark"])
    assert len(model.asked) == 2, "the plan is that of before"


async def test_a_run_that_shows_its_plan_does_so_when_it_goes_on(project: Scratch) -> None:
    seen = Seen()
    graph, _ = planner(project, [plan_of(LOOK, MARK), "Marked."])
    options = RunOptions(on_event=seen, raise_on_failure=False, shows_plans=True)
    waiting = await graph.arun(request="Mark the cups", options=options)
    again = await graph.aresume(waiting.run, options=RunOptions(on_event=seen, raise_on_failure=False))
    assert (waiting.status, again.status, seen.called) == ("paused", "paused", [])
    no = RunOptions(on_event=seen, approver=Clerk(lambda _: Verdict(False)), raise_on_failure=False)
    assert (await graph.aresume(waiting.run, options=no)).status == "refused"
    assert seen.called == []


async def test_a_plan_that_a_person_spoilt_is_not_the_answer(project: Scratch) -> None:
    spoilt = Clerk(lambda _: Verdict(True, inputs={"plan": "nodes: {}"}))
    graph, _ = planner(project, [plan_of(LOOK), "Done."])
    options = RunOptions(approver=spoilt, shows_plans=True, raise_on_failure=False)
    failed = await graph.arun(request="Look", options=options)
    assert failed.error is not None
    assert failed.error.kind == "author"
    assert str((await graph.aresume(failed.run, options=RunOptions(approver=Clerk()))).answer) == "Done."


async def test_a_refused_plan_ends_the_run_and_calls_nothing(project: Scratch) -> None:
    seen, clerk = Seen(), Clerk(lambda _: Verdict(False, "too dear"))
    graph, _ = planner(project, [plan_of(LOOK)])
    with pytest.raises(RefusedError, match="a person refused the plan: too dear"):
        await graph.arun(request="Look", options=RunOptions(on_event=seen, approver=clerk, shows_plans=True))
    assert seen.called == []


async def test_a_person_may_change_the_plan_and_only_to_one_without_faults(project: Scratch) -> None:
    def say(new: str, old: str) -> Clerk:
        def change(question: Question) -> Verdict:
            return Verdict(True, inputs={"plan": str(question.inputs["plan"]).replace(old, new)})

        return Clerk(change)

    seen = Seen()
    graph, _ = planner(project, [plan_of(LOOK), "Done."] * 3)
    options = RunOptions(on_event=seen, approver=say("three jugs", "two cups"), shows_plans=True)
    result = await graph.arun(request="Look", options=options)
    assert "three jugs" in result.plans["think"]
    with pytest.raises(AuthorError, match="hidden"):
        await graph.arun(
            request="Look again",
            options=RunOptions(on_event=seen, approver=say("tool: hidden", "tool: look"), shows_plans=True),
        )
    assert seen.called == ["look"]


async def test_what_acts_on_the_world_asks_within_a_plan_and_in_the_graph_that_is_kept_of_it(project: Scratch) -> None:
    send = plan_of({"tool": "look", "phrase": "cups"}, {"tool": "send", "text": "$look.said"})
    clerk = Clerk()
    graph, _ = planner(project, [send, "Sent."])
    result = await graph.arun(request="Send it", options=RunOptions(approver=clerk))
    assert [(question.callee, question.inputs) for question in clerk.asked] == [("tool send", {"text": Text("cups")})]
    assert parse_graph(result.plans["think"]).spec.nodes["send"].approve is True


async def test_what_stands_in_and_acts_on_the_world_asks_too(project: Scratch) -> None:
    project.tool("say", Fails, inputs={"text": "text"}, outputs={"receipt": "text"})
    project.agent("planner", tools=["say", "send"], inputs={"request": "text"}, outputs={"answer": "text"})
    project.ways["central"] = "whole"
    project.scripted("central", [plan_of({"tool": "say", "text": "all"}), "Not said."])

    def change(question: Question) -> Verdict:
        if question.callee != "plan":
            return Verdict(False, "no")
        shown = str(question.inputs["plan"])
        return Verdict(
            True, inputs={"plan": shown.replace("tool: say", "tool: say, else: {tool: send, with: {text: x}}")}
        )

    seen, clerk = Seen(), Clerk(change)
    graph = project.graph(ASKING.replace(", points: $think.points", ""))
    await graph.arun(request="Say it", options=RunOptions(on_event=seen, approver=clerk, shows_plans=True))
    assert [question.callee for question in clerk.asked] == ["plan", "tool say"]
    assert [event.status for event in seen.calls] == ["failed"]


async def test_without_a_yes_nothing_that_acts_on_the_world_is_called(project: Scratch) -> None:
    seen = Seen()
    graph, model = planner(project, [plan_of({"tool": "send", "text": "all of it"}), "Not sent."])
    clerk = Clerk(lambda _: Verdict(False, "no"))
    await graph.arun(request="Send it", options=RunOptions(on_event=seen, approver=clerk))
    assert [(event.tool, event.status) for event in seen.calls] == [("send", "failed")]
    assert "send failed" in model.asked[-1].messages[-1].content


async def test_steps_that_were_taken_are_told_as_a_plan_too(project: Scratch) -> None:
    graph, _ = planner(project, ["look", '{"phrase": "$cups"}', "mark", "answer", "There."], way="steps")
    result = await graph.arun(request="Mark it")
    spec = parse_graph(result.plans["think"]).spec
    assert spec.nodes["look"].with_ == {"phrase": "$$cups"}, "a text that looks like a wire stays text"
    assert spec.nodes["mark"].with_ == {"boxes": "$look.boxes"}
    assert spec.outputs == {"points": "$mark.points"}


def call_of(name: str, **arguments: object) -> str:
    return json.dumps({"name": name, "arguments": arguments})


async def test_a_call_is_named_and_written_in_one_reply(project: Scratch) -> None:
    seen = Seen()
    replies = [call_of("look", phrase="cups"), call_of("mark"), call_of("answer"), "Two."]
    graph, model = planner(project, replies, way="calls")
    result = await graph.arun(request="Mark the cups", options=RunOptions(on_event=seen))
    assert (str(result.answer), seen.called, len(model.asked)) == ("Two.", ["look", "mark"], 4)
    assert [offer.name for offer in model.asked[0].calls or ()] == ["look", "mark", "count", "send", "answer"]
    assert "said: cups" in model.asked[1].messages[-1].content


async def test_calls_can_be_planned_before_any_is_made(project: Scratch) -> None:
    seen, clerk = Seen(), Clerk()
    replies = [call_of("look", phrase="cups"), call_of("send", text="$look.said"), call_of("answer"), "Sent."]
    graph, _ = planner(project, replies, way="calls")
    options = RunOptions(on_event=seen, approver=clerk, shows_plans=True)
    await graph.arun(request="Send what is said", options=options)
    assert [question.callee for question in clerk.asked] == ["plan", "tool send"]
    assert clerk.asked[-1].inputs == {"text": Text("cups")}


async def test_wanting_what_nothing_feeds_leads_over_what_makes_it_or_to_an_answer(project: Scratch) -> None:
    seen = Seen()
    graph, _ = planner(project, [call_of("count"), "There is nothing to count."], way="calls")
    await graph.arun(request="Count", options=RunOptions(on_event=seen))
    assert seen.called == []


@pytest.mark.parametrize(
    "said", [call_of("hidden"), call_of("look"), "look", "{}", '{"name": ["look"], "arguments": {}}']
)
async def test_a_call_that_was_not_offered_is_none(project: Scratch, said: str) -> None:
    seen = Seen()
    graph, _ = planner(project, [said], way="calls", is_held=False)
    with pytest.raises(ModelError, match=r"the model (called|said|wrote)"):
        await graph.arun(request="Look", options=RunOptions(on_event=seen))
    assert seen.called == []


async def test_a_text_that_looks_like_a_wire_is_text_once_calls_are_made_one_by_one(project: Scratch) -> None:
    replies = ["look", '{"phrase": "cups"}', "look", '{"phrase": "$look.said"}', "answer", "There."]
    graph, _ = planner(project, replies, way="steps")
    result = await graph.arun(request="Look twice")
    assert parse_graph(result.plans["think"]).spec.nodes["look-2"].with_ == {"phrase": "$$look.said"}


async def test_a_planned_text_is_handed_on_by_its_wire(project: Scratch) -> None:
    replies = ["look", '{"phrase": "cups"}', "send", '{"text": "$look.said"}', "answer", "Sent."]
    clerk = Clerk()
    graph, model = planner(project, replies, way="steps")
    result = await graph.arun(request="Send what is said", options=RunOptions(approver=clerk, shows_plans=True))
    assert "said: $look.said" in model.asked[3].messages[-1].content
    assert result.plans["think"].count("$look.said") == 1
    assert clerk.asked[-1].inputs == {"text": Text("cups")}


def test_no_garbage_is_carried_out_that_is_no_legal_plan(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    words = ["--replies", "150", "--seed", "7", "--results", str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, COMMAND, *words], env=environment, capture_output=True, text=True, timeout=90
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads((tmp_path / "illegal_plans.json").read_text())["details"]
    assert (told["illegal plans carried out"], told["acts without a yes"], told["faults of our own"]) == (0, 0, 0)
    assert told["plans refused"] > 0
    assert told["plans carried out"] > 0
