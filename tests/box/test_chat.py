"""A conversation with the small model over two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from skimage.data import data_dir

from sensorium.errors import OperatorError
from sensorium.project import Project
from sensorium.project.folders import home_folder

pytestmark = pytest.mark.models

CAT = str(Path(data_dir) / "chelsea.png")


@pytest.fixture
def home_with_weights(tmp_path: Path) -> Path:
    """A home without sessions and results, and with the weights that are there."""
    project = Project(None, profile="small")
    try:
        project.checkpoints.directory(str(project.profile.models["central"].checkpoint))
    except OperatorError as error:
        pytest.skip(str(error))
    home = tmp_path / "home"
    home.mkdir()
    (home / "checkpoints").symlink_to(home_folder() / "checkpoints")
    return home


def say(home: Path, cwd: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "sensorium", "chat", "--profile", "small", "--session", "cat", "--json"]
    told = os.environ | {"SENSORIUM_HOME": str(home), "SENSORIUM_KEEP_WARM_S": "0"}
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=cwd, env=told, check=False)
    assert done.returncode == 0, done.stderr
    answered: dict[str, Any] = json.loads(done.stdout)
    return answered


def test_what_one_process_was_shown_another_cuts_out(home_with_weights: Path, elsewhere: Path) -> None:
    seen = say(home_with_weights, elsewhere, "--attach", CAT, "-m", "What can be seen in this picture?")
    assert "cat" in seen["reply"]
    cut = say(home_with_weights, elsewhere, "-m", "Now cut it out.")
    assert [call["tool"] for call in cut["calls"] if call["status"] == "done"] == ["find", "segment"]
    assert cut["outputs"]["masks"]["type"] == "masks"
    assert (elsewhere / cut["outputs"]["masks"]["path"]).is_file()


def test_what_is_not_there_is_not_claimed_to_be_cut_out(home_with_weights: Path, elsewhere: Path) -> None:
    told = say(home_with_weights, elsewhere, "--attach", CAT, "-m", "Cut out the rocket.")
    assert told["outputs"]["masks"] is None
    answer, _, note = told["reply"].rpartition("\n")
    assert note == "(find found nothing)"
    assert "not find" in answer
