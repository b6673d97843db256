"""The command line, over a stranger's project."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import STRANGER, Command


def test_a_strangers_graph_runs_with_his_own_tool_agent_and_model(sensorium: Command, elsewhere: Path) -> None:
    ended = sensorium("run", "open-shop", "wish=a bakery", "--project", STRANGER, "--json")
    told = json.loads(ended.out)
    assert ended.code == 0
    assert told["status"] == "done"
    assert told["outputs"]["name"] == {"type": "text", "text": "Crumbs & Co."}
    assert told["outputs"]["letters"] == {"type": "data", "value": {"Crumbs": 6, "&": 1, "Co.": 3}}
    assert told["outputs"]["slogan_words"] is None
    assert {node["node"]: node["status"] for node in told["nodes"]} == {
        "name": "done",
        "sign": "done",
        "again": "skipped",
    }


def test_words_go_to_standard_output_and_talk_to_standard_error(sensorium: Command, elsewhere: Path) -> None:
    ended = sensorium("run", "count-words", "text=one two", "--project", STRANGER)
    assert "count: 2\n" in ended.out
    assert "✓" in ended.err
    assert "✓" not in ended.out


def test_a_list_is_an_input_given_several_times(sensorium: Command, elsewhere: Path) -> None:
    ended = sensorium(
        "run", "open-shop", "wish=x", "slogans=a b", "slogans=c", "--project", STRANGER, "--json"
    )  # fmt: skip
    items = json.loads(ended.out)["outputs"]["slogan_words"]["items"]
    assert [item["value"] for item in items] == [2.0, 1.0]


BAD_USAGE = [
    (["run", "open-shp", "wish=x"], 2, "did you mean open-shop?"),
    (["run", "open-shop"], 2, "wish"),
    (["run", "open-shop", "wsh=x"], 2, "did you mean wish?"),
    (["run", "open-shop", "wish"], 2, "is not name=value"),
    (["run", "open-shop", "wish=x", "--profile", "qiet"], 2, "did you mean quiet?"),
    (["run", "count-words", "text= "], 2, "the text has no words"),
    (["run", "see", "image=@missing.png"], 2, "missing.png"),
    (["run", "open-shop", "wish=x", "--frsh"], 2, "--frsh"),
    (["nonsense"], 2, "nonsense"),
    (["check", "missing.yaml"], 2, "missing.yaml"),
]


@pytest.mark.parametrize(("arguments", "code", "says"), BAD_USAGE)
def test_bad_usage_is_told_and_has_its_exit_code(
    sensorium: Command, elsewhere: Path, arguments: list[str], code: int, says: str
) -> None:
    where = ["--project", str(STRANGER)] if arguments[0] in ("run", "check") else []
    ended = sensorium(*arguments, *where)
    assert ended.code == code
    assert says in ended.err + ended.out
    assert "Traceback" not in ended.err


def test_a_refused_run_is_json_too(sensorium: Command, elsewhere: Path) -> None:
    ended = sensorium("run", "open-shop", "wsh=x", "--project", STRANGER, "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["status"], told["error"]["kind"]) == (2, "failed", "caller")


def test_a_missing_checkpoint_names_the_command_that_brings_it(sensorium: Command, elsewhere: Path) -> None:
    Image.new("RGB", (32, 32)).save(elsewhere / "x.png")
    ended = sensorium("run", "see", "image=@x.png")
    assert ended.code == 5
    assert "sensorium models pull" in ended.err


def test_a_first_project_is_made_checked_and_run(
    sensorium: Command, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sensorium("init", "mine").code == 0
    monkeypatch.chdir(elsewhere / "mine")
    assert sensorium("check").code == 0
    ended = sensorium("run", "shout", "text=good morning", "times=2", "--json")
    assert json.loads(ended.out)["outputs"]["text"]["text"] == "GOOD MORNING!!"


def test_init_leaves_what_is_there_alone(sensorium: Command, elsewhere: Path) -> None:
    (elsewhere / "full").mkdir()
    (elsewhere / "full" / "note").write_text("mine")
    ended = sensorium("init", "full")
    assert ended.code == 2
    assert "is there already" in ended.err
    assert [path.name for path in (elsewhere / "full").iterdir()] == ["note"]


def test_check_names_file_line_and_column_of_every_fault(sensorium: Command, elsewhere: Path) -> None:
    (elsewhere / "bad.yaml").write_text(
        "sensorium: 1\nname: bad\ninputs: {picture: image}\nnodes:\n  look: {tool: seee, with: {image: $picture}}\n"
        "  cut: {tool: segment, with: {image: $pictur}}\noutputs: {labels: $look.labels}\n"
    )
    ended = sensorium("check", "bad.yaml")
    assert ended.code == 2
    assert "bad.yaml:5:16: " in ended.out
    assert "did you mean 'see'?" in ended.out
    assert "bad.yaml:6:" in ended.out


def test_the_box_checks_clean(sensorium: Command, elsewhere: Path) -> None:
    ended = sensorium("check", "--json")
    assert json.loads(ended.out) == {"faults": []}
    assert ended.code == 0


def test_list_shows_what_a_project_adds_to_the_box(sensorium: Command, elsewhere: Path) -> None:
    listed = json.loads(sensorium("list", "--json", "--project", STRANGER).out)
    origin = {row["name"]: row["origin"] for row in listed["tools"]}
    assert origin["count-words"] == "project"
    assert origin["segment"] == "box"


def test_every_graph_of_the_box_is_drawn(sensorium: Command, elsewhere: Path) -> None:
    for row in json.loads(sensorium("list", "graphs", "--json").out)["graphs"]:
        drawn = sensorium("graph", row["name"])
        assert drawn.code == 0
        assert drawn.out.startswith(("flowchart", "graph"))


def test_doctor_says_what_is_missing_and_how_to_mend_it(sensorium: Command, elsewhere: Path) -> None:
    ended = sensorium("doctor", "--json")
    findings = {finding["what"]: finding for finding in json.loads(ended.out)["findings"]}
    assert ended.code == 5
    assert findings["checkpoint whisper-tiny-en"]["state"] == "missing"
    assert "models pull" in findings["checkpoint whisper-tiny-en"]["says"]


def test_one_message_is_answered_as_json(sensorium: Command, elsewhere: Path) -> None:
    graph = elsewhere / "talk.yaml"
    graph.write_text(
        "sensorium: 1\nname: talk\ninputs: {request: text}\nnodes:\n"
        "  think: {agent: namer, with: {request: $request}}\noutputs: {answer: $think.answer}\n"
    )
    ended = sensorium("chat", "--graph", graph, "--message", "a bakery", "--project", STRANGER, "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["reply"], told["calls"]) == (0, "Crumbs & Co.", [])


def test_the_version_is_printed(sensorium: Command) -> None:
    assert sensorium("--version").out.startswith("sensorium 0.")


def test_a_closed_pipe_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([sys.executable, "-m", "sensorium", "list"], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_fault_is_told_once_however_its_file_is_named(
    sensorium: Command, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "graphs").mkdir()
    (elsewhere / "graphs" / "bad.yaml").write_text("name: bad\nnodes: {a: {tool: see, wiht: {}}}\noutputs: {}\n")
    told = json.loads(sensorium("check", "graphs/bad.yaml", "--json").out)["faults"]
    assert len({(fault["line"], fault["column"], fault["found"]) for fault in told}) == len(told) > 0


def test_a_graph_whose_name_is_taken_by_the_box_is_not_run_as_that_of_the_box(
    sensorium: Command, elsewhere: Path
) -> None:
    (elsewhere / "graphs").mkdir()
    (elsewhere / "graphs" / "ask.yaml").write_text(
        "name: ask\ninputs: {text: text}\nnodes: {say: {tool: speak, with: {text: $text}}}\n"
        "outputs: {sounds: $say.sentences}\n"
    )
    ended = sensorium("run", "ask", "request=hello")
    assert (ended.code, "also in the box" in ended.err) == (2, True)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("what", [("list",), ("models", "list"), ("chat",)])
def test_lists_break_between_words_and_within_the_terminal(
    sensorium: Command, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, width: int, what: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "stdin", io.StringIO("/tools\n"))
    lines = sensorium(*what).out.splitlines()
    assert max(len(line) for line in lines) <= width
    assert [line for line in lines if line != line.rstrip()] == []
    words = {word.rstrip(",") for line in lines for word in line.split()}
    wanted = {"list": "latent(sam.image)?", "models": "qwen2.5-coder-0.5b-transformers", "chat": "transcribe"}
    assert wanted[what[0]] in words
    assert all(line[0] != " " or line.startswith("  ") for line in lines if line)


WIDTHS = """
sensorium: 1
name: widths
inputs: {pictures: "[image]"}
nodes: {look: {tool: measure, each: $pictures, as: picture, with: {image: $picture}}}
outputs: {widths: $look.width}
"""
MEASURE_TOOL = """
name: measure
about: Measures.
inputs: {image: image}
outputs: {width: number}
"""
MEASURE = """
class Measure:
    def setup(self, checkpoints, device): ...
    def run(self, batch):
        return [{"width": call["image"].width} for call in batch]
    def close(self): ...
"""


def test_what_is_said_of_a_folder_names_its_files_and_those_left_aside(sensorium: Command, elsewhere: Path) -> None:
    files = {
        "graphs/widths.yaml": WIDTHS,
        "tools/measure/tool.yaml": MEASURE_TOOL,
        "tools/measure/worker.py": MEASURE,
        "album/notes.txt": "no picture",
    }
    for name, text in files.items():
        (elsewhere / name).parent.mkdir(parents=True, exist_ok=True)
        (elsewhere / name).write_text(text)
    for name, width in {"a.png": 3, "b.png": 5}.items():
        Image.new("RGB", (width, 2)).save(elsewhere / "album" / name)
    ended = sensorium("run", "widths", "pictures=@album")
    assert ended.out == "widths:\n  album/a.png: 3\n  album/b.png: 5\n"
    assert "left aside: album/notes.txt is text, not a picture" in ended.err
    told = json.loads(sensorium("run", "widths", "pictures=@album", "--json").out)["outputs"]["widths"]
    assert (told["files"], len(told["items"])) == (["album/a.png", "album/b.png"], 2)
