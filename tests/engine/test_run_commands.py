"""`sensorium runs`, `graph --run`, and questions at the terminal, over a project with one small tool."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from sensorium.database import open_database
from sensorium.project.start import write_template
from tests.conftest import Command
from tests.snippets import ROOT, snippet

TOOL = """
name: shout
about: Says a text louder.
inputs: {text: text, times: "number?"}
outputs: {text: text}
"""
WORKER = """
class Shout:
    def setup(self, checkpoints, device): ...
    def run(self, batch):
        return [{"text": call["text"].upper() + "!" * int(call.get("times") or 1)} for call in batch]
    def close(self): ...
"""
PUBLISH = """
sensorium: 1
name: publish
inputs: {words: text}
nodes:
  first: {tool: shout, with: {text: $words}}
  send: {tool: shout, with: {text: $first.text}, approve: true}
outputs: {first: $first.text, sent: $send.text}
"""
TWICE = PUBLISH.replace("publish", "twice").replace(
    "outputs: {", "  too: {tool: shout, with: {text: $first.text}, approve: true}\noutputs: {too: $too.text, "
)
WAITING = {
    "tools/wait/tool.yaml": "{name: wait, about: Reads words, inputs: {pipe: text}, outputs: {text: text}}",
    "tools/wait/worker.py": """
class Wait:
    def setup(self, checkpoints, device): ...
    def run(self, batch):
        return [{"text": open(call["pipe"]).read()} for call in batch]
    def close(self): ...
""",
    "graphs/meanwhile.yaml": """
sensorium: 1
name: meanwhile
inputs: {words: text, pipe: text}
nodes:
  slow: {tool: wait, with: {pipe: $pipe}}
  send: {tool: shout, with: {text: $words}, approve: true}
