"""Where a plan is to be kept is looked at before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Command

GRAPH = """\
sensorium: 1
name: hello
inputs: {request: text}
nodes: {think: {agent: assistant, with: {request: $request}}}
outputs: {answer: $think.answer}
"""
WRONG = [
    ("hello.yaml", "hello.yaml is there already"),
    ("plan.txt", "call it plan.yaml"),
    ("7.yaml", "can be no graph's name"),
    ("nowhere/plan.yaml", "nowhere is no folder"),
]


@pytest.mark.parametrize(("file", "told"), WRONG)
def test_a_plan_that_cannot_be_kept_is_told_before_the_run(
    sensorium: Command, elsewhere: Path, file: str, told: str
) -> None:
    (elsewhere / "hello.yaml").write_text(GRAPH)
    ended = sensorium("run", "hello.yaml", "request=Hi", "--save-plan", file, "--json")
    assert ended.code == 2
    assert told in ended.err
    assert json.loads(ended.out)["run"] is None
