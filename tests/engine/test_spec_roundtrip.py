"""Graphs from Python to YAML and back, JSON Schemas, and whatever a hand may do to a file."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorium.errors import AuthorError
from sensorium.spec.build import GraphBuilder
from sensorium.spec.catalogue import Catalogue, ToolEntry
from sensorium.spec.check import check
from sensorium.spec.graph import GraphSpec
from sensorium.spec.read import parse_graph, survey_graph_text
from sensorium.spec.schema import schema_line, schemas
from sensorium.spec.tool import ToolSpec
from sensorium.spec.write import to_yaml


def tool(name: str, inputs: dict[str, str], outputs: dict[str, Any]) -> ToolEntry:
    spec = ToolSpec.model_validate({"name": name, "about": name, "inputs": inputs, "outputs": outputs})
    return ToolEntry(spec, Path(name), "box", "0" * 64)


TOOLS = [
    tool("see", {"image": "image"}, {"labels": "text", "score": "number"}),
    tool("speak", {"text": "text", "speed": "number?"}, {"audio": "audio"}),
    tool("refine", {"draft": "text"}, {"draft": "text", "done": "flag"}),
    tool("join", {"pieces": "[text]"}, {"text": "text"}),
]
BOX = Catalogue({entry.spec.name: entry for entry in TOOLS})


def album() -> GraphBuilder:
    graph = GraphBuilder("album", about="Says what is in pictures.\nAloud.\n")
    pictures = graph.input("pictures", "[image]")
    note = graph.input("note", "text?")
    look = graph.node("look", tool="see", image=graph.item, each=pictures)
    all_ = graph.node("all", tool="join", pieces=look.labels, retry=2, timeout=30)
    better = graph.node(
        "better",
        tool="refine",
        draft=all_.text,
        until=graph.own.done,
        at_most=3,
        carry={"draft": graph.own.draft},
        else_={"value": {"draft": "$5 a picture", "done": True}},
    )
    say = graph.node("say", tool="speak", text=better.draft, speed=1.5, when=better.done, cache="off")
    again = graph.node("again", tool="speak", with_={"text": note}, when=~better.done)
    graph.output("speech", say.audio)
    graph.output("again", again["audio"])
    return graph


ALBUM = """\
sensorium: 1
name: album
about: |
  Says what is in pictures.
  Aloud.
inputs: {pictures: "[image]", note: "text?"}
nodes:
  look: {tool: see, with: {image: $item}, each: $pictures, as: item}
  all: {tool: join, with: {pieces: $look.labels}, retry: 2, timeout: 30.0}
  better:
    tool: refine
    with: {draft: $all.text}
    until: $self.done
    at_most: 3
    carry: {draft: $self.draft}
    else: {value: {draft: "$$5 a picture", done: true}}
  say: {tool: speak, with: {text: $better.draft, speed: 1.5}, when: $better.done, cache: off}
  again: {tool: speak, with: {text: $note}, when: not $better.done}
