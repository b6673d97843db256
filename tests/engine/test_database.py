"""What every database does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sensorium.database import Database, Held, SqliteDatabase

COUNTED = "CREATE TABLE IF NOT EXISTS counted (number {serial}, name TEXT UNIQUE, share {real}, value {bytes})"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = SqliteDatabase(tmp_path / "deep" / "runs.sqlite")
    made.define(COUNTED)
    return made


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
from pathlib import Path
from sensorium.database import SqliteDatabase

with SqliteDatabase(Path(sys.argv[1])).hold("run a"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_process_that_is_killed_lets_go_of_what_it_held(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(Held), SqliteDatabase(path).hold("run a"):
            pass
        child.kill()
    with SqliteDatabase(path).hold("run a"):
        pass
