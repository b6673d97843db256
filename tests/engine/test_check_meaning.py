"""What the checker hands to a runner: types, order, feeds, and who reads whom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sensorium.parts import Boxes, Data, Number, Text
from sensorium.spec.agent import AgentSpec
from sensorium.spec.catalogue import AgentEntry, Catalogue, GraphEntry, ToolEntry
from sensorium.spec.check import MAX_NODES, Checked, check
from sensorium.spec.checked import Each, ElseCall, ElseValue, ListFeed, LiteralFeed, Until, WireFeed
from sensorium.spec.ports import PortType
from sensorium.spec.read import parse_graph
from sensorium.spec.tool import ToolSpec
from sensorium.spec.wires import InputWire, ItemWire, NodeWire, parse_condition


def tool(name: str, inputs: dict[str, str], outputs: dict[str, Any], **more: Any) -> ToolEntry:
    spec = ToolSpec.model_validate({"name": name, "about": name, "inputs": inputs, "outputs": outputs, **more})
    return ToolEntry(spec, Path(name), "box", "0" * 64)


TOOLS = [
    tool("see", {"image": "image"}, {"labels": "text", "patches": {"type": "latent(see.patches)", "twin": "labels"}}),
    tool("find", {"image": "image", "phrase": "text"}, {"boxes": "boxes", "count": "number"}),
    tool("segment", {"image": "image", "boxes": "boxes"}, {"masks": "masks"}),
    tool("overlay", {"image": "image", "masks": "masks?"}, {"image": "image"}),
    tool("speak", {"text": "text", "speed": "number?"}, {"audio": "audio"}),
    tool("join", {"pieces": "[text]"}, {"text": "text"}),
    tool("refine", {"draft": "text"}, {"draft": "text", "done": "flag"}),
    tool("rough", {"image": "image"}, {"boxes": "boxes", "count": "number"}),
    tool("note", {"fields": "data", "at": "boxes?"}, {"fields": "data"}),
    tool("send", {"text": "text"}, {"sent": "flag"}, effects=True),
]
AGENT = AgentSpec.model_validate(
    {
        "name": "assistant",
        "about": "Answers.",
        "inputs": {"request": "text", "picture": "latent(see.patches)?"},
        "outputs": {"answer": "text", "object": "text?"},
    }
)
BOX = Catalogue(
    {entry.spec.name: entry for entry in TOOLS},
    {"assistant": AgentEntry(AGENT, "", Path("assistant"), "box", "0" * 64)},
    {},
)


def checked(text: str, catalogue: Catalogue = BOX) -> Checked:
    return check(parse_graph(f"name: g\n{text}"), catalogue).require()


def outputs(graph: Checked) -> dict[str, str]:
    return {name: str(type_) for name, type_ in graph.signature.outputs.items()}


def types(graph: Checked, node: str) -> dict[str, str]:
    return {name: str(type_) for name, type_ in graph.nodes[node].outputs.items()}


DESCRIBE_AND_CUT = """
inputs: {picture: image, request: text}
nodes:
  say:   {tool: speak,      with: {text: $think.answer}}
  cut:   {tool: segment,    with: {image: $picture, boxes: $find.boxes}, when: $find.count > 0}
  show:  {tool: overlay,    with: {image: $picture, masks: $cut.masks}}
  find:  {tool: find,       with: {image: $picture, phrase: $think.object}}
  think: {agent: assistant, with: {request: $request, picture: $look.patches}}
  look:  {tool: see,        with: {image: $picture}}
