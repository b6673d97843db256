"""A wheel of this repository, installed where nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STRANGER = ROOT / "tests" / "project"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(target.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `sensorium` command of an environment that holds the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("empty")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    constraints = ["-c", str(ROOT / "requirements.lock")]
    subprocess.run([*pip, *constraints, str(wheel)], check=True)
    return folder / "bin" / "sensorium"


def call(command: Path, *arguments: str, home: Path) -> str:
    environ = {"PATH": os.environ["PATH"], "SENSORIUM_HOME": str(home), "HOME": str(home)}
    done = subprocess.run([command, *arguments], capture_output=True, text=True, cwd=home, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_whole_box_and_installs_no_generic_name(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tracked = subprocess.run(
        ["git", "ls-files", "agents", "tools", "graphs", "sensorium.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert {f"sensorium/_box/{name}" for name in tracked} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"sensorium"}


def test_an_empty_environment_lists_the_box(installed: Path, tmp_path: Path) -> None:
    listed = json.loads(call(installed, "list", "--json", home=tmp_path))
    assert {"see", "segment", "transcribe", "speak", "find", "read", "overlay"} <= {
        row["name"] for row in listed["tools"]
    }
    assert "hear-see-speak" in {row["name"] for row in listed["graphs"]}


def test_an_empty_environment_runs_a_strangers_graph(installed: Path, tmp_path: Path) -> None:
    text = call(
        installed, "run", "open-shop", "wish=a bakery", "slogans=fresh bread", "slogans=good morning you",
        "--project", str(STRANGER), "--json", home=tmp_path,
    )  # fmt: skip
    outputs = json.loads(text)["outputs"]
    assert outputs["name"] == {"type": "text", "text": "Crumbs & Co."}
    assert outputs["words"] == {"type": "number", "value": 3.0}
    assert outputs["slogan_words"]["items"] == [{"type": "number", "value": 2.0}, {"type": "number", "value": 3.0}]
