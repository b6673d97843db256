"""The command line where its streams are closed or full, and where it is interrupted."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import STRANGER

pytestmark = pytest.mark.usefixtures("home")

COMMAND = [sys.executable, "-m", "sensorium"]
COUNT = [*COMMAND, "run", "count-words", "text=one two", "--project", str(STRANGER)]
WAIT_S = 20.0
WRONG = [*COMMAND, "run", "count-words", "txt=one", "--project", str(STRANGER)]
HANG = """
import os, threading

class Hang:
    def setup(self, checkpoints, device):
        if "{where}" == "setup": self.hang()

    def run(self, batch):
        self.hang()

    def hang(self):
        with open("{door}", "w") as door:
            door.write(str(os.getpid()))
        threading.Event().wait()

    def close(self): ...
"""


def in_shell(command: list[str], streams: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """How a command ends whose streams a shell has turned elsewhere."""
    return subprocess.run(
        ["sh", "-c", f'"$@" {streams}', "sh", *command], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_a_run_is_done_whatever_streams_are_closed(tmp_path: Path, streams: str) -> None:
    ended = in_shell(COUNT, streams, tmp_path)
    assert (ended.returncode, "fault" in ended.stderr) == (0, False)
    assert ("count: 2" in ended.stdout) is (">&-" not in streams.replace("2>&-", ""))


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full"])
def test_an_error_that_cannot_be_told_still_has_its_exit_code(tmp_path: Path, streams: str) -> None:
    assert in_shell(WRONG, streams, tmp_path).returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize("command", [COUNT, [*COUNT, "--json"], [*COMMAND, "list"], [*COMMAND, "--help"]])
def test_output_that_cannot_be_written_is_an_operators_matter(tmp_path: Path, command: list[str]) -> None:
    ended = in_shell(command, ">/dev/full", tmp_path)
    assert ended.returncode == 5
    assert "takes no more: No space left on device" in ended.stderr
    assert "fault" not in ended.stderr


@pytest.mark.parametrize(
    ("where", "keep_warm_s"),
    [("setup", "0"), ("setup", "300"), pytest.param("run", "300", marks=pytest.mark.slow)],  # a call has its grace time
)
def test_an_interrupt_ends_a_tool_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, keep_warm_s: str
) -> None:
    monkeypatch.setenv("SENSORIUM_KEEP_WARM_S", keep_warm_s)
    folder, door = tmp_path / "tools" / "hang", tmp_path / "door"
    folder.mkdir(parents=True)
    os.mkfifo(door)
    (tmp_path / "sensorium.yaml").write_text("sensorium: 1\nname: hanging\n")
    (folder / "tool.yaml").write_text("name: hang\nabout: Hangs.\ninputs: {text: text}\noutputs: {text: text}\n")
    (folder / "worker.py").write_text(HANG.format(where=where, door=door))
    command = [*COMMAND, "run", "hang", "text=x"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        worker = os.pidfd_open(int(door.read_text()))
        running.send_signal(signal.SIGINT)
        _, said = running.communicate()
    assert running.returncode == 130
    assert said.endswith("sensorium: interrupted\n")
    assert "Traceback" not in said
    has_ended, _, _ = select.select([worker], [], [], WAIT_S)
    os.close(worker)
    assert has_ended


def test_an_interrupt_that_python_drops_comes_again() -> None:
    script = """
        import threading
        import sensorium.cli

        class Dropping:
            def __del__(self): raise KeyboardInterrupt

        try:
            Dropping()
            threading.Event().wait(20)
        except KeyboardInterrupt:
            print("came again")
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("came again\n", "")


@pytest.mark.parametrize(
    ("lines", "code"), [("one two\n", 0), ("ok\n \x00\n", 2), ("\x00\nok\n/nothing\n", 2), ("", 0)]
)
def test_a_conversation_from_a_pipe_tells_by_its_exit_code_what_failed(tmp_path: Path, lines: str, code: int) -> None:
    graph = tmp_path / "talk.yaml"
    graph.write_text(
        "name: talk\ninputs: {request: text}\nnodes: {count: {tool: count-words, with: {text: $request}}}\n"
        "outputs: {answer: $request, count: $count.count}\n"
    )
    command = [*COMMAND, "chat", "--graph", str(graph), "--project", str(STRANGER)]
    ended = subprocess.run(command, input=lines, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stderr