outputs: {speech: $say.audio, again: $again.audio}
"""


def test_a_graph_built_in_python_is_the_graph_of_its_file() -> None:
    spec = album().spec()
    assert to_yaml(spec) == ALBUM
    assert parse_graph(ALBUM).spec == spec
    assert check(album().source(), BOX).require().order == ("look", "all", "better", "say", "again")


def test_faults_of_a_graph_built_in_python_name_what_they_are_of() -> None:
    graph = GraphBuilder("g")
    say = graph.node("say", tool="spaek", text=graph.input("request"))
    graph.output("speech", say.audio)
    graph.output("more", say.audio)
    (fault,) = check(graph.source(), BOX).faults
    assert str(fault) == "nodes.say.tool: there is no tool 'spaek'; did you mean 'speak'?"
    with pytest.raises(AuthorError, match=r"nodes\.say is there already"):
        graph.node("say", tool="speak")
    with pytest.raises(
        AuthorError, match=r"nodes\.odd: the node calls nothing; it has exactly one of tool, agent, graph"
    ):
        odd(graph)


def odd(graph: GraphBuilder) -> None:
    graph.node("odd")
    graph.spec()


def test_comparisons_of_ports_are_conditions() -> None:
    port = GraphBuilder("g").node("a", tool="see").score
    written = [
        str(asked) for asked in (port > 1, port >= 1, port < 1.5, port <= 1, port.equals(2), port.differs("x"), ~port)
    ]
    assert written == [
        "$a.score > 1",
        "$a.score >= 1",
        "$a.score < 1.5",
        "$a.score <= 1",
        "$a.score == 2",
        '$a.score != "x"',
        "not $a.score",
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**30, object(), b"x", "\ud800", {1: 2}])
def test_what_a_file_cannot_hold_is_refused(value: object) -> None:
    graph = GraphBuilder("g")
    graph.output("a", graph.node("a", tool="speak", text=value).audio)
    assert check(graph.source(), BOX).faults
    with pytest.raises(AuthorError):
        to_yaml(graph.spec())


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,6}", fullmatch=True)
ODD = [
    "$a.b",
    "$$",
    "true",
    "null",
    "1",
    "- a",
    "a: b",
    "# a",
    "a #b",
    " a",
    "a\n",
    "\n",
    "a\nb",
    "a\n  b\n",
    "\\",
    "~",
    "a?",
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(ODD)
NUMBERS = st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
LITERALS: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
NODES: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"tool": st.sampled_from(["see", "speak", "refine", "nothing"])},
    optional={
        "with": st.dictionaries(NAMES, LITERALS, max_size=4),
        "when": TEXTS,
        "each": TEXTS,
        "as": NAMES,
        "until": TEXTS,
        "at_most": st.integers(1, 1000),
        "carry": st.dictionaries(NAMES, TEXTS, max_size=2),
        "retry": st.integers(0, 100),
        "timeout": st.floats(0.001, 1000),
        "approve": st.booleans() | st.just("plan"),
        "cache": st.sampled_from(["on", "off"]),
        "keep": st.booleans(),
        "else": st.fixed_dictionaries({"value": st.dictionaries(NAMES, LITERALS, max_size=3)}),
        "wire": st.dictionaries(NAMES, st.fixed_dictionaries({}, optional={"at_least": st.floats(0, 1)}), max_size=2),
    },
)
GRAPHS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "name": NAMES,
        "about": TEXTS,
        "inputs": st.dictionaries(NAMES, st.sampled_from(["text", "[image]", "number?", "latent(a.b)?"]), max_size=3),
        "nodes": st.dictionaries(NAMES, NODES, min_size=1, max_size=4),
        "outputs": st.dictionaries(NAMES, TEXTS, min_size=1, max_size=3),
    }
)


@settings(max_examples=60, deadline=None)
@given(GRAPHS)
def test_any_graph_comes_back_from_its_file_the_same_and_is_checked(data: dict[str, Any]) -> None:
    spec = GraphSpec.model_validate(data, by_alias=True, by_name=False)
    source = parse_graph(to_yaml(spec))
    assert source.spec == spec
    check(source, BOX)


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_file_with_changed_letters_is_read_or_refused(rng: random.Random) -> None:
    text = ALBUM
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(text))
        change = rng.choice(
            ["", "", "$", ".", ": ", "\n", "  ", "[", "}", "x", "1", "null", '"', "*a", "&a ", "é", "\t"]
        )
        text = text[:at] + change + text[at + rng.randint(0, 4) :]
    told = all_faults(text)
    assert all("\n" not in fault for fault in told)


def all_faults(text: str) -> list[str]:
    try:
        return [str(fault) for fault in check(survey_graph_text(text, "g.yaml"), BOX).faults]
    except AuthorError as error:
        return [str(fault) for fault in error.faults]


def test_schemas_name_keys_as_files_do() -> None:
    made = schemas()
    assert list(made) == ["graph", "tool", "agent", "project"]
    node = made["graph"]["$defs"]["NodeSpec"]
    assert {"with", "as", "else", "until", "at_most"} <= set(node["properties"])
    assert node["additionalProperties"] is False
    assert node["oneOf"] == [{"required": ["tool"]}, {"required": ["agent"]}, {"required": ["graph"]}]
    assert node["properties"]["timeout"]["description"] == "Seconds for each try; a week at most."
    assert all(schema["$schema"] == "https://json-schema.org/draft/2020-12/schema" for schema in made.values())
    assert json.loads(json.dumps(made)) == made


def test_schemas_offer_what_may_be_called() -> None:
    node = schemas(BOX)["graph"]["$defs"]["NodeSpec"]["properties"]
    assert node["tool"]["enum"] == ["join", "refine", "see", "speak"]


def test_a_written_graph_may_name_its_schema() -> None:
    text = to_yaml(album().spec(), schema="graph.schema.json")
    assert (
        text.splitlines()[0] == schema_line("graph.schema.json") == "# yaml-language-server: $schema=graph.schema.json"
    )
    assert parse_graph(text).spec == album().spec()
