"""Every example runs as written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LIGHT = ("01_draw_boxes.py", "05_own_tool.py", "07_ask_a_person.py")


def run(name: str, *arguments: str, cwd: Path) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_graph_built_in_python_draws_boxes(home: Path, elsewhere: Path) -> None:
    told = run("01_draw_boxes.py", cwd=elsewhere)
    assert "nodes:" in told
    assert (elsewhere / "out/examples/boxed.png").is_file()


def test_a_tool_of_ones_own_is_run_from_python(home: Path, elsewhere: Path) -> None:
    assert run("05_own_tool.py", cwd=elsewhere).split("\n")[:3] == ["GOOD MORNING!!", "ONE!", "TWO!"]


def test_a_person_is_asked_in_python(home: Path, elsewhere: Path) -> None:
    told = run("07_ask_a_person.py", cwd=elsewhere).split("\n")
    assert told[0] == "paused"
    assert (told[2], told[4]) == ("done True", "done False")
    assert (elsewhere / "out/examples/asked.png").is_file()


def test_no_example_is_left_out() -> None:
    tested = (Path(__file__).parents[1] / "box" / "test_examples.py").read_text()
    for path in EXAMPLES.glob("*.py"):
        assert path.name in LIGHT or path.name in tested, path.name
