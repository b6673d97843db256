from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sensorium.errors import OperatorError
from sensorium.results import Results


def test_a_result_is_found_under_its_key_alone(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.sqlite")
    results.put("a", b"1", run="r", node="n")
    assert results.get("a") == b"1"
    assert results.get("b") is None


def test_a_run_can_ask_for_what_it_made_itself(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.sqlite")
    results.put("a", b"old", run="first", node="n")
    assert results.get("a", run="second") is None
    results.put("a", b"new", run="second", node="n")
    assert results.get("a", run="second") == b"new"
    assert results.get("a", run="first") == b"old"
    assert results.get("a") == b"new"


def test_a_result_survives_a_process_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    code = (
        "import os, signal, sys; from pathlib import Path; from sensorium.results import Results\n"
        "Results(Path(sys.argv[1])).put('a', b'1', run='r', node='n'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    assert Results(path).get("a") == b"1"


async def test_the_loop_goes_on_while_another_writer_holds_the_file(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.sqlite")
    results.put("a", b"1", run="r", node="n")
    other = sqlite3.connect(results.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(results.keep("b", b"2", run="r", node="n"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert results.get("a") == b"1"
    other.execute("COMMIT")
    other.close()
    await waiting
    assert results.get("b") == b"2"


def test_many_processes_may_begin_at_once(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    code = (
        "import sys; from pathlib import Path; from sensorium.results import Results; sys.stdin.read()\n"
        "results = Results(Path(sys.argv[1]))\n"
        "for number in range(50): results.put(f'{sys.argv[2]} {number}', b'1', run='r', node='n')"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(index)], stdin=subprocess.PIPE)
        for index in range(6)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
    assert [child.wait() for child in children] == [0] * 6
    results = Results(path)
    assert all(results.get(f"{index} {number}") == b"1" for index in range(6) for number in range(50))


async def test_of_equal_calls_at_once_one_flies(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.sqlite")
    flown: list[str] = []

    async def call() -> bytes | None:
        async with results.flight("a"):
            if results.get("a") is None:
                flown.append("a")
                await asyncio.sleep(0)
                await results.keep("a", b"1", run="r", node="n")
        return results.get("a")

    assert list(await asyncio.gather(call(), call(), call())) == [b"1", b"1", b"1"]
    assert flown == ["a"]


def test_a_file_that_is_no_database_is_an_operators_matter(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(OperatorError, match="cannot be used"):
        Results(path).get("a")
