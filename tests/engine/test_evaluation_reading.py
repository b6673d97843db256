"""Data that are read, and every way in which they can be wrong: the file, the line, and what would be right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sensorium.errors import AuthorError
from sensorium.evaluation.json_values import MOST_LINES
from sensorium.evaluation.outline import Outline
from sensorium.evaluation.requests import RightTool, read_requests
from sensorium.evaluation.taskbench import read_taskbench
from tests.engine.bench_data import LINKS, SAMPLES, TOOLS, sample, write_bench


def test_a_folder_is_read_with_types_links_and_kinds(tmp_path: Path) -> None:
    bench = read_taskbench(write_bench(tmp_path / "post"))
    assert bench.name == "post"
    assert [sample.kind for sample in bench.samples] == ["single", "chain", "dag"]
    assert bench.samples[1].gold == Outline(
        ("Letter-to-Voice (slow)", "Letter Reader"), (("Letter Reader", "Letter-to-Voice (slow)"),)
    )
    assert bench.tools["Letter Reader"].takes == ("image",)
    assert bench.is_typed
    assert bench.allowed == frozenset((link["source"], link["target"]) for link in LINKS)


def test_a_list_reads_as_lines_do_and_unknown_fields_are_left_out(tmp_path: Path) -> None:
    write_bench(tmp_path)
    lines = read_taskbench(tmp_path)
    told = [{**SAMPLES[0], "id": 7, "type": "dag", "task_steps": ["Read"]}, *SAMPLES[1:]]
    (tmp_path / "data.json").write_text("\ufeff" + json.dumps(told, indent=1))
    listed = read_taskbench(tmp_path)
    assert listed.samples[1:] == lines.samples[1:]
    assert (listed.samples[0].id, listed.samples[0].kind) == ("7", "dag")


def test_without_a_graph_links_are_allowed_where_types_meet(tmp_path: Path) -> None:
    bench = read_taskbench(write_bench(tmp_path, links=None))
    assert bench.allowed is not None
    assert ("Letter Writer", "Letter Scanner") in bench.allowed
    assert ("Letter-to-Voice (slow)", "Letter Reader") not in bench.allowed
    plain = [{"id": tool["id"], "desc": tool["desc"]} for tool in TOOLS]
    assert read_taskbench(write_bench(tmp_path / "plain", tools=plain, links=None)).allowed is None


def test_types_are_one_however_they_are_spelt(tmp_path: Path) -> None:
    tools = [{**TOOLS[0], "output-type": ["Image "]}, *TOOLS[1:]]
    assert read_taskbench(write_bench(tmp_path, tools=tools)).tools["Letter Scanner"].gives == ("image",)


def broken(change: dict[str, Any]) -> str:
    return json.dumps({**SAMPLES[0], "id": "x", **change})


GOOD = json.dumps(SAMPLES[0])
BAD_DATA = [
    (f"{GOOD}\n{{'id'", r"data.json:2:1: this is not JSON: expecting property name"),
    (f"{GOOD}\n\n{GOOD}", r"data.json:3:1: sample 'read' stands on line 1 already; give each sample an id"),
    (f"{GOOD} {GOOD}", r"data.json:1:1: something stands behind the JSON value; one value a line"),
    (f"[{GOOD},\n{GOOD[:-1]}", r"data.json:2:1: this is not JSON"),
    (f"[{GOOD}\n{GOOD}]", r"data.json:2:1: the list is not closed"),
    (f"[{GOOD}] x", r"data.json:1:1: something stands behind the list"),
    ("", r"data.json: there is no sample; give one JSON object a line"),
    ("[]", r"data.json: there is no sample"),
    ("7", r"data.json:1:1: the value: input should be a valid dictionary"),
    (broken({"user_request": "  "}), r"data.json:1:1: user_request: string should match"),
    (broken({"task_nodes": []}), r"data.json:1:1: task_nodes: list should have at least 1 item"),
    (broken({"task_nodes": [{"name": "x"}]}), r"data.json:1:1: task_nodes.0.task: field required"),
    (broken({"type": "tree"}), r"data.json:1:1: type: input should be 'single', 'chain' or 'dag'"),
    (
        broken({"task_nodes": [{"task": "Letter Reeder"}]}),
        r"data.json:1:1: task_nodes name the tool 'Letter Reeder', which is not in tool_desc.json; "
        r"did you mean 'Letter Reader'\?",
    ),
    (
        broken({"task_links": [{"source": "Letter Reader", "target": "Letter Writer"}]}),
        r"data.json:1:1: task_links name 'Letter Writer', which is not among task_nodes; did you mean 'Letter Reader'",
    ),
    (f"{GOOD}\n" + broken({"user_request": "\ud800"}), r"data.json:2:1: this cannot be read: 'utf-8' codec"),
    (f"{GOOD}\n" + broken({"n": float("nan")}), r"data.json:2:1: this cannot be read: NaN is no number of JSON"),
    ("[" * 200_000, r"data.json:1:1: this cannot be read: it is nested too deeply"),
]


@pytest.mark.parametrize(("text", "told"), BAD_DATA)
def test_wrong_data_say_the_line_and_what_would_be_right(tmp_path: Path, text: str, told: str) -> None:
    (write_bench(tmp_path) / "data.json").write_text(text)
    with pytest.raises(AuthorError, match=told):
        read_taskbench(tmp_path)


BAD_TOOLS: list[tuple[str, Any, str]] = [
    ("tool_desc.json", {"nodes": []}, "tool_desc.json: there is no tool"),
    ("tool_desc.json", {"tools": []}, "tool_desc.json: there is no list 'nodes'"),
    ("tool_desc.json", [1], "tool_desc.json: there is no list 'nodes'"),
    ("tool_desc.json", {"nodes": [*TOOLS, TOOLS[1]]}, "tool_desc.json: tool 'Letter Reader' stands there twice"),
    ("tool_desc.json", {"nodes": [{"id": "x", "input-type": ["t" * 300]}]}, "input-type.0: string should have at most"),
    ("tool_desc.json", {"nodes": [{"desc": "x"}]}, r"tool_desc.json: nodes\[0\].id: field required"),
    (
        "graph_desc.json",
        {"links": [*LINKS, {"source": "Letter Reader", "target": "Leter Writer"}]},
        r"graph_desc.json: links\[4\] names the tool 'Leter Writer', which is not in tool_desc.json; "
        "did you mean 'Letter Writer'",
    ),
]


@pytest.mark.parametrize(("name", "value", "told"), BAD_TOOLS)
def test_wrong_tools_and_links_say_so(tmp_path: Path, name: str, value: Any, told: str) -> None:
    (write_bench(tmp_path) / name).write_text(json.dumps(value))
    with pytest.raises(AuthorError, match=told):
        read_taskbench(tmp_path)


def test_a_missing_file_and_one_that_is_no_text_are_named(tmp_path: Path) -> None:
    write_bench(tmp_path)
    (tmp_path / "data.json").write_bytes(f"{GOOD}\n".encode() + b"\xff")
    with pytest.raises(AuthorError, match=r"data.json:2:1: byte 0xff is not UTF-8"):
        read_taskbench(tmp_path)
    (tmp_path / "data.json").unlink()
    with pytest.raises(AuthorError, match=r"data.json: the file is not there"):
        read_taskbench(tmp_path)


def test_of_many_faults_twenty_are_told(tmp_path: Path) -> None:
    wrong = [sample(str(number), "Go.", ["Nobody"]) for number in range(50)]
    with pytest.raises(AuthorError) as caught:
        read_taskbench(write_bench(tmp_path, samples=wrong))
    assert len(caught.value.faults) == 21
    assert "more faults than are shown" in str(caught.value)


def test_a_million_lines_are_refused_by_the_first_that_is_too_many(tmp_path: Path) -> None:
    write_bench(tmp_path)
    short = '{"id":%d,"user_request":"x","task_nodes":[{"task":"Letter Reader"}]}\n'
    with (tmp_path / "data.json").open("w") as file:
        file.writelines(short % number for number in range(1_000_000))
    right = re.escape(f"data.json:{MOST_LINES + 1}:1: there are more than 100,000 samples; at most 100,000 are read")
    with pytest.raises(AuthorError, match=right):
        read_taskbench(tmp_path)


def write_requests(path: Path, *lines: str, header: str = "request\ttool") -> Path:
    path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    return path


def test_requests_are_read_and_told_apart_by_their_characters(tmp_path: Path) -> None:
    path = write_requests(tmp_path / "asked.tsv", "Read it to me\tspeak", "", "读一读\tread", "Hello\tanswer\r")
    read = read_requests(path, ["speak", "read"])
    assert read == [RightTool("Read it to me", "speak"), RightTool("读一读", "read"), RightTool("Hello", "answer")]
    assert [asked.language for asked in read] == ["en", "zh", "en"]


BAD_REQUESTS: list[tuple[list[str], str, str]] = [
    (["Go speak"], "request\ttool", r"asked.tsv:2:1: the line has 0 tabs; write a request, one tab, and a tool"),
    (["Go\tspeak\tx"], "request\ttool", r"asked.tsv:2:1: the line has 2 tabs"),
    (["\tspeak"], "request\ttool", r"asked.tsv:2:1: the request is empty"),
    (["Go\tspeek"], "request\ttool", r"asked.tsv:2:1: there is no tool 'speek' for the agent; did you mean 'speak'"),
    (["Go\tspeak", "Go\tread"], "request\ttool", r"asked.tsv:3:1: the request stands on line 2 already"),
    ([], "request\ttool", r"asked.tsv:2:1: there is no request"),
    (["Go\tspeak"], "question\ttool", r"asked.tsv:1:1: the first line is 'question.ttool'; write the header"),
]


@pytest.mark.parametrize(("lines", "header", "told"), BAD_REQUESTS)
def test_wrong_requests_say_the_line(tmp_path: Path, lines: list[str], header: str, told: str) -> None:
    with pytest.raises(AuthorError, match=told):
        read_requests(write_requests(tmp_path / "asked.tsv", *lines, header=header), ["speak", "read"])
