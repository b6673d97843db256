"""`sensorium models`, on a project whose checkpoint comes from a directory of its own."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WEIGHTS = b"w" * 1_000_000


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "garden"
    (folder / "own").mkdir(parents=True)
    (folder / "own" / "weights.bin").write_bytes(WEIGHTS)
    (folder / "sensorium.yaml").write_text(
        f"""\
sensorium: 1
name: garden
checkpoints:
  rose-v1.5:
    about: Test.
    licence: CC0-1.0
    files: [{{name: weights.bin, bytes: {len(WEIGHTS)}, sha256: {hashlib.sha256(WEIGHTS).hexdigest()}}}]
    places: [{{path: own}}]
"""
    )
    monkeypatch.chdir(folder)
    return folder


def row(listed: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = json.loads(listed)["checkpoints"]
    return next(row for row in rows if row["name"] == "rose-v1.5")


def test_a_projects_own_checkpoint_is_listed_pulled_verified_and_removed(
    sensorium: Callable[..., Any], project: Path
) -> None:
    before = row(sensorium("models", "list", "--json").out)
    assert (before["licence"], before["bytes"], before["state"]) == ("CC0-1.0", 1_000_000, "absent")

    pulled = sensorium("models", "pull", "rose-v1.5", "--json")
    assert pulled.code == 0
    assert "CC0-1.0" in pulled.err
    assert "GB free" in pulled.err
    directory = Path(json.loads(pulled.out)["checkpoints"][0]["directory"])
    assert (directory / "weights.bin").read_bytes() == WEIGHTS
    assert row(sensorium("models", "list", "--json").out)["directory"] == str(directory)
    assert "rose-v1.5" in sensorium("models", "list").out

    assert sensorium("models", "verify", "rose-v1.5").code == 0
    (directory / "weights.bin").write_bytes(b"W" * 1_000_000)
    damaged = sensorium("models", "verify", "rose-v1.5")
    assert damaged.code == 5
    assert "has sha256" in damaged.out

    assert sensorium("models", "rm", "rose-v1.5").code == 0
    assert not directory.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("pull", "roze-v1.5"), "did you mean 'rose-v1.5'?"),
        (("rm", "roze-v1.5"), "did you mean 'rose-v1.5'?"),
        (("verify", "roze-v1.5"), "did you mean 'rose-v1.5'?"),
        (("stop",), "--all"),
        (("stop", "nobody"), "no warm worker"),
        (("pull", "--profile", "nowhere"), "nowhere"),
    ],
)
def test_a_wrong_name_is_the_callers_fault(
    sensorium: Callable[..., Any], project: Path, arguments: tuple[str, ...], says: str
) -> None:
    ended = sensorium("models", *arguments)
    assert ended.code == 2
    assert says in ended.err


def test_a_checkpoint_that_cannot_be_had_exits_with_5(sensorium: Callable[..., Any], project: Path) -> None:
    (project / "own" / "weights.bin").unlink()
    ended = sensorium("models", "pull", "rose-v1.5")
    assert ended.code == 5
    assert "no place gives weights.bin" in ended.err


def test_no_worker_is_warm_at_first(sensorium: Callable[..., Any], project: Path) -> None:
    assert json.loads(sensorium("models", "ps", "--json").out) == {"workers": []}
    assert json.loads(sensorium("models", "stop", "--all", "--json").out) == {"stopped": []}


def test_an_interrupted_pull_exits_with_130_and_says_that_it_can_go_on(home: Path, project: Path) -> None:
    """The place's file is a pipe, so that the test decides when the pull is in the middle."""
    pipe = project / "own" / "weights.bin"
    pipe.unlink()
    os.mkfifo(pipe)
    command = [sys.executable, "-c", "from sensorium.cli import main; main()", "models", "pull", "rose-v1.5"]
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root})
    with pipe.open("wb", buffering=0) as stream:
        stream.write(WEIGHTS[:500_000])
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"the same command goes on from there" in said
    assert not (home / "checkpoints").exists()
