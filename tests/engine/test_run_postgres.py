"""Runs that are kept in PostgreSQL."""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import ormsgpack
import psycopg
import pytest
import pytest_asyncio

from sensorium.database import open_database
from sensorium.errors import OperatorError
from sensorium.events import Event, NodeFinished, NodeProgress, NodeStarted
from sensorium.graph import Graph, RunOptions
from sensorium.parts import Text
from sensorium.testing import Scratch
from sensorium.worker import Progress
from tests.engine.chain import NUM_STEPS, start_child, write_chain
from tests.engine.door import Door, door
from tests.engine.postgres_server import PostgresServer

__all__ = ["door"]

pytestmark = pytest.mark.slow

LOG = ""


class Shout:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[dict[str, Any]]) -> Iterator[Progress | list[dict[str, Any]]]:
        with open(LOG, "a") as log:
            log.writelines(f"{call['text']}\n" for call in batch)
        yield Progress(0, 0.5)
        yield [{"text": call["text"].upper()} for call in batch]

    def close(self) -> None: ...


@pytest_asyncio.fixture
async def project(tmp_path: Path, postgres_url: str) -> AsyncGenerator[Scratch]:
    made = Scratch(tmp_path, database=open_database(postgres_url))
    yield made
    await made.close()


def shouting(project: Scratch) -> Graph:
    header = f"from sensorium.worker import Progress\nLOG = {str(project.home / 'calls.log')!r}"
    project.tool("shout", Shout, inputs={"text": "text"}, outputs={"text": "text"}, header=header, effects=True)
    return project.graph("""
        name: loud
        inputs: {words: text}
        nodes:
          one: {tool: shout, with: {text: $words}}
          two: {tool: shout, with: {text: $one.text}}
        outputs: {loud: $two.text}
    """)


def calls(project: Scratch) -> list[str]:
    log = project.home / "calls.log"
    return log.read_text().split() if log.exists() else []


async def test_a_run_with_an_earlier_id_repeats_no_completed_call(project: Scratch) -> None:
    graph = shouting(project)
    first = await graph.arun(words="hey")
    again = await graph.arun(words="hey", options=RunOptions(run=first.run))
    assert again.loud == Text("HEY")
    assert calls(project) == ["hey", "HEY"]


async def test_runs_that_make_the_tables_at_once_all_end_well(project: Scratch, postgres_url: str) -> None:
    others = [Scratch(project.home / str(index), database=open_database(postgres_url)) for index in range(4)]
    results = await asyncio.gather(*(shouting(other).arun(words="hey") for other in others))
    assert [result.loud for result in results] == [Text("HEY")] * 4
    for other in others:
        await other.close()


@pytest.mark.parametrize("kind", ["msgpack", "json"])
async def test_a_checkpoint_that_names_a_callable_ends_the_run_and_has_nothing_called(
    project: Scratch, postgres_url: str, kind: str
) -> None:
    graph = shouting(project)
    first = await graph.arun(words="hey")
    mark = project.home / "called"
    with psycopg.connect(postgres_url) as connection:
        changed = connection.execute(
            "UPDATE checkpoint_blobs SET type = %s, blob = %s", (kind, calling(kind, str(mark)))
        ).rowcount
    assert changed > 0
    with pytest.raises(OperatorError, match="cannot be read"):
        await graph.arun(words="hey", options=RunOptions(run=first.run))
    assert not mark.exists()
    assert calls(project) == ["hey", "HEY"]
    assert (await graph.arun(words="hey")).loud == Text("HEY")


def calling(kind: str, mark: str) -> bytes:
    """What a permissive reader of checkpoints would make a directory for."""
    if kind == "json":
        return json.dumps({"lc": 2, "type": "constructor", "id": ["os", "mkdir"], "args": [mark]}).encode()
    importlib.import_module("sensorium.graph.compile")  # imported by anybody else first, LangGraph stays unsafe
    from langgraph.checkpoint.serde.jsonplus import EXT_CONSTRUCTOR_SINGLE_ARG

    return ormsgpack.packb(ormsgpack.Ext(EXT_CONSTRUCTOR_SINGLE_ARG, ormsgpack.packb(("os", "mkdir", mark))))


