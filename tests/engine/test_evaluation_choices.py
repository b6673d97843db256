"""The first tool that an agent chooses, by a scripted model; and `sensorium eval` as people call it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sensorium.agent import Card
from sensorium.errors import CallerError
from sensorium.evaluation.choices import ChoicesMeasured, choices_json, choices_markdown, measure_choices
from sensorium.evaluation.first_tool import FirstTool
from sensorium.evaluation.requests import RightTool
from sensorium.model.contract import Ask
from sensorium.spec.agent import AgentSpec
from sensorium.spec.catalogue import AgentEntry
from sensorium.spec.ports import PortType, Signature
from sensorium.store import Store
from sensorium.testing import ScriptedModel
from tests.conftest import Command
from tests.engine.bench_data import write_bench

ASKED = [
    RightTool("Say good morning", "speak"),
    RightTool("Say good night", "speak"),
    RightTool("看看这张照片", "see"),
    RightTool("What is love?", "answer"),
]


def card(name: str, inputs: dict[str, str], outputs: dict[str, str]) -> Card:
    ports = [{port: PortType.parse(text) for port, text in side.items()} for side in (inputs, outputs)]
    return Card(name, f"Does {name}.", Signature(*ports))


CARDS = [
    card("speak", {"text": "text"}, {"audio": "audio"}),
    card("see", {"image": "image", "points": "points?"}, {"caption": "text"}),
]


def entry(**changed: object) -> AgentEntry:
    given = {"name": "helper", "about": "Helps.", "tools": ["speak", "see"], **changed}
    return AgentEntry(AgentSpec.model_validate(given), "You help.", Path("/"), "project", "digest")


def unseen(done: int, total: int) -> None:
    """Nobody looks."""


async def measure(tmp_path: Path, says: Callable[[Ask], str]) -> tuple[ChoicesMeasured, ScriptedModel]:
    model = ScriptedModel(says)
    first = FirstTool(entry(), CARDS, model, Store(tmp_path / "store"))
    return await measure_choices("asked.tsv", "helper", ASKED, first, unseen), model


def by_word(ask: Ask) -> str:
    request = ask.messages[-1].content
    return next(
        (tool for word, tool in (("Say", "speak"), ("照片", "see"), ("love", "speak")) if word in request), "answer"
    )


async def test_the_first_choice_counts_with_every_tool_legal_and_one_ask_each(tmp_path: Path) -> None:
    measured, model = await measure(tmp_path, by_word)
    assert [choice.chosen for choice in measured.choices] == ["speak", "speak", "see", "speak"]
    assert len(model.asked) == len(ASKED)
    assert all(set(ask.choices or ()) == {"speak", "see", "answer"} for ask in model.asked)
    assert (measured.share().right, measured.share().total) == (3, 4)
    assert measured.share(language="zh").value == 1.0
    assert measured.share(tool="answer").value == 0.0
    assert measured.confusions == [("answer", "speak", 1)]
    assert measured.num_illegal == 0


async def test_an_answer_in_words_is_a_choice_too(tmp_path: Path) -> None:
    measured, _ = await measure(tmp_path, lambda _: "answer")
    assert [choice.chosen for choice in measured.choices] == ["answer"] * 4
    assert measured.confusions == [("speak", "answer", 2), ("see", "answer", 1)]


async def test_choices_read_as_tables_and_as_json(tmp_path: Path) -> None:
    measured, _ = await measure(tmp_path, by_word)
    text = choices_markdown(measured)
    assert "3/4 = 75.0 % (30.1–95.4)" in text
    assert [cell.strip() for cell in text.splitlines()[4].split("|")][1:5] == ["speak", "2/2", "0/0", "2/2"]
    assert "| answer |  speak |        1 |" in text
    told = choices_json(measured)
    assert told["languages"]["en"]["total"] == 3
    assert told["wrong"] == [{"request": "What is love?", "right": "answer", "chosen": "speak"}]
    assert json.loads(json.dumps(told)) == told


def test_an_agent_that_takes_no_text_cannot_be_asked(tmp_path: Path) -> None:
    blind = entry(inputs={"image": "image"})
    with pytest.raises(CallerError, match="takes no text, so that nothing can be asked of it"):
        FirstTool(blind, CARDS, ScriptedModel([]), Store(tmp_path / "store"))


PROJECT = """\
sensorium: 1
name: post
profile: quiet
profiles:
  quiet:
    models: {{central: {{backend: scripted, replies: {replies}}}}}
