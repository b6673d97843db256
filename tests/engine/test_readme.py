"""What the README shows of graphs and tools is so."""

from __future__ import annotations

import re
from pathlib import Path

import sensorium
from sensorium.spec.read import parse_graph, read_graph
from tests.snippets import README, snippet


def test_the_graph_in_the_readme_is_the_box_s() -> None:
    assert parse_graph(snippet("graph")).spec == read_graph(README.parent / "graphs" / "describe-and-cut.yaml").spec


def test_the_tool_in_the_readme_runs(home: Path, elsewhere: Path) -> None:
    folder = elsewhere / "tools" / "shout"
    folder.mkdir(parents=True)
    (folder / "tool.yaml").write_text(snippet("tool.yaml"))
    (folder / "worker.py").write_text(snippet("worker.py"))
    assert (
        sensorium.load("shout", project=elsewhere).run(text="good morning", times=2)["text"].value == "GOOD MORNING!!"
    )


def test_every_file_that_the_readme_points_at_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8")):
        assert (README.parent / target).exists(), target
