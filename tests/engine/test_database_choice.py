"""Which database a project uses, and what is said of one that cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sensorium.database import open_database
from sensorium.errors import AuthorError
from sensorium.project import Project
from tests.conftest import Command

SHOUT = ("run", "shout", "text=hey", "--json")


@pytest.fixture
def project(sensorium: Command, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose profile names a database by a variable."""
    folder = elsewhere / "mine"
    sensorium("init", folder)
    (folder / "sensorium.yaml").write_text(
        "sensorium: 1\nname: mine\nprofile: shared\n"
        'profiles: {shared: {extends: embedded, database: "${env:RUNS_PLACE}"}}\n'
    )
    monkeypatch.chdir(folder)
    return folder


def num_results(place: str | Path) -> int:
    database = open_database(place)
    ((count,),) = database.execute("SELECT count(*) FROM sensorium_results")
    database.close()
    return int(count)


def test_a_profile_names_the_database(
    sensorium: Command, project: Path, home: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNS_PLACE", place)
    assert sensorium(*SHOUT).code == 0
    assert num_results(place) == 1
    assert not (home / "runs.sqlite").exists()


def test_a_path_in_a_profile_is_one_in_the_project(
    project: Path, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RUNS_PLACE", "deep/own.sqlite")
    monkeypatch.chdir(tmp_path)
    assert Project.find(project).database.place == str(project / "deep" / "own.sqlite")


def test_the_variable_wins_over_the_profile(
    sensorium: Command, project: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNS_PLACE", "own.sqlite")
    monkeypatch.setenv("SENSORIUM_DATABASE", place)
    assert sensorium(*SHOUT).code == 0
    assert num_results(place) == 1
    assert not (project / "own.sqlite").exists()


def test_a_variable_of_the_profile_that_is_not_set_is_named(
    project: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNS_PLACE", raising=False)
    with pytest.raises(AuthorError, match="'RUNS_PLACE' is not set"):
        _ = Project.find(project).database


def test_a_url_that_is_wrong_ends_the_command_without_its_password(
    sensorium: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENSORIUM_DATABASE", "mysql://me:secret@server/runs")
    ended = sensorium("run", "shout", "text=hey")
    assert ended.code == 5
    assert "postgresql://USER:PASSWORD@HOST:PORT/NAME" in ended.err
    assert "secret" not in ended.err + ended.out


def test_a_collection_drops_what_lies_in_the_database(
    sensorium: Command, home: Path, project: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNS_PLACE", place)
    assert sensorium(*SHOUT).code == 0
    ended = sensorium("store", "gc", "--older-than", "0", "--json")
    assert (ended.code, json.loads(ended.out)["results"]) == (0, 1)
    assert num_results(place) == 0


def test_doctor_says_which_database_answers(
    sensorium: Command, home: Path, elsewhere: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENSORIUM_DATABASE", place)
    (finding,) = [row for row in json.loads(sensorium("doctor", "--json").out)["findings"] if row["what"] == "database"]
    assert finding["state"] == "good"
    assert finding["says"] == f"{open_database(place).place} answers"


def test_doctor_says_what_keeps_a_database_from_answering(
    sensorium: Command, home: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg", reason="needs the extra postgres: pip install -e '.[postgres]'")
    monkeypatch.setenv("SENSORIUM_DATABASE", f"postgresql://me:secret@/runs?host={elsewhere}")
    ended = sensorium("doctor", "--json")
    (finding,) = [row for row in json.loads(ended.out)["findings"] if row["what"] == "database"]
    assert (ended.code, finding["state"]) == (5, "missing")
    assert "start the server" in finding["says"]
    assert "secret" not in ended.out


WITHOUT = """
import sys

for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
from sensorium.cli import main

main()
"""


@pytest.mark.parametrize(
    "absent", ["psycopg", pytest.param("langgraph.checkpoint.postgres.aio", marks=pytest.mark.slow)]
)
def test_what_is_not_installed_is_named_with_the_command_that_installs_it(
    project: Path, home: Path, absent: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    url = "postgresql:///x" if absent == "psycopg" else str(request.getfixturevalue("postgres_url"))
    monkeypatch.setenv("SENSORIUM_DATABASE", url)
    command = [sys.executable, "-c", WITHOUT, absent, "run", "shout", "text=hey"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=project)
    assert ended.returncode == 5
    assert absent in ended.stderr
    assert "pip install 'sensorium[postgres]'" in ended.stderr