"""


def project(folder: Path, replies: list[str]) -> Path:
    folder.mkdir()
    (folder / "sensorium.yaml").write_text(PROJECT.format(replies=json.dumps(replies)))
    return folder


def plan(*tools: str) -> str:
    return json.dumps({"nodes": [{"step": f"use {tool}", "tool": tool} for tool in tools]})


def test_a_folder_is_measured_kept_and_not_asked_again(sensorium: Command, elsewhere: Path, tmp_path: Path) -> None:
    data, out = write_bench(tmp_path / "letters"), tmp_path / "out"
    there = project(tmp_path / "post", [plan("Letter_Reader")] * 3)
    ended = sensorium("eval", data, "--way", "whole", "--out", out, "--project", there)
    assert ended.code == 0
    assert "letters, planned by `--way whole`:" in ended.out
    assert (out / "figures.md").read_text() == ended.out
    assert len((out / "answers.jsonl").read_text().splitlines()) == 3
    again = sensorium("eval", data, "--way", "whole", "--out", out, "--project", there, "--json")
    told = json.loads(again.out)
    assert told == json.loads((out / "figures.json").read_text())
    assert told["profile"] == "quiet"
    assert told["plans"]["overall"]["node_f1"] == pytest.approx(2 / 3)
    assert len((out / "answers.jsonl").read_text().splitlines()) == 3


def test_a_part_is_drawn_the_same_each_time(sensorium: Command, elsewhere: Path, tmp_path: Path) -> None:
    data = write_bench(tmp_path / "letters")
    there = project(tmp_path / "post", [plan("Letter_Reader")] * 3)
    drawn = [
        sensorium("eval", data, "--way", "whole", "--limit", 2, "--seed", seed, "--project", there, "--json").out
        for seed in (3, 3)
    ]
    kinds = [set(json.loads(out)["plans"]) for out in drawn]
    assert kinds[0] == kinds[1]
    assert json.loads(drawn[0])["plans"]["overall"]["samples"] == 2


def test_requests_are_measured(sensorium: Command, elsewhere: Path, tmp_path: Path) -> None:
    asked = tmp_path / "asked.tsv"
    asked.write_text("request\ttool\nRead this page to me\tread\n你好\tanswer\n", encoding="utf-8")
    there = project(tmp_path / "post", ["read", "speak"])
    told = json.loads(sensorium("eval", asked, "--project", there, "--json").out)
    assert told["overall"]["right"] == 1
    assert told["confusions"] == [{"right": "answer", "chosen": "speak", "requests": 1}]


def test_an_agent_that_names_what_it_cannot_call_is_not_measured(
    sensorium: Command, elsewhere: Path, tmp_path: Path
) -> None:
    there = project(tmp_path / "post", ["see"])
    (there / "agents" / "guide").mkdir(parents=True)
    (there / "agents" / "guide" / "agent.yaml").write_text("name: guide\nabout: Guides.\ntools: [see, sea]\n")
    (there / "agents" / "guide" / "prompt.md").write_text("You guide.\n")
    (elsewhere / "asked.tsv").write_text("request\ttool\nWhat is this?\tsee\n")
    ended = sensorium("eval", "asked.tsv", "--agent", "guide", "--project", there)
    assert ended.code == 2
    assert "agent 'guide' names 'sea', which is no tool, agent or graph" in ended.err


BAD = [
    (["missing.tsv"], 2, "missing.tsv: the file is not there"),
    (["asked.tsv", "--agent", "asistant"], 2, "there is no agent 'asistant'; did you mean 'assistant'"),
    (["asked.tsv"], 2, "asked.tsv:2:1: there is no tool 'sing' for the agent"),
    (["asked.tsv", "--out", "asked.tsv"], 2, "asked.tsv is a file, or lies below one; give a folder"),
    (["asked.tsv", "--out", "asked.tsv/here"], 2, "is a file, or lies below one; give a folder"),
    (["a" * 300], 5, "cannot be read: File name too long"),
    (["/dev/zero"], 2, "/dev/zero: the file has more than"),
    (["."], 2, "tool_desc.json: the file is not there"),
    (["asked.tsv", "--limit", "0"], 2, "--limit"),
]


@pytest.mark.parametrize(("arguments", "code", "told"), BAD)
def test_bad_data_end_with_two_and_say_where(
    sensorium: Command, elsewhere: Path, arguments: list[str], code: int, told: str
) -> None:
    (elsewhere / "asked.tsv").write_text("request\ttool\nGo\tsing\n")
    ended = sensorium("eval", *arguments)
    assert ended.code == code
    assert told in ended.err
