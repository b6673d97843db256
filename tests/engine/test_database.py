"""What every database does."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sensorium.database import Database, Held, open_database
from sensorium.errors import CallerError, OperatorError
from tests.engine.postgres_server import PostgresServer

COUNTED = "CREATE TABLE IF NOT EXISTS counted (number {serial}, name TEXT UNIQUE, share {real}, value {bytes})"


@pytest.fixture
def database(place: str) -> Iterator[Database]:
    made = open_database(place)
    made.define(COUNTED)
    yield made
    made.close()


def test_rows_come_back_as_they_went_in(database: Database) -> None:
    values = ("añ 中 %s ? ''", 0.1, b"\0\xff")
    assert database.execute("INSERT INTO counted (name, share, value) VALUES (?, ?, ?)", values) == []
    ((name, share, value),) = database.execute("SELECT name, share, value FROM counted WHERE name = ?", values[:1])
    assert (name, share, bytes(value)) == values


async def test_numbers_grow_with_each_row_and_a_change_can_tell_what_it_changed(database: Database) -> None:
    for name in ("a", "b"):
        await database.aexecute("INSERT INTO counted (name) VALUES (?)", (name,))
    rows = await database.aexecute("DELETE FROM counted WHERE name = ? RETURNING name", ("b",))
    assert rows == [("b",)]
    await database.aexecute("INSERT INTO counted (name) VALUES (?)", ("c",))
    assert database.execute("SELECT name FROM counted ORDER BY number") == [("a",), ("c",)]


def test_a_table_that_is_defined_later_is_there_too(database: Database) -> None:
    assert database.execute("SELECT * FROM counted") == []
    database.define("CREATE TABLE IF NOT EXISTS later (name TEXT)")
    assert database.execute("SELECT * FROM later") == []


def test_a_name_is_held_once_and_other_names_are_free(database: Database) -> None:
    with database.hold("run a"):
        with pytest.raises(Held), database.hold("run a"):
            pass
        with database.hold("run b"):
            pass
    with database.hold("run a"):
        assert database.is_held("run a")
        assert not database.is_held("run b")
    assert not database.is_held("run a")


HOLD = """
import sys
from sensorium.database import open_database

with open_database(sys.argv[1]).hold("run a"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_process_that_is_killed_lets_go_of_what_it_held(database: Database, place: str) -> None:
    command = [sys.executable, "-c", HOLD, place]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(Held), database.hold("run a"):
            pass
        child.kill()
    wait_until_free(database, "run a")
    with database.hold("run a"):
        pass


def wait_until_free(database: Database, name: str) -> None:
    """A server hears of a dead client by its connection: waits in the server's own queue for the lock."""
    if database.place.startswith("postgresql:"):
        number = importlib.import_module("sensorium.database.postgres").lock_number(name)
        database.execute(
            "SELECT 1 FROM (SELECT pg_advisory_lock(?)) AS waited, pg_advisory_unlock(?)", (number, number)
        )


@pytest.mark.parametrize("statement", ["SELECT '?' || ? || '%'", "SELECT '?' || ? || '%' -- 100%"])
def test_marks_within_quotes_stay(database: Database, statement: str) -> None:
    assert database.execute(statement, ("a",)) == [("?a%",)]


def test_a_text_that_cannot_be_kept_whole_is_refused(database: Database) -> None:
    with pytest.raises(CallerError, match="half a character"):
        database.execute("INSERT INTO counted (name) VALUES (?)", ("\ud800",))
    assert database.execute("SELECT name FROM counted") == []


def test_whole_numbers_have_64_bits(database: Database) -> None:
    database.define("CREATE TABLE IF NOT EXISTS large (size INTEGER)")
    database.execute("INSERT INTO large VALUES (?)", (1 << 40,))
    assert database.execute("SELECT size FROM large") == [(1 << 40,)]


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:secret@host/name",
        "postgresql://me:sec@secret@host/name",
        "postgresql://me:secret/x@host/name",
        "postgresql://me:%secret@host/name",
    ],
)
def test_a_url_that_is_wrong_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(OperatorError, match="postgresql://USER:PASSWORD@HOST:PORT/NAME") as raised:
        open_database(url)
    assert "secret" not in str(raised.value)


@pytest.mark.slow
def test_nul_is_refused_where_it_cannot_be_kept(postgres_url: str) -> None:
    with pytest.raises(CallerError, match="NUL"):
        open_database(postgres_url).execute("SELECT ?", ("a\0b",))


@pytest.mark.slow
def test_what_keeps_a_server_from_being_used_is_said(postgres_url: str) -> None:
    for wrong, right in (
        (postgres_url.replace("pass%3Aword", "secret"), "right user and password"),
        (postgres_url.replace("@/", "@/absent"), "createdb"),
        (postgres_url.replace("host=", "host=/nowhere"), "start the server"),
    ):
        with pytest.raises(OperatorError, match=right) as raised:
            open_database(wrong).execute("SELECT 1")
        assert "secret" not in str(raised.value)
        assert "pass:word" not in str(raised.value)


@pytest.mark.slow
def test_a_server_that_was_started_again_is_connected_to_again(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    database = open_database(postgres_url)
    database.define(COUNTED)
    database.execute("INSERT INTO counted (name) VALUES (?)", ("a",))
    postgres_server.stop()
    try:
        with pytest.raises(OperatorError, match="start the server"):
            database.execute("SELECT name FROM counted")
    finally:
        postgres_server.start()
    assert database.execute("SELECT name FROM counted") == [("a",)]
    database.close()