outputs: {answer: $think.answer, masks: $cut.masks, shown: $show.image, speech: $say.audio, picture: $picture}
"""


def test_order_follows_the_wires_and_then_the_file() -> None:
    assert checked(DESCRIBE_AND_CUT).order == ("look", "think", "say", "find", "cut", "show")


def test_what_may_be_skipped_is_optional_and_what_can_do_without_is_not() -> None:
    assert outputs(checked(DESCRIBE_AND_CUT)) == {
        "answer": "text",
        "masks": "masks?",
        "shown": "image",
        "speech": "audio",
        "picture": "image",
    }


def test_a_node_knows_what_it_reads_and_what_it_cannot_do_without() -> None:
    cut = checked(DESCRIBE_AND_CUT).nodes["cut"]
    assert cut.dependencies == ("find",)
    assert cut.condition == parse_condition("$find.count > 0")
    assert cut.required == ("image", "boxes")
    assert cut.feeds["image"] == WireFeed(InputWire("picture"), PortType("image"))
    assert cut.feeds["boxes"] == WireFeed(NodeWire("find", "boxes"), PortType("boxes", is_optional=True))


def test_a_latent_that_goes_to_an_agent_brings_its_twin() -> None:
    assert checked(DESCRIBE_AND_CUT).nodes["think"].twins == {"picture": NodeWire("look", "labels")}


def test_literals_are_parts() -> None:
    graph = checked(
        "inputs: {line: text}\n"
        "nodes:\n"
        "  say: {tool: speak, with: {text: $$5, speed: 2}}\n"
        "  note: {tool: note, with: {fields: {a: [1, '$$b', null]}, at: [[0, 1, 2, 3.5]]}}\n"
        "  join: {tool: join, with: {pieces: [$line, and, $line]}}\n"
        "outputs: {a: $say.audio, b: $note.fields, c: $join.text}\n"
    )
    assert graph.nodes["say"].feeds["text"] == LiteralFeed(Text("$5"), PortType("text"))
    assert graph.nodes["say"].feeds["speed"] == LiteralFeed(Number(2.0), PortType("number"))
    assert graph.nodes["note"].feeds["fields"] == LiteralFeed(Data({"a": [1, "$b", None]}), PortType("data"))
    assert graph.nodes["note"].feeds["at"] == LiteralFeed(Boxes(((0.0, 1.0, 2.0, 3.5),)), PortType("boxes"))
    line = WireFeed(InputWire("line"), PortType("text"))
    assert graph.nodes["join"].feeds["pieces"] == ListFeed(
        (line, LiteralFeed(Text("and"), PortType("text")), line), PortType("text", is_list=True)
    )


def test_each_gives_lists_and_until_does_not() -> None:
    graph = checked(
        "inputs: {drafts: '[text]'}\n"
        "nodes:\n"
        "  better:\n"
        "    tool: refine\n"
        "    each: $drafts\n"
        "    as: draft\n"
        "    with: {draft: $draft}\n"
        "    until: $self.done\n"
        "    at_most: 3\n"
        "    carry: {draft: $self.draft}\n"
        "  all: {tool: join, with: {pieces: $better.draft}}\n"
        "outputs: {text: $all.text, done: $better.done}\n"
    )
    better = graph.nodes["better"]
    assert outputs(graph) == {"text": "text", "done": "[flag]"}
    assert better.each == Each(InputWire("drafts"), PortType("text", is_list=True), "draft")
    assert better.feeds["draft"] == WireFeed(ItemWire("draft"), PortType("text"))
    assert better.until == Until(parse_condition("$self.done"), 3, {"draft": "draft"})


def test_an_optional_list_makes_an_optional_node() -> None:
    graph = checked(
        "inputs: {lines: '[text]?'}\n"
        "nodes:\n  say: {tool: speak, each: $lines, as: line, with: {text: $line}}\n"
        "outputs: {speech: $say.audio}\n"
    )
    assert outputs(graph) == {"speech": "[audio]?"}


@pytest.mark.parametrize(
    ("stand_in", "expected"),
    [
        ("{tool: rough, with: {image: $picture}}", {"boxes": "boxes", "count": "number"}),
        ("{value: {boxes: [[0, 0, 1, 1]], count: 1}}", {"boxes": "boxes", "count": "number"}),
        ("{value: {boxes: null, count: 0}}", {"boxes": "boxes?", "count": "number"}),
        ("{value: {boxes: $other.boxes, count: $other.count}}", {"boxes": "boxes", "count": "number"}),
        ("{value: {boxes: $maybe, count: 0}}", {"boxes": "boxes?", "count": "number"}),
    ],
)
def test_what_stands_in_decides_what_may_be_null(stand_in: str, expected: dict[str, str]) -> None:
    graph = checked(
        "inputs: {picture: image, maybe: boxes?}\n"
        "nodes:\n"
        "  other: {tool: rough, with: {image: $picture}}\n"
        f"  find: {{tool: find, with: {{image: $picture, phrase: cat}}, else: {stand_in}}}\n"
        "  note: {tool: note, with: {fields: 1, at: $maybe}}\n"
        "outputs: {boxes: $find.boxes, other: $other.boxes, note: $note.fields}\n"
    )
    assert types(graph, "find") == expected
    node = graph.nodes["find"]
    assert isinstance(node.stand_in, ElseCall | ElseValue)
    assert node.dependencies == (("other",) if "$other" in stand_in else ())


def test_a_graph_is_a_node_like_any_other() -> None:
    inner = parse_graph(
        "name: ask\ninputs: {request: text}\n"
        "nodes: {think: {agent: assistant, with: {request: $request}}}\n"
        "outputs: {answer: $think.answer, object: $think.object}\n"
    )
    entry = GraphEntry(inner.spec, check(inner, BOX).signature, None, "box")
    both = Catalogue(BOX.tools, BOX.agents, {"ask": entry, "box/ask": entry})
    graph = checked(
        "inputs: {request: text}\n"
        "nodes:\n"
        "  ask: {graph: box/ask, with: {request: $request}}\n"
        "  say: {tool: speak, with: {text: $ask.object}}\n"
        "outputs: {speech: $say.audio}\n",
        both,
    )
    assert outputs(graph) == {"speech": "audio?"}
    assert (graph.nodes["ask"].kind, graph.nodes["ask"].callee) == ("graph", "box/ask")


def test_faults_of_a_called_graph_are_not_told_twice() -> None:
    inner = parse_graph("name: ask\nnodes: {say: {tool: spaek}}\noutputs: {speech: $say.audio}\n")
    entry = GraphEntry(inner.spec, check(inner, BOX).signature, None, "box")
    caller = parse_graph("name: g\nnodes: {ask: {graph: ask}}\noutputs: {speech: $ask.speech}\n")
    assert check(caller, Catalogue(BOX.tools, BOX.agents, {"ask": entry})).faults == ()


def test_a_node_with_effects_needs_no_reader() -> None:
    graph = checked(
        "inputs: {request: text}\n"
        "nodes:\n"
        "  think: {agent: assistant, with: {request: $request}}\n"
        "  send: {tool: send, with: {text: $think.answer}}\n"
        "  say: {tool: speak, with: {text: $request}}\n"
        "outputs: {speech: $say.audio}\n"
    )
    assert set(graph.order) == {"think", "send", "say"}


def test_a_graph_that_is_too_large_is_refused() -> None:
    nodes = "".join(f"  n{index}: {{tool: speak, with: {{text: a}}}}\n" for index in range(MAX_NODES + 1))
    found = check(parse_graph(f"name: g\nnodes:\n{nodes}outputs: {{a: $n0.audio}}\n"), BOX).faults
    right = "a graph has at most 5,000: move some into a graph of their own"
    assert [str(fault) for fault in found] == [f":2:1: the graph has 5,001 nodes; {right}"]


def test_the_same_graph_is_checked_the_same_every_time() -> None:
    first, second = checked(DESCRIBE_AND_CUT), checked(DESCRIBE_AND_CUT)
    assert (first.order, first.nodes, first.outputs) == (second.order, second.nodes, second.outputs)


def test_a_long_chain_is_checked_without_deep_recursion() -> None:
    length = 3000
    nodes = "".join(
        f"  n{index}: {{tool: refine, with: {{draft: $n{index + 1}.draft}}}}\n" for index in range(length - 1)
    )
    last = f"  n{length - 1}: {{tool: refine, with: {{draft: first}}}}\n"
    graph = checked(f"nodes:\n{nodes}{last}outputs: {{a: $n0.draft}}\n")
    assert graph.order[0] == f"n{length - 1}"
    ring = parse_graph(f"name: g\nnodes:\n{nodes}{last.replace('first', '$n0.draft')}outputs: {{a: $n0.draft}}\n")
    (fault,) = check(ring, BOX).faults
    assert fault.found.startswith("node 'n0' waits for itself: n0 → n1 → n2")


def test_the_checker_loads_nothing_heavy() -> None:
    script = (
        "import sys, sensorium.spec.check, sensorium.spec.read, sensorium.spec.build, sensorium.spec.write\n"
        "print(sorted({'torch', 'langgraph', 'transformers', 'httpx', 'sensorium.graph'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
