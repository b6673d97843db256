from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensorium.database import Database, SqliteDatabase, open_database
from sensorium.errors import CallerError, OperatorError
from sensorium.project.dropping import drop_runs
from sensorium.results import Results
from sensorium.runs import Runs


@pytest.fixture
def database(place: str) -> Iterator[Database]:
    made = open_database(place)
    yield made
    made.close()


@pytest.fixture
def results(database: Database) -> Results:
    return Results(database)


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
from sensorium.database import open_database
from sensorium.results import Results

results = Results(open_database(sys.argv[1]))
for number in range(int(sys.argv[3])):
    asyncio.run(results.keep(f"{sys.argv[2]} {number}", b"1", run="r", node="n"))
"""


async def test_a_result_survives_a_process_that_is_killed(results: Results, place: str) -> None:
    code = KEEP + "os.kill(os.getpid(), signal.SIGKILL)"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, place, "a", "1")
    assert await child.wait() == -signal.SIGKILL
    assert await results.find("a 0") == [b"1"]


async def test_the_loop_goes_on_while_another_writer_holds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    results = Results(SqliteDatabase(path))
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


async def test_many_processes_may_begin_at_once(results: Results, place: str) -> None:
    code = f"import sys; sys.stdin.read()\n{KEEP}"
    command = [sys.executable, "-c", code, place]
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


def test_a_file_that_is_no_database_is_an_operators_matter(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(OperatorError, match="cannot be used"):
        asyncio.run(Results(SqliteDatabase(path)).find("a"))


async def test_all_results_are_read_the_oldest_first(results: Results) -> None:
    for number in range(501):
        await results.keep(f"key {number}", b"1", run=f"run {number}", node="n")
    seen: list[tuple[int, int]] = []
    read = list(results.read(lambda done, total: seen.append((done, total))))
    assert [(result.run, result.value) for result in read] == [(f"run {number}", b"1") for number in range(501)]
    assert seen == [(500, 501), (501, 501)]


async def test_what_runs_made_is_dropped_but_for_those_that_go_on(results: Results, place: str) -> None:
    for run in ("ended", "live"):
        await results.keep("a", b"1", run=run, node="n")
    other = open_database(place)
    with Results(other).going_on("live"):
        assert results.is_going_on("live")
        with pytest.raises(CallerError, match="run live goes on already"), results.going_on("live"):
            pass
        dropped = drop_runs(other, results, Runs(other), ["ended", "live", "unknown"])
        assert dropped == {"ended": 1, "unknown": 0}
    other.close()
    assert [result.run for result in results.read(lambda done, total: None)] == ["live"]


@pytest.mark.slow
async def test_room_of_dropped_results_is_used_again(postgres_url: str) -> None:
    database = open_database(postgres_url)
    results = Results(database)
    sizes: list[int] = []
    for run in ("first", "second"):
        for number in range(200):
            await results.keep(f"key {number}", b"1" * 1000, run=run, node="n")
        ((size,),) = database.execute("SELECT pg_relation_size('sensorium_results')")
        sizes.append(int(size))
        assert results.drop(run) == 200
        results.compact()
    database.close()
    assert sizes[0] == sizes[1] > 200_000