async def test_a_checkpoint_that_is_damaged_is_said_to_be(project: Scratch, postgres_url: str) -> None:
    graph = shouting(project)
    first = await graph.arun(words="hey")
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE checkpoints SET checkpoint = '[1]'")
    with pytest.raises(OperatorError, match="cannot be read"):
        await graph.arun(words="hey", options=RunOptions(run=first.run))


END = {
    "hold": "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory'",
    "checkpoints": "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE query LIKE '%checkpoint%' "
    "AND datname = current_database() AND pid <> pg_backend_pid()",
}


@pytest.mark.parametrize(
    ("ended", "when", "made", "says"),
    [
        pytest.param("hold", NodeStarted, [], "that held run", id="before a call"),
        pytest.param("hold", NodeProgress, ["hey"], "that held run", id="in a call"),
        pytest.param("hold", NodeFinished, ["hey"], "that held run", id="after a call"),
        pytest.param("checkpoints", NodeStarted, ["hey", "HEY"], "cannot be used", id="of checkpoints"),
    ],
)
async def test_a_connection_that_the_server_ends_ends_the_run(
    project: Scratch, postgres_url: str, ended: str, when: type[Event], made: list[str], says: str
) -> None:
    graph = shouting(project)
    answers: list[tuple[bool]] = []

    def see(event: Event) -> None:
        if isinstance(event, when) and not answers:
            with psycopg.connect(postgres_url) as connection:
                answers.extend(connection.execute(END[ended].encode()).fetchall())

    with pytest.raises(OperatorError, match=says) as raised:
        await graph.arun(words="hey", options=RunOptions(on_event=see))
    assert answers == [(True,)]
    assert (raised.value.exit_code, calls(project)) == (5, made)
    again = await graph.arun(words="hey", options=RunOptions(run=raised.value.result.run))
    assert again.loud == Text("HEY")
    assert calls(project) == ["hey", "HEY"]


def test_a_run_goes_on_in_one_process_at_a_time(tmp_path: Path, postgres_url: str, door: Door) -> None:
    """Two homes, as on two machines."""
    log = tmp_path / "calls.log"
    for name in ("one", "two"):
        write_chain(tmp_path / name, log=log, door=door.path)
    with start_child(tmp_path / "one", postgres_url) as first:
        assert first.stdout is not None
        assert [first.stdout.readline() for _ in range(2)] == ["READY\n", "CALL\n"]
        with start_child(tmp_path / "two", postgres_url, errors=subprocess.PIPE) as second:
            out, errors = second.communicate()
        door.open()
        rest = first.stdout.read()
    assert (out, second.returncode) == ("READY\n", 1)
    assert "CallerError: run killed goes on already" in errors
    assert f"DONE {NUM_STEPS}.0" in rest
    assert log.read_text().split() == [str(index) for index in range(NUM_STEPS)]


async def test_a_user_without_rights_is_told_what_to_be_granted(
    tmp_path: Path, postgres_url: str, postgres_server: PostgresServer
) -> None:
    project = Scratch(tmp_path, database=open_database(postgres_server.as_stranger(postgres_url)))
    graph = shouting(project)
    with pytest.raises(OperatorError, match=r"permission denied.*grant the user CREATE") as raised:
        await graph.arun(words="hey")
    assert (raised.value.exit_code, calls(project)) == (5, [])
    await project.close()


async def test_a_server_that_stops_in_a_run_is_an_operators_matter(
    project: Scratch, postgres_server: PostgresServer
) -> None:
    graph = shouting(project)
    stopped: list[str] = []

    def see(event: Event) -> None:
        if isinstance(event, NodeStarted) and event.node == "two":
            stopped.append(event.node)
            postgres_server.stop()

    try:
        with pytest.raises(OperatorError, match="cannot be used") as raised:
            await graph.arun(words="hey", options=RunOptions(on_event=see))
    finally:
        if stopped:
            postgres_server.start()
    assert stopped == ["two"]
    assert raised.value.exit_code == 5
    again = await graph.arun(words="hey", options=RunOptions(run=raised.value.result.run))
    assert again.loud == Text("HEY")
    assert calls(project).count("hey") == 1
