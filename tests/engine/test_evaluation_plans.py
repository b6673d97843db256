"""Plans for a data set by scripted models: three ways, exact figures, answers that are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sensorium.agent.planning import Way
from sensorium.errors import ModelError
from sensorium.evaluation.at_hand import named_types
from sensorium.evaluation.cards import Cards
from sensorium.evaluation.planned import PlanningWay, PlanSetting, PlansMeasured, measure_plans
from sensorium.evaluation.report import plans_json, plans_markdown
from sensorium.evaluation.scoring import Score
from sensorium.evaluation.taskbench import TaskBench, read_taskbench
from sensorium.model.contract import Ask
from sensorium.spec.graph import GraphSpec
from sensorium.testing import ScriptedModel
from tests.engine.bench_data import SAMPLES, TOOLS, write_bench

VOICE = "Letter-to-Voice (slow)"


@pytest.fixture
def bench(tmp_path: Path) -> TaskBench:
    return read_taskbench(write_bench(tmp_path / "post"))


def naive(tools: Sequence[str], links: Sequence[tuple[str, str]] = ()) -> str:
    told = [{"source": source, "target": target} for source, target in links]
    return json.dumps({"task_nodes": [{"task": tool} for tool in tools], "task_links": told})


def whole(*tools: str) -> str:
    return json.dumps({"nodes": [{"step": f"use {tool}", "tool": tool} for tool in tools]})


def unseen(done: int, total: int) -> None:
    """Nobody looks."""


async def measure(
    bench: TaskBench,
    replies: Sequence[str] | Callable[[Ask], str],
    way: PlanningWay,
    *,
    examples: int = 0,
    keep: Path | None = None,
) -> tuple[PlansMeasured, ScriptedModel]:
    model = ScriptedModel(replies)
    return await measure_plans(bench, model, PlanSetting(way, examples=examples, keep=keep), unseen), model


async def test_an_unchecked_plan_counts_as_it_stands(bench: TaskBench) -> None:
    replies = [
        naive(["Letter Reader"]),
        naive([VOICE, "Letter Reader"], [(VOICE, "Letter Reader")]),
        naive(["Letter Reader", "Letter Writer", "Letter Scanner"], [("Letter Reader", "Letter Writer")]),
    ]
    measured, model = await measure(bench, replies, "naive")
    overall = measured.figures["overall"]
    assert overall.node == Score(both=1 + 2 + 2, proposed=1 + 2 + 3, gold=1 + 2 + 3)
    assert overall.link == Score(both=0 + 0 + 1, proposed=0 + 1 + 1, gold=0 + 1 + 2)
    assert overall.link.f1 == pytest.approx(0.4)
    assert (overall.illegal, overall.illegal_at_first, overall.without_plan) == (1 / 3, 1 / 3, 0.0)
    assert measured.figures["chain"].illegal == 1.0
    assert list(measured.figures) == ["single", "chain", "dag", "overall"]
    assert (overall.asks, overall.samples) == (3, 3)
    assert overall.tokens.answer == sum(len(reply.split(" ")) for reply in replies)
    assert "- Letter Reader (image -> text): Reads a picture's words." in model.prompt(model.asked[0])


async def test_a_whole_plan_is_wired_by_type_and_checked(bench: TaskBench) -> None:
    replies = [
        whole("Letter_Reader"),
        whole("Letter_Reader", "Letter-to-Voice_slow"),
        whole("Letter_Reader", "Letter_Writer", "Letter-to-Voice_slow"),
    ]
    measured, _ = await measure(bench, replies, "whole")
    overall = measured.figures["overall"]
    assert overall.node == Score(6, 6, 6)
    assert [answer.given.links for answer in measured.answers] == [
        (),
        (("Letter Reader", VOICE),),
        (("Letter Reader", "Letter Writer"), ("Letter Writer", VOICE)),
    ]
    assert overall.link == Score(2, 3, 3)
    assert (overall.illegal_at_first, overall.illegal) == (0.0, 0.0)


async def test_each_call_of_a_whole_plan_says_first_what_it_is_for(bench: TaskBench) -> None:
    _, model = await measure(bench, lambda _: whole("Letter_Reader"), "whole")
    ask = model.asked[0]
    assert ask.schema is not None
    calls = ask.schema["properties"]["nodes"]["items"]["anyOf"]
    assert [list(call["properties"]) for call in calls] == [["step", "tool"]] * len(TOOLS)
    assert "- Letter_Reader (image -> text): Reads a picture's words." in model.prompt(ask)


async def test_steps_in_the_datas_words_stand_in_the_examples(tmp_path: Path) -> None:
    told = [
        {
            **SAMPLES[1],
            "id": request,
            "user_request": request,
            "task_steps": ["Step 1: Read it by the 'Letter Reader' tool.", f"2. Use the {VOICE} tool to say it"],
        }
        for request in ("Say what note.png holds.", "Say a.png.")
    ]
    bench = read_taskbench(write_bench(tmp_path / "post", samples=told))
    assert bench.samples[0].steps == ("Read it", "say it")
    _, model = await measure(bench, [whole("Letter_Reader", "Letter-to-Voice_slow")], "whole", examples=1)
    assert json.loads(model.asked[0].messages[2].content) == {
        "nodes": [{"step": "Read it", "tool": "Letter_Reader"}, {"step": "say it", "tool": "Letter-to-Voice_slow"}]
    }


async def test_a_call_that_nothing_can_feed_is_left_out_of_a_refused_plan(tmp_path: Path) -> None:
    asked = [{**SAMPLES[1], "user_request": "Say the letter on my desk."}]
    bench = read_taskbench(write_bench(tmp_path / "post", samples=asked))
    reply = whole("Letter_Reader", "Letter_Scanner", "Letter_Reader", "Letter-to-Voice_slow")
    measured, _ = await measure(bench, [reply], "whole")
    (answer,) = measured.answers
    assert answer.given.tools == ("Letter Scanner", "Letter Reader", VOICE)
    assert answer.refused == (("Letter_Reader takes image, and nothing before it gives any",),)
    overall = measured.figures["overall"]
    assert (overall.illegal_at_first, overall.illegal, overall.asks) == (1.0, 0.0, 1)
    assert answer.replies == (reply,)


async def test_what_stays_illegal_is_no_plan(tmp_path: Path) -> None:
    asked = [{**SAMPLES[1], "user_request": "Say the letter on my desk."}]
    bench = read_taskbench(write_bench(tmp_path / "post", samples=asked))
    measured, _ = await measure(bench, [whole(*["Letter_Reader"] * 3)], "whole")
    overall = measured.figures["overall"]
    assert (overall.without_plan, overall.illegal_at_first, overall.node) == (1.0, 1.0, Score(0, 0, 2))


async def test_step_by_step_only_legal_tools_are_planned(bench: TaskBench) -> None:
    steps = ["Letter_Reader", "answer", "Letter_Reader", "Letter-to-Voice_slow", "answer"]
    steps += ["Letter_Reader", "Letter_Writer", "Letter-to-Voice_slow", "answer"]
    measured, model = await measure(bench, steps, "steps")
    assert measured.figures["overall"].node == Score(6, 6, 6)
    assert measured.figures["overall"].asks == len(steps)
    assert all(ask.choices is not None for ask in model.asked)


SHOWN: list[tuple[PlanningWay, str, str]] = [
    ("naive", naive(["Letter Reader"]), '"task_nodes"'),
    ("whole", whole("Letter_Reader"), '{"nodes":[{"step":"Reads a picture\'s words.","tool":"Letter_Reader"}'),
]


@pytest.mark.parametrize(("way", "reply", "shown"), SHOWN)
async def test_examples_are_shown_and_not_asked(bench: TaskBench, way: PlanningWay, reply: str, shown: str) -> None:
    measured, model = await measure(bench, [reply] * 2, way, examples=1)
    assert len(measured.answers) == 2
    (example,) = {sample["id"] for sample in SAMPLES} - {answer.id for answer in measured.answers}
    request = next(sample["user_request"] for sample in SAMPLES if sample["id"] == example)
    assert request in model.prompt(model.asked[0])
    assert shown in model.asked[0].messages[2].content


async def test_tools_without_types_follow_the_links_that_are_named(tmp_path: Path) -> None:
    plain = [{"id": tool["id"], "desc": tool["desc"]} for tool in TOOLS]
    bench = read_taskbench(write_bench(tmp_path / "plain", tools=plain))
    replies = [whole("Letter_Writer", "Letter_Reader"), whole("Letter_Reader", "Letter-to-Voice_slow"), whole()]
    measured, _ = await measure(bench, replies, "whole")
    assert [answer.given.links for answer in measured.answers] == [(), (("Letter Reader", VOICE),), ()]
    assert measured.figures["overall"].without_plan == 1 / 3


async def test_kept_answers_are_not_asked_for_again_under_the_same_setting(bench: TaskBench, tmp_path: Path) -> None:
    keep = tmp_path / "out" / "answers.jsonl"
    first, asked = await measure(bench, lambda _: whole("Letter_Reader"), "whole", keep=keep)
    lines = keep.read_bytes().splitlines(keepends=True)
    keep.write_bytes(b"".join(lines[:2]) + lines[2][:40])
    again, model = await measure(bench, lambda _: whole("Letter_Reader"), "whole", keep=keep)
    assert (len(asked.asked), len(model.asked)) == (3, 1)
    assert again.answers[:2] == first.answers[:2]
    assert again.figures["overall"].node == first.figures["overall"].node
    other, _ = await measure(bench, lambda _: naive(["Letter Reader"]), "naive", keep=keep)
    assert other.figures["overall"].asks == 3
    assert len(keep.read_bytes().splitlines()) == 6


async def test_a_reply_that_was_cut_off_is_no_plan_and_a_model_that_fails_thrice_ends_it(bench: TaskBench) -> None:
    long = naive(["Letter Reader"]).replace("{", "{" + " " * 900, 1)
    measured, _ = await measure(bench, lambda _: long, "naive")
    assert measured.figures["overall"].without_plan == 1.0
    assert measured.figures["overall"].failed == 0
    with pytest.raises(ModelError, match="was asked for one more"):
        await measure(bench, [], "naive")
    measured, _ = await measure(bench, [naive(["Letter Reader"])], "naive")
    assert measured.figures["overall"].failed == 2
    assert "was asked for one more" in measured.answers[1].failed


async def test_figures_read_as_a_table_and_as_json(bench: TaskBench) -> None:
    measured, _ = await measure(bench, lambda _: whole("Letter_Reader"), "whole")
    table = plans_markdown(measured).splitlines()
    assert table[0] == "post, planned by `--way whole`:"
    assert [cell.strip() for cell in table[7].split("|")][1:8] == [
        "overall",
        "3",
        "66.7",
        "0.0",
        "0.0 %",
        "0.0 %",
        "0.0 %",
    ]
    told = plans_json(measured)
    assert (told["data"], told["way"], told["gold_links_not_allowed"]) == ("post", "whole", 0)
    assert told["plans"]["overall"]["node_f1"] == pytest.approx(2 / 3)
    assert told["plans"]["overall"]["edge_recall"] == 0.0
    assert json.loads(json.dumps(told)) == told


def test_names_of_tools_are_legal_unlike_and_lead_back(tmp_path: Path) -> None:
    named = ["Read it", "Read_it", "3D view", "…", "x" * 90, "answer"]
    tools = [{"id": name, "desc": ""} for name in named]
    asked = [{**SAMPLES[0], "task_nodes": [{"task": "3D view"}]}]
    cards = Cards.of(read_taskbench(write_bench(tmp_path, tools=tools, samples=asked, links=None)))
    assert [card.name for card in cards.cards] == [
        "Read_it",
        "Read_it-2",
        "tool_3D_view",
        "tool_",
        "x" * 60,
        "answer-2",
    ]
    plan = GraphSpec.model_validate(
        {"sensorium": 1, "name": "plan", "nodes": {"a": {"tool": "Read_it-2"}}, "outputs": {"result": "$a.result"}}
    )
    assert cards.outline(plan).tools == ("Read_it",)


async def test_types_in_another_script_are_told_apart(tmp_path: Path) -> None:
    tools = [
        {"id": "画", "desc": "", "input-type": ["text"], "output-type": ["图像"]},
        {"id": "听", "desc": "", "input-type": ["音频"], "output-type": ["text"]},
    ]
    asked = [{**SAMPLES[0], "task_nodes": [{"task": "画"}]}]
    bench = read_taskbench(write_bench(tmp_path, tools=tools, samples=asked, links=None))
    drawn, heard = (card.signature for card in Cards.of(bench).cards)
    assert not any(kind.can_feed(port) for kind in drawn.outputs.values() for port in heard.inputs.values())


NAMED = [
    ("Cut example.JPG at https://a.example/b.", ("image", "url")),
    ("Mix a.wav with the clip b.mp4", ("audio", "video")),
    ("Make a picture", ()),
]


@pytest.mark.parametrize(("request_", "types"), NAMED)
def test_what_comes_with_a_request_is_told_by_its_files(request_: str, types: tuple[str, ...]) -> None:
    assert named_types(request_, ("image", "audio", "video", "url", "molecule")) == (*types, "molecule")


WAYS: list[Way] = ["steps", "whole"]


@pytest.mark.parametrize("way", WAYS)
async def test_what_a_model_wants_against_the_types_is_never_planned(bench: TaskBench, way: Way) -> None:
    def garbage(ask: Ask) -> str:
        return ask.choices[0] if ask.choices is not None else whole("Letter_Scanner", "Letter_Writer", "Letter_Reader")

    measured, _ = await measure(bench, garbage, way)
    assert measured.figures["overall"].illegal == 0.0
