from __future__ import annotations

import re
from pathlib import Path

import pytest

from sensorium.events import RunId
from sensorium.graph import NodeReport, Result
from sensorium.testing import Scratch

LINE = re.compile(
    r"""flowchart\ LR
    | \ \ [ino]\d+(\(\[|\[\[|\[|\()"[^"<>`\\]*(<br/>[^"<>`\\]*)*"(\]\)|\]\]|\]|\))
    | \ \ [in]\d+\ (-->|-\.->)\|"[^"<>`\\]*"\|\ [no]\d+
    | \ \ classDef\ \w+\ [\w:#,-]+
    | \ \ class\ n\d+(,n\d+)*\ \w+""",
    re.VERBOSE,
)
"""A line of a flowchart, as the mermaid documentation has it; quoted labels hold any text whose marks are coded."""

WORKER = "class Echo: ..."


@pytest.fixture
def project(tmp_path: Path) -> Scratch:
    made = Scratch(tmp_path)
    for name in ("echo", "end", "graph"):
        made.tool(name, WORKER, inputs={"text": "text"}, outputs={"text": "text", "count": "number"})
    made.tool("split", WORKER, inputs={"text": "text"}, outputs={"words": "[text]"})
    made.agent("namer")
    made.graph("""
        name: inner
        inputs: {text: text}
        nodes: {echo: {tool: echo, with: {text: $text}}}
        outputs: {text: $echo.text, count: $echo.count}
    """)
    return made


GRAPH = """
    name: all
    inputs: {request: text, style: "text?"}
    nodes:
      end:      {tool: end, with: {text: $request}}
      subgraph: {graph: inner, with: {text: $end.text}, when: $end.count > 0}
      class:    {agent: namer, with: {request: $request}, when: '$end.text != "<b>#1</b> `x`"'}
      split:    {tool: split, with: {text: $request}}
      items:
        {tool: graph, each: $split.words, as: one, with: {text: $one}, else: {tool: echo, with: {text: $class.answer}}}
      again:    {tool: echo, with: {text: $request}, until: $self.count > 3, at_most: 4, carry: {text: $self.text}}
      spare:    {tool: echo, with: {text: $style}, else: {value: {text: none, count: 0}}, approve: true}
    outputs: {texts: $items.text, name: $class.answer, sub: $subgraph.text, more: $again.text, rest: $spare.text}
"""


def test_every_line_of_a_drawing_is_mermaid_whatever_the_names(project: Scratch) -> None:
    for line in project.graph(GRAPH).mermaid().splitlines():
        assert LINE.fullmatch(line), line


def test_a_drawing_shows_nodes_wires_types_and_control(project: Scratch) -> None:
    lines = project.graph(GRAPH).mermaid().splitlines()
    assert '  i0(["request: text"])' in lines
    assert '  n0["end<br/>tool end"]' in lines
    assert '  n1[["subgraph<br/>graph inner"]]' in lines
    assert '  n2("class<br/>agent namer")' in lines
    assert '  n0 -->|"text: text"| n1' in lines
    assert '  n0 -.->|"when $end.count #gt; 0"| n1' in lines
    assert '  i0 -->|"request to text: text"| n0' in lines
    assert any("each $split.words as one" in line and "else tool echo" in line for line in lines)
    assert any("until $self.count #gt; 3, at most 4" in line for line in lines)
    assert any("asks a person" in line and "else a value" in line for line in lines)
    assert any("else text" in line and "-.->" in line for line in lines)


def test_a_drawing_of_a_run_shows_how_nodes_ended(project: Scratch) -> None:
    graph = project.graph(GRAPH)
    nodes = (
        NodeReport("end", "tool", "end", "done", 1.25, cached=False),
        NodeReport("subgraph", "graph", "inner", "done", 0.0, cached=True),
        NodeReport("class", "agent", "namer", "failed", 0.5, cached=False),
        NodeReport("items", "tool", "graph", "skipped", 0.0, cached=False),
    )
    drawn = graph.mermaid(Result(RunId("r"), "all", "failed", {}, {}, nodes, 2.0))
    for line in drawn.splitlines():
        assert LINE.fullmatch(line), line
    assert "end<br/>tool end<br/>done, 1.25 s" in drawn
    assert "done, kept from before" in drawn
    assert "failed, 0.50 s" in drawn
    assert "  class n0,n1 done" in drawn
    assert "  class n4 skipped" in drawn
