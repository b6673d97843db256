"""Bad graph files, and exactly what is said about each: every fault, at its place, in one pass.

The files and their faults stand in `test_check_faults.txt`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sensorium.errors import AuthorError
from sensorium.spec.agent import AgentSpec
from sensorium.spec.catalogue import AgentEntry, Catalogue, GraphEntry, ToolEntry
from sensorium.spec.check import check
from sensorium.spec.ports import PortType, Signature
from sensorium.spec.read import parse_graph, survey_graph_text
from sensorium.spec.tool import ToolSpec


def tool(name: str, inputs: dict[str, str], outputs: dict[str, Any], **more: Any) -> ToolEntry:
    spec = ToolSpec.model_validate({"name": name, "about": name, "inputs": inputs, "outputs": outputs, **more})
    return ToolEntry(spec, Path(name), "box", "0" * 64)


def agent(name: str, inputs: dict[str, str], outputs: dict[str, str], *tools: str) -> AgentEntry:
    fields = {"name": name, "about": name, "inputs": inputs, "outputs": outputs, "tools": list(tools)}
    return AgentEntry(AgentSpec.model_validate(fields), "", Path(name), "box", "0" * 64)


def graph(text: str, inputs: dict[str, str], outputs: dict[str, str]) -> GraphEntry:
    ports = [{name: PortType.parse(type_) for name, type_ in given.items()} for given in (inputs, outputs)]
    return GraphEntry(parse_graph(text).spec, Signature(*ports), None, "box")


LABELS = {
    "labels": "text",
    "patches": {"type": "latent(see.patches)", "twin": "labels"},
    "pooled": "latent(see.pooled)",
}
REFINED = {"draft": "text", "done": "flag", "score": "number", "hint": "text?"}
TOOLS = [
    tool("see", {"image": "image"}, LABELS),
    tool("find", {"image": "image", "phrase": "text"}, {"boxes": "boxes", "count": "number", "empty": "flag"}),
    tool("segment", {"image": "image", "boxes": "boxes?", "embedding": "latent(sam.image)?"}, {"masks": "masks"}),
    tool("speak", {"text": "text", "speed": "number?"}, {"audio": "audio"}),
    tool("shout", {"text": "text"}, {"audio": "audio"}),
    tool("sing", {"text": "text", "tune": "audio"}, {"audio": "audio", "words": "text"}),
    tool("split", {"text": "text"}, {"pieces": "[text]", "count": "number"}),
    tool("join", {"pieces": "[text]"}, {"text": "text"}),
    tool("refine", {"draft": "text", "note": "text?"}, REFINED),
    tool("note", {"fields": "data", "at": "boxes?", "on": "flag?"}, {"fields": "data"}),
    tool("send", {"text": "text"}, {"sent": "flag"}, effects=True),
]
ASSISTANT = agent(
    "assistant",
    {"request": "text", "image": "image?", "patches": "latent(see.patches)?", "pooled": "latent(see.pooled)?"},
    {"answer": "text", "object": "text?"},
)
POSTMAN = agent("postman", {"request": "text"}, {"answer": "text"}, "send")
ASK = graph(
    "name: ask\ninputs: {request: text}\nnodes: {think: {agent: assistant, with: {request: $request}}}\n"
    "outputs: {answer: $think.answer}\n",
    {"request": "text"},
    {"answer": "text"},
)
LOOP = graph(
    "name: loop\ninputs: {request: text}\nnodes: {again: {graph: g, with: {request: $request}}}\n"
    "outputs: {answer: $again.answer}\n",
    {"request": "text"},
    {},
)
BOX = Catalogue(
    {entry.spec.name: entry for entry in TOOLS},
    {"assistant": ASSISTANT, "postman": POSTMAN},
    {"ask": ASK, "box/ask": ASK, "loop": LOOP},
)


def bad_graphs() -> dict[str, tuple[str, list[str]]]:
    """Name, file and faults of each."""
    table = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    found: dict[str, tuple[str, list[str]]] = {}
    for block in table.split("\n==== ")[1:]:
        name, _, rest = block.partition("\n")
        text, _, faults = rest.partition("\n----\n")
        found[name] = (text + "\n", faults.splitlines())
    return found


CASES = bad_graphs()


def said(text: str) -> list[str]:
    """What is said about a graph file, each as `line:column: found; right`."""
    try:
        faults = check(survey_graph_text(text, "g.yaml"), BOX).faults
    except AuthorError as error:
        faults = error.faults
    return [str(fault).removeprefix("g.yaml:") for fault in faults]


@pytest.mark.parametrize("name", CASES)
def test_a_bad_graph_is_told_all_that_is_wrong_with_it(name: str) -> None:
    text, expected = CASES[name]
    assert said(text) == expected


@pytest.mark.parametrize("name", CASES)
def test_a_bad_graph_never_passes(name: str) -> None:
    with pytest.raises(AuthorError) as caught:
        check(parse_graph(CASES[name][0], "g.yaml"), BOX).require()
    assert all(fault.line >= 1 and fault.column >= 1 for fault in caught.value.faults)


def test_the_table_is_whole() -> None:
    assert len(CASES) >= 50
