"""`sensorium chat --session` and `sensorium sessions`, over projects with scripted models."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from sensorium.project.sessions import open_session
from sensorium.project.turn import Turn, gather
from tests.conftest import Command

TOOL = """
name: gate
about: Tells that it is there, and waits to be let through.
inputs: {request: text}
outputs: {answer: text}
"""
WORKER = """
class Gate:
    def setup(self, checkpoints, device): ...
    def run(self, batch):
        for call in batch:
            told, wait = call["request"].split()
            open(told, "w").close()
            open(wait).close()
        return [{"answer": "through"} for call in batch]
    def close(self): ...
"""
PROJECT = """
sensorium: 1
name: talkers
profile: quiet
profiles:
  quiet:
    models: {central: {backend: scripted, replies: ["First answer.", "Second answer.", "Third answer."]}}
    limits: {keep_warm_s: 0}
"""
TALK = """
sensorium: 1
name: talk
inputs: {request: text, image: "image?", history: "data?"}
nodes: {think: {agent: talker, with: {request: $request, image: $image, history: $history}}}
outputs: {answer: $think.answer}
"""
TALKER = """
name: talker
about: Talks.
inputs: {request: text, image: "image?", history: "data?"}
outputs: {answer: text}
"""


@pytest.fixture
def project(elsewhere: Path) -> Path:
    """A project with an agent `talker` that a graph `talk` calls, and a tool `gate`; the working directory."""
    files = {
        "sensorium.yaml": PROJECT,
        "graphs/talk.yaml": TALK,
        "agents/talker/agent.yaml": TALKER,
        "agents/talker/prompt.md": "Talk.",
        "tools/gate/tool.yaml": TOOL,
        "tools/gate/worker.py": WORKER,
    }
    for name, text in files.items():
        (elsewhere / name).parent.mkdir(parents=True, exist_ok=True)
        (elsewhere / name).write_text(text)
    Image.new("RGB", (32, 16), "red").save(elsewhere / "red.png")
    return elsewhere


def turns(home: Path, name: str) -> list[Turn]:
    return list(gather(open_session(home, name).read(), {}).values())


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Two pipes: a call of `gate` opens one when it is there, and waits at the other until that is closed."""
    told, wait = tmp_path / "told", tmp_path / "wait"
    os.mkfifo(told)
    os.mkfifo(wait)
    yield told, wait
    with suppress(OSError):  # nobody waits any more
        os.close(os.open(wait, os.O_WRONLY | os.O_NONBLOCK))


def is_told(pipe: Path) -> bool:
    """Whether, within a minute, somebody opened a pipe to write to it, and closed it again."""
    handle = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return bool(select.select([handle], [], [], 60)[0])
    finally:
        os.close(handle)


STOPS = {
    signal.SIGINT: (130, "cancelled"),
    signal.SIGKILL: (-signal.SIGKILL, "interrupted"),
}


