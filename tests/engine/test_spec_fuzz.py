"""Declared files of every kind, with anything in any place: they are read or refused, never anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from sensorium.errors import AuthorError, Fault
from sensorium.spec.agent import AgentSpec
from sensorium.spec.graph import GraphSpec
from sensorium.spec.projectfile import ProjectFile
from sensorium.spec.tool import ToolSpec
from sensorium.spec.validation import validate
from sensorium.spec.yaml import load_text

WORDS = """
sensorium name about inputs nodes outputs tool agent graph with when approve each as until at_most carry retry timeout
else cache keep wire value type twin batch max wait_ms checkpoints languages environment effects model tools limits
steps answer_tokens profile profiles extends models allow checkpoint backend device files places hub revision wheel
version members path convert of bytes sha256 licence [key] str a 1
"""
KEYS = WORDS.split()
VALUES = [
    "text",
    "[image]",
    "$a.b",
    "latent(x.y)",
    "a",
    "",
    "box/a",
    "on",
    "plan",
    "é ü",
    0,
    -1,
    1,
    2.5,
    True,
    False,
    None,
]
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(VALUES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=25,
)
FILES: st.SearchStrategy[Any] = ANYTHING | st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=10)


@pytest.mark.parametrize("model", [ToolSpec, AgentSpec, ProjectFile, GraphSpec])
@settings(max_examples=50, deadline=None)
@given(data=FILES)
def test_a_file_of_anything_is_read_or_refused(model: type[BaseModel], data: Any) -> None:
    text = json.dumps(data, indent=1)
    lines = text.splitlines()
    for fault in faults_of(model, text):
        assert fault.found
        assert 1 <= fault.line <= len(lines)
        assert 1 <= fault.column <= len(lines[fault.line - 1]) + 1


def faults_of(model: type[BaseModel], text: str) -> tuple[Fault, ...]:
    try:
        validate(model, load_text(text, "f.yaml"))
    except AuthorError as error:
        return error.faults
    return ()
