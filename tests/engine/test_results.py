from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from pathlib import Path

import pytest

from sensorium.database import SqliteDatabase
from sensorium.errors import OperatorError
from sensorium.results import Results


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


@pytest.fixture
def results(path: Path) -> Results:
    return Results(SqliteDatabase(path))


async def test_a_result_is_found_under_its_key_alone(results: Results) -> None:
    await results.keep("a", b"1", run="r", node="n")
    assert await results.find("a") == [b"1"]
    assert await results.find("b") == []


async def test_a_run_can_ask_for_what_it_made_itself(results: Results) -> None:
    await results.keep("a", b"old", run="first", node="n")
    assert await results.find("a", runs=["second"]) == []
    await results.keep("a", b"new", run="second", node="n")
    assert await results.find("a", runs=["second"]) == [b"new"]
    assert await results.find("a", runs=["first"]) == [b"old"]
    assert await results.find("a", runs=["first", "second"]) == [b"new", b"old"]
    assert await results.find("a") == [b"new", b"old"]


KEEP = """
import asyncio, os, signal, sys
from pathlib import Path
from sensorium.database import SqliteDatabase
from sensorium.results import Results

results = Results(SqliteDatabase(Path(sys.argv[1])))
for number in range(int(sys.argv[3])):
    asyncio.run(results.keep(f"{sys.argv[2]} {number}", b"1", run="r", node="n"))
"""


async def test_a_result_survives_a_process_that_is_killed(results: Results, path: Path) -> None:
    code = KEEP + "os.kill(os.getpid(), signal.SIGKILL)"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(path), "a", "1")
    assert await child.wait() == -signal.SIGKILL
    assert await results.find("a 0") == [b"1"]


async def test_the_loop_goes_on_while_another_writer_holds_the_file(results: Results, path: Path) -> None:
    await results.keep("a", b"1", run="r", node="n")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(results.keep("b", b"2", run="r", node="n"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert await results.find("a") == [b"1"]
    other.execute("COMMIT")
    other.close()
    await waiting
    assert await results.find("b") == [b"2"]


async def test_many_processes_may_begin_at_once(results: Results, path: Path) -> None:
    code = f"import sys; sys.stdin.read()\n{KEEP}"
    command = [sys.executable, "-c", code, str(path)]
    children = [
        await asyncio.create_subprocess_exec(*command, str(index), "50", stdin=asyncio.subprocess.PIPE)
        for index in range(6)
    ]
    await asyncio.gather(*(child.communicate(b"") for child in children))
    assert [child.returncode for child in children] == [0] * 6
    kept = [await results.find(f"{index} {number}") for index in range(6) for number in range(50)]
    assert kept == [[b"1"]] * 300


async def test_of_equal_calls_at_once_one_flies(results: Results) -> None:
    flown: list[str] = []

    async def call() -> list[bytes]:
        async with results.flight("a"):
            if not await results.find("a"):
                flown.append("a")
                await asyncio.sleep(0)
                await results.keep("a", b"1", run="r", node="n")
        return await results.find("a")

    assert list(await asyncio.gather(call(), call(), call())) == [[b"1"]] * 3
    assert flown == ["a"]


def test_a_file_that_is_no_database_is_an_operators_matter(results: Results, path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(OperatorError, match="cannot be used"):
        asyncio.run(results.find("a"))