@pytest.mark.parametrize("stop", STOPS)
def test_a_turn_that_is_stopped_on_its_way_is_shown_and_not_gone_on_with(
    sensorium: Command, home: Path, project: Path, gates: tuple[Path, Path], stop: signal.Signals
) -> None:
    told, wait = gates
    command = [sys.executable, "-m", "sensorium", "chat", "--graph", "gate", "--session", "diary"]
    chat = subprocess.Popen([*command, "-m", f"{told} {wait}"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    assert is_told(told)
    assert [turn.status for turn in turns(home, "diary")] == ["interrupted"]
    chat.send_signal(stop)
    chat.wait(60)
    code, status = STOPS[stop]
    assert chat.returncode == code
    assert [(turn.request, turn.status) for turn in turns(home, "diary")] == [(f"{told} {wait}", status)]
    ended = sensorium("chat", "--graph", "talk", "--session", "diary", "-m", "And now?", "--json")
    assert json.loads(ended.out)["reply"] == "First answer."


def talk(sensorium: Command, monkeypatch: pytest.MonkeyPatch, typed: bytes, *arguments: str) -> tuple[str, str]:
    """What a chat says to lines from a pipe."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed), encoding="utf-8"))
    ended = sensorium("chat", "--graph", "talk", *arguments)
    assert ended.code == (2 if b"missing.png" in typed or b"nobody" in typed else 0), "the last line that failed"
    return ended.out, ended.err


def test_a_session_is_listed_gone_on_with_and_removed(
    sensorium: Command, home: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = b"/attach red.png\nWhat is\tthis?\n/attach missing.png\nAnd   that? \xff\nAnd that?\n/save diary\n/resume\n"
    out, err = talk(sensorium, monkeypatch, typed)
    assert "First answer.\nSecond answer.\n" in out
    assert "input request is not Unicode text (character 12 is a lone surrogate)" in err
    assert "missing.png' is not a file that is there" in err
    assert "diary" in out.splitlines()[-1]

    (row,) = json.loads(sensorium("sessions", "list", "--json").out)["sessions"]
    path = home / "sessions" / "diary.jsonl"
    assert (row["name"], row["turns"], row["first_words"]) == ("diary", 2, "What is this?")
    assert (row["attachments"], row["bytes"], row["trouble"]) == (1, path.stat().st_size, None)
    assert row["media_bytes"] == (project / "red.png").stat().st_size
    assert "What is this?" in sensorium("sessions", "list").out

    out, err = talk(sensorium, monkeypatch, b"/resume nobody\n/resume diary\nThe third?\n/take\n/nonsense\n")
    assert "there is no session 'nobody'" in err
    assert out.startswith("> What is\tthis?\nFirst answer.\n> And that?\nSecond answer.\n")
    assert "session diary goes on with 2 turns, image attached" in err
    assert "the last answer came with no picture or sound" in err
    assert "/take " in err

    ended = sensorium("sessions", "rm", "diary", "nobody")
    assert (ended.code, "there is no session 'nobody'" in ended.err, path.exists()) == (2, True, True)
    size_bytes = path.stat().st_size
    told = json.loads(sensorium("sessions", "rm", "diary", "--json").out)
    assert told == {"removed": [{"name": "diary", "freed_bytes": size_bytes}]}
    assert json.loads(sensorium("sessions", "list", "--json").out) == {"sessions": []}


def test_what_a_session_goes_on_with_is_said_at_its_start(
    sensorium: Command, home: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for expected in ("session diary is new", "session diary goes on with 1 turn", "goes on with 2 turns"):
        _, err = talk(sensorium, monkeypatch, b"Hello\n", "--session", "diary")
        assert expected in err


def test_a_damaged_session_is_listed_with_its_trouble_and_can_be_removed(
    sensorium: Command, home: Path, project: Path
) -> None:
    (home / "sessions").mkdir(parents=True)
    (home / "sessions" / "diary.jsonl").write_text("{}\n")
    (row,) = json.loads(sensorium("sessions", "list", "--json").out)["sessions"]
    assert "diary.jsonl:1: not a message of a session" in row["trouble"]
    ended = sensorium("chat", "--graph", "talk", "--session", "diary", "-m", "Hi")
    assert (ended.code, "diary.jsonl:1: not a message" in ended.err) == (2, True)
    (home / "sessions" / "my diary.jsonl").write_text("{}\n")
    assert sensorium("sessions", "rm", "my diary", "diary").code == 0
    assert sensorium("sessions", "list").out == "no conversation was kept\n"


def test_help_fits_a_terminal(sensorium: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = talk(sensorium, monkeypatch, b"/help\n")
    assert "/take" in out
    assert max(len(line) for line in out.splitlines()) <= 80


def test_the_one_that_was_used_last_is_listed_first(sensorium: Command, home: Path, project: Path) -> None:
    for second, name in enumerate(["old", "new", "middle"]):
        open_session(home, name).add([])
        os.utime(home / "sessions" / f"{name}.jsonl", (0, (1_000, 3_000, 2_000)[second]))
    rows = json.loads(sensorium("sessions", "list", "--json").out)["sessions"]
    assert [row["name"] for row in rows] == ["new", "middle", "old"]
    assert rows[0]["last_used"] == "1970-01-01T00:50:00+00:00"
    here = datetime.fromtimestamp(3_000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert here in sensorium("sessions", "list").out


SHOWN = """
sensorium: 1
name: shown
inputs: {request: text, image: image}
nodes: {think: {agent: talker, with: {request: $request}}}
outputs: {answer: $think.answer, image: $image}
"""


def test_each_turn_s_pictures_have_a_folder_of_their_own(sensorium: Command, project: Path) -> None:
    (project / "graphs" / "shown.yaml").write_text(SHOWN)
    said = [
        sensorium("chat", "--graph", "shown", "-a", "red.png", "--out", "media", "-m", message, *json).out
        for message, json in (("one", ()), ("two", ()), ("three", ("--json",)))
    ]
    written = sorted(str(path.relative_to(project)) for path in (project / "media").rglob("*.png"))
    assert written == ["media/001/image.png", "media/002/image.png", "media/003/image.png"]
    assert [path in told for path, told in zip(written, said, strict=True)] == [True] * 3


def test_turns_of_a_conversation_do_not_write_over_those_of_another(
    sensorium: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "graphs" / "shown.yaml").write_text(SHOWN)
    told: list[str] = []
    for _ in range(2):
        monkeypatch.setattr(sys, "stdin", io.StringIO("one\ntwo\n"))
        told += sensorium("chat", "--graph", "shown", "-a", "red.png").out.splitlines()
    paths = [line for line in told if line.endswith(".png")]
    assert paths == [f"out/chat/{number:03d}/image.png" for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("command", [("run", "shown", "request=x", "image=@red.png"), ("chat", "-m", "x")])
def test_json_is_printed_where_media_cannot_be_written(
    sensorium: Command, project: Path, command: tuple[str, ...]
) -> None:
    (project / "graphs" / "shown.yaml").write_text(SHOWN)
    more = ("--graph", "shown", "-a", "red.png") if command[0] == "chat" else ()
    ended = sensorium(*command, *more, "--json", "--out", "red.png/below")
    told = json.loads(ended.out)
    assert (ended.code, told["status"], told["error"]["kind"]) == (5, "failed", "operator")
    assert "red.png/below" in told["error"]["message"]
    assert told["outputs"]["answer"]["text"] == "First answer."
    assert Path(told["outputs"]["image"]["path"]).is_file()