outputs: {slow: $slow.text, sent: $send.text}
""",
}
KEEP = """
sensorium: 1
name: keep
inputs: {picture: image}
nodes: {say: {tool: shout, with: {text: hey}}}
outputs: {picture: $picture, said: $say.text}
"""


@pytest.fixture
def project(elsewhere: Path) -> Path:
    for path, text in {
        "tools/shout/tool.yaml": TOOL,
        "tools/shout/worker.py": WORKER,
        "graphs/publish.yaml": PUBLISH,
        "graphs/twice.yaml": TWICE,
    }.items():
        place = elsewhere / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return elsewhere


def run_of(sensorium: Command, *arguments: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(sensorium(*arguments, "--json").out)
    return told


def paused(sensorium: Command, graph: str = "publish") -> str:
    ended = sensorium("run", graph, "words=hey", "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["status"], told["error"]["kind"]) == (6, "paused", "paused")
    return str(told["run"])


def test_a_paused_run_goes_on_with_what_a_person_changed(sensorium: Command, project: Path) -> None:
    run = paused(sensorium)
    ended = sensorium("runs", "resume", "last", "--approve", "--set", "text=you", "--set", "times=3")
    assert (ended.code, ended.out) == (0, "first: HEY!\nsent: YOU!!!\n")
    shown = run_of(sensorium, "runs", "show", run)
    assert (shown["status"], shown["graph"], shown["path"]) == ("done", "publish", str(project / "graphs/publish.yaml"))
    assert shown["inputs"] == {"words": {"type": "text", "text": "hey"}}
    (question,) = shown["questions"]
    assert (question["node"], question["verdict"]) == ("send", "approved")
    assert question["changed"] == {"text": {"type": "text", "text": "you"}, "times": {"type": "number", "value": 3}}


def test_the_graph_of_the_docs_pauses_and_goes_on(sensorium: Command, elsewhere: Path) -> None:
    write_template(elsewhere / "mine")
    (elsewhere / "mine/graphs/publish.yaml").write_text(snippet("publish.yaml", ROOT / "docs/runs.md"))
    assert sensorium("run", "publish", "words=hello", "--project", elsewhere / "mine").code == 6
    ended = sensorium("runs", "resume", "last", "--approve", "--set", "text=good evening")
    assert ended.out == "draft: HELLO!\ncount: ONE TWO!!\nsent: GOOD EVENING!!!\n"


def test_a_refused_run_tells_why_and_exits_with_3(sensorium: Command, project: Path) -> None:
    run = paused(sensorium)
    ended = sensorium("runs", "resume", run, "--refuse", "--why", "too loud", "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["run"], told["status"]) == (3, run, "refused")
    assert told["outputs"]["first"] == {"type": "text", "text": "HEY!"}
    assert sensorium("runs", "resume", run).code == 2


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--approve", "--refuse"], "opposite things"),
        (["--set", "text=x"], "give it with --approve"),
        (["--why", "x", "--approve"], "give it with --refuse"),
        (["--node", "send"], "--approve or --refuse"),
        (["--approve", "--node", "sent"], "node 'sent' of run .* asks nothing; did you mean 'send'"),
        (["--approve", "--set", "texts=x"], "there is no input 'texts'; did you mean text"),
        (["--approve", "--set", "times=many"], "input times"),
        (["--approve", "--set", "text"], "'text' is not name=value"),
    ],
)
def test_half_an_answer_is_refused_and_the_question_stays(
    sensorium: Command, project: Path, arguments: list[str], match: str
) -> None:
    run = paused(sensorium)
    ended = sensorium("runs", "resume", run, *arguments)
    assert ended.code == 2
    assert re.search(match, ended.err)
    shown = run_of(sensorium, "runs", "show", run)
    assert (shown["status"], shown["questions"][0]["verdict"]) == ("paused", None)


def test_where_several_ask_the_answer_names_one(sensorium: Command, project: Path) -> None:
    run = paused(sensorium, "twice")
    ended = sensorium("runs", "resume", run, "--approve")
    assert (ended.code, "asks 2 questions" in ended.err) == (2, True)
    ended = sensorium("runs", "resume", run, "--approve", "--node", "too")
    assert (ended.code, "too: HEY!!\n" in ended.out) == (6, True)
    assert sensorium("runs", "resume", run, "--approve").code == 0


def test_an_answer_without_a_question_is_refused(sensorium: Command, project: Path) -> None:
    (project / "tools/shout/worker.py").write_text(WORKER.replace("times", "tims").replace("or 1", "/ 0"))
    assert sensorium("run", "publish", "words=hey").code == 4
    ended = sensorium("runs", "resume", "last", "--approve")
    assert (ended.code, "asks nothing" in ended.err) == (2, True)


def test_what_changed_since_is_shown(sensorium: Command, project: Path) -> None:
    run = paused(sensorium)
    (project / "tools/shout/worker.py").write_text(WORKER.replace('"!"', '"?"'))
    assert run_of(sensorium, "runs", "show", run)["changes"] == ["tool shout has changed"]
    ended = sensorium("runs", "resume", run, "--approve")
    assert "since it began, tool shout has changed" in ended.err
    assert (ended.code, ended.out) == (6, "first: HEY?\n"), "what was approved is asked no more, since it is another"


def test_a_run_of_a_graph_that_is_gone_goes_on_as_it_was(sensorium: Command, project: Path) -> None:
    run = paused(sensorium)
    (project / "graphs/publish.yaml").unlink()
    assert sensorium("runs", "resume", run, "--approve").out == "first: HEY!\nsent: HEY!!\n"


@pytest.mark.parametrize(
    ("graph", "trouble"),
    [
        (None, "is of the project in .*, which is gone; put it back"),
        ("sensorium: [", "publish.yaml:1:1: not YAML"),
        (PUBLISH.replace("shout", "shot"), "did you mean 'shout'"),
    ],
)
def test_what_is_kept_of_a_run_is_shown_whatever_became_of_its_graph(
    sensorium: Command, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: str | None, trouble: str
) -> None:
    run = paused(sensorium)
    if graph is None:
        monkeypatch.chdir(tmp_path)
        project.rename(tmp_path / "moved")
    else:
        (project / "graphs/publish.yaml").write_text(graph)
    shown = run_of(sensorium, "runs", "show", run)
    assert (shown["status"], shown["outputs"]["first"]["text"], shown["changes"]) == ("paused", "HEY!", [])
    assert re.search(trouble, shown["trouble"])
    assert re.search(f"trouble  .*{trouble}", sensorium("runs", "show", run).out)
    ended = sensorium("runs", "resume", run, "--approve")
    assert (ended.code, re.search(trouble, ended.err) is not None) == (2, True)


def test_a_project_whose_folder_is_no_text_is_told_so(
    sensorium: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.rename(project.with_name("half\udcff")))
    ended = sensorium("run", "publish", "words=hey")
    assert (ended.code, "is not UTF-8" in ended.err) == (2, True)


def test_a_run_goes_on_from_wherever_one_stands(
    sensorium: Command, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = paused(sensorium)
    monkeypatch.chdir(tmp_path)
    assert sensorium("runs", "resume", run, "--approve").code == 0


def test_a_fork_is_a_run_of_its_own(sensorium: Command, project: Path) -> None:
    sensorium("run", "shout", "text=hey")
    first = run_of(sensorium, "runs", "show", "last")["run"]
    told = run_of(sensorium, "runs", "fork", first, "--from", "shout")
    assert (told["status"], told["nodes"][0]["cached"]) == ("done", False)
    listed = run_of(sensorium, "runs", "list")["runs"]
    assert [(run["run"], run["parent"]) for run in listed] == [(told["run"], first), (first, None)]
    ended = sensorium("runs", "fork", first, "--from", "shot")
    assert (ended.code, "did you mean 'shout'" in ended.err) == (2, True)


def test_a_run_is_drawn_with_its_times(sensorium: Command, project: Path) -> None:
    paused(sensorium)
    sensorium("runs", "resume", "last", "--approve")
    drawn = sensorium("graph", "--run", "last").out
    assert re.search(r"send<br/>tool shout<br/>asks a person<br/>done, \d+\.\d\d s", drawn)
    assert drawn == sensorium("graph", "publish", "--run", "last").out
    assert sensorium("graph", "twice", "--run", "last").code == 2
    assert sensorium("graph").code == 2


def test_runs_are_removed_all_or_none(sensorium: Command, project: Path) -> None:
    run = paused(sensorium)
    assert sensorium("runs", "rm", run, "nobody").code == 2
    assert sensorium("runs", "rm", run).out.startswith(f"{run}: 1 result; ")
    run = paused(sensorium)
    assert run_of(sensorium, "runs", "rm", run)["removed"] == [{"run": run, "results": 1}]
    assert sensorium("runs", "list").out == "no run was kept\n"
    assert sensorium("runs", "show", run).code == 2


@pytest.mark.parametrize(
    "damage",
    [
        "start = '{}'",
        "start = X'ff'",
        "inputs = 'x'",
        "outputs = NULL",
        "report = X'ff80'",
        "status = X'ff'",
        "began = 1e300",
        "began = 'yesterday'",
        "ended = -1e300",
        "graph = X'ff'",
    ],
)
def test_a_damaged_run_is_told_and_hides_no_other(sensorium: Command, project: Path, home: Path, damage: str) -> None:
    run = paused(sensorium)
    assert sensorium("run", "shout", "text=hey").code == 0
    with sqlite3.connect(home / "runs.sqlite") as database:
        database.execute(f"UPDATE sensorium_runs SET {damage} WHERE run = ?", (run,))
    database.close()
    listed = run_of(sensorium, "runs", "list")["runs"]
    assert [listed[0]["graph"], listed[1]["run"]] == ["shout", run]
    assert sensorium("runs", "list").code == 0
    for command in (["show", run], ["resume", run, "--approve"], ["fork", run, "--from", "send"]):
        ended = sensorium("runs", *command, "--json")
        assert (ended.code in (0, 2, 6), "a fault of Sensorium" in ended.err) == (True, False), ended.err
    assert sensorium("store", "gc", "--json").code == 0
    assert run_of(sensorium, "runs", "rm", run)["removed"][0]["run"] == run


def test_a_damaged_question_is_told(sensorium: Command, project: Path, home: Path) -> None:
    run = paused(sensorium)
    with sqlite3.connect(home / "runs.sqlite") as database:
        database.execute("UPDATE sensorium_questions SET inputs = X'c1'")
    database.close()
    ended = sensorium("runs", "resume", run, "--approve", "--set", "text=you")
    assert (ended.code, "is damaged, or of another version" in ended.err) == (2, True)


@pytest.mark.parametrize(
    "arguments", [["resume", "nobody"], ["resume", "last", "--approve", "--refuse"], ["fork", "last", "--from", "x"]]
)
def test_a_run_that_cannot_go_on_is_told_as_json_too(sensorium: Command, project: Path, arguments: list[str]) -> None:
    paused(sensorium)
    ended = sensorium("runs", *arguments, "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["run"], told["error"]["kind"]) == (2, None, "caller")
    assert ended.err == f"sensorium: {told['error']['message']}\n"


def test_as_many_runs_are_listed_as_there_are(sensorium: Command, project: Path) -> None:
    run = paused(sensorium)
    assert [one["run"] for one in run_of(sensorium, "runs", "list", "-n", str(10**20))["runs"]] == [run]


def test_a_run_whose_picture_is_gone_is_shown(sensorium: Command, project: Path, home: Path) -> None:
    (project / "graphs/keep.yaml").write_text(KEEP)
    PIL.Image.new("RGB", (5, 4)).save(project / "cat.png")
    assert sensorium("run", "keep", "picture=@cat.png").code == 0
    for path in [path for path in (home / "store").rglob("*") if path.is_file() and len(path.name) == 64]:
        path.unlink()
    ended = sensorium("runs", "show", "last")
    assert (ended.code, "picture: image that is gone from the store" in ended.out) == (0, True)
    shown = run_of(sensorium, "runs", "show", "last")
    assert shown["inputs"] == {"picture": {"type": "image", "path": None}}


def test_a_run_whose_process_died_is_shown_as_interrupted(sensorium: Command, project: Path, home: Path) -> None:
    ours, theirs = pty.openpty()
    with command(["run", "publish", "words=hey"], theirs) as process:
        os.close(theirs)
        assert "send wants to call" in said_until(ours, r"\] $")
        process.kill()
    os.close(ours)
    listed = run_of(sensorium, "runs", "list")["runs"]
    assert [run["status"] for run in listed] == ["interrupted"]
    ended = sensorium("graph", "--run", "last")
    assert (ended.code, "wait until it does or, where its process died" in ended.err) == (2, True)
    assert "sensorium runs resume" in sensorium("runs", "show", "last").out
    assert sensorium("runs", "resume", "last").code == 6
    assert sensorium("runs", "resume", "last", "--approve").code == 0


def test_a_run_that_cannot_be_read_is_listed_with_what_is_wrong(sensorium: Command, project: Path, home: Path) -> None:
    run = paused(sensorium)
    database = open_database(home / "runs.sqlite")
    database.execute("UPDATE sensorium_runs SET start = ?, report = ?", (b"{}", b"{"))
    database.close()
    ended = sensorium("runs", "list")
    assert (ended.code, f"what is kept of run {run} is damaged" in ended.out) == (0, True)
    (listed,) = run_of(sensorium, "runs", "list")["runs"]
    assert (listed["run"], listed["seconds"], listed["trouble"] in ended.out) == (run, None, True)
    assert sensorium("runs", "show", run).code == 2


def test_a_run_that_waits_is_kept_by_a_collection(sensorium: Command, project: Path) -> None:
    run = paused(sensorium)
    sensorium("run", "shout", "text=you")
    collected = run_of(sensorium, "store", "gc", "--older-than", "0")
    assert (len(collected["runs"]), run in collected["runs"]) == (1, False)
    assert sensorium("runs", "resume", run, "--approve").out == "first: HEY!\nsent: HEY!!\n"


@pytest.mark.parametrize(
    ("typed", "code", "out"),
    [
        (["y"], 0, "sent: HEY!!"),
        (["times=x", "times=2", "?", "y"], 0, "sent: HEY!!!"),
        (["n", "too loud"], 3, "a person refused send: too loud"),
        (["\x04"], 6, "sensorium runs resume"),
        (["n", "\x04"], 6, "sensorium runs resume"),
        (["no\x04\x04", "too loud"], 3, "a person refused send: too loud"),
        (["\udcff", "y"], 0, "the line is not UTF-8"),
        (["n", "\udcff", "too loud"], 3, "a person refused send: too loud"),
    ],
)
@pytest.mark.slow
def test_a_person_at_the_terminal_is_asked(project: Path, home: Path, typed: list[str], code: int, out: str) -> None:
    ended, screen = at_terminal(["run", "publish", "words=hey"], typed)
    assert (ended, out in screen) == (code, True), screen


@pytest.mark.slow
def test_what_ends_while_a_person_is_asked_leaves_the_question_below_it(project: Path, home: Path) -> None:
    for path, text in WAITING.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    os.mkfifo(project / "pipe")
    ours, theirs = pty.openpty()
    with command(["run", "meanwhile", "words=hey", f"pipe={project / 'pipe'}"], theirs) as process:
        os.close(theirs)
        assert "send wants to call" in said_until(ours, r"\] $")
        (project / "pipe").write_text("late")
        said = said_until(ours, r"\] $")
        assert re.fullmatch(r"\r\n✓ slow tool wait, \d+\.\d s\r\ncall tool shout\? \[y/n/NAME=VALUE/\?\] ", said)
        os.write(ours, b"y\n")
        assert "slow: late" in said_until(ours, None)
        assert process.wait(30) == 0
    os.close(ours)


@pytest.mark.slow
def test_what_was_typed_before_a_question_does_not_answer_it(project: Path, home: Path) -> None:
    ended, screen = at_terminal(["run", "twice", "words=hey"], ["y\ny", "n", "unseen"])
    assert (ended, ": unseen" in screen) == (3, True), screen


@pytest.mark.slow
def test_what_is_asked_cannot_look_like_something_else(project: Path, home: Path) -> None:
    ended, screen = at_terminal(["run", "publish", "words=pay\x1b[2K\n    times: 3"], ["y"])
    assert (ended, "text: PAY\\x1b[2K | TIMES: 3! call tool shout?" in screen) == (0, True), screen


@pytest.mark.slow
def test_a_person_sees_the_whole_of_what_is_approved(project: Path, home: Path) -> None:
    words = " ".join(f"word{number}" for number in range(300))
    code, screen = at_terminal(["run", "publish", f"words={words}"], ["n", ""])
    shown = screen.split("call tool shout?")[0]
    assert (code, f"{words.upper()}!" in shown) == (3, True)


ACTING = {
    "sensorium.yaml": """
