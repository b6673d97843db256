"""The guard of a server's processes, as a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import sensorium.model

GUARD = Path(sensorium.model.__file__).parent / "workers" / "vllm" / "guard.py"
# Has a child of its own; both tell that they are there, and then wait for ever.
SERVER = """
import os, signal
def end(*_): os.write(1, b"ended in order\\n"); os._exit(3)
child = os.fork()
if child: signal.signal(signal.SIGTERM, end)
os.write(1, b"%d\\n" % os.getpid())
while True: signal.pause()
"""
END_S = 20.0


@pytest.fixture
def guard() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(GUARD), sys.executable, "-c", SERVER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        yield process
        process.kill()


def members(guard: subprocess.Popen[str]) -> list[psutil.Process]:
    """The server and its child, once both are there."""
    assert guard.stdout is not None
    return [psutil.Process(int(guard.stdout.readline())) for _ in range(2)]


def test_what_nobody_holds_any_more_ends_in_order_with_all_that_it_started(guard: subprocess.Popen[str]) -> None:
    server = members(guard)
    assert guard.stdin is not None
    guard.stdin.close()
    assert guard.wait(END_S) == 3
    assert guard.stdout is not None
    assert guard.stdout.read() == "ended in order\n"
    assert psutil.wait_procs(server, timeout=END_S)[1] == []


def test_a_server_that_dies_leaves_nobody(guard: subprocess.Popen[str]) -> None:
    server = members(guard)
    next(process for process in server if process.ppid() == guard.pid).kill()
    assert guard.wait(END_S) == 128 + 9
    assert psutil.wait_procs(server, timeout=END_S)[1] == []


def test_a_guard_that_dies_takes_the_server_with_it(guard: subprocess.Popen[str]) -> None:
    server = next(process for process in members(guard) if process.ppid() == guard.pid)
    guard.kill()
    assert psutil.wait_procs([server], timeout=END_S)[1] == []