sensorium: 1
name: acting
profile: quiet
profiles:
  quiet:
    models: {central: {backend: scripted, replies: [shout, '{"text": "hey"}', answer, "It is said."]}}
    limits: {keep_warm_s: 0}
""",
    "tools/shout/tool.yaml": f"{TOOL}effects: true\n",
    "agents/crier/agent.yaml": "{name: crier, about: Cries., tools: [shout], inputs: {request: text, history: data?}}",
    "agents/crier/prompt.md": "Cry.",
    "graphs/talk.yaml": """
sensorium: 1
name: talk
inputs: {request: text, history: "data?"}
nodes: {think: {agent: crier, with: {request: $request, history: $history}}}
outputs: {answer: $think.answer}
""",
}


def test_the_agent_of_the_docs_asks_unless_its_profile_allows_it(sensorium: Command, project: Path) -> None:
    docs = ROOT / "docs/agents.md"
    quiet = snippet("sensorium.yaml", docs)
    for path, text in {
        "sensorium.yaml": quiet,
        "tools/shout/tool.yaml": f"{TOOL}effects: true\n",
        "agents/crier/agent.yaml": snippet("agent.yaml", docs),
        "agents/crier/prompt.md": snippet("prompt.md", docs),
    }.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    assert sensorium("run", "crier", "request=Cry dinner").code == 6
    (project / "sensorium.yaml").write_text(quiet.replace("quiet:\n", "quiet:\n    allow: [shout]\n"))
    assert sensorium("run", "crier", "request=Cry dinner", "--fresh").out == "answer: It is cried.\n"


@pytest.mark.parametrize(("typed", "said"), [("y", "It is said."), ("n", "a person refused shout")])
@pytest.mark.slow
def test_in_chat_a_call_that_acts_is_asked_for(project: Path, home: Path, typed: str, said: str) -> None:
    for path, text in ACTING.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    lines = ["Cry hey", typed, *([""] if typed == "n" else []), "/quit"]
    code, screen = at_terminal(["chat", "--graph", "talk"], lines)
    assert "think wants to call tool shout with" in screen
    assert said in screen
    assert code == 0


def command(arguments: list[str], terminal: int) -> subprocess.Popen[bytes]:
    """The command line in a process of its own, at a terminal."""
    words = [sys.executable, "-c", "from sensorium.cli import main; main()", *arguments]
    return subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)


def at_terminal(arguments: list[str], lines: list[str]) -> tuple[int, str]:
    """How a command ended, and all that was to be seen, where a person types a line whenever one is asked for."""
    ours, theirs = pty.openpty()
    with command(arguments, theirs) as process:
        os.close(theirs)
        said = ""
        for line in lines:
            said += said_until(ours, r"(\] |reason\) |> )$")
            typed = line if line.endswith("\x04") else f"{line}\n"
            os.write(ours, typed.encode(errors="surrogateescape"))
        said += said_until(ours, None)
        code = process.wait(30)
    os.close(ours)
    return code, " ".join(said.split())


def said_until(terminal: int, wanted: str | None) -> str:
    """What a process says until the end matches, or until it ends."""
    said = ""
    with suppress(OSError):  # the other side is closed
        while select.select([terminal], [], [], 30)[0] and (data := os.read(terminal, 4096)):
            said += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode(errors="replace"))
            if wanted is not None and re.search(wanted, said):
                break
    return said
