"""How long it takes to read and to check a graph of 200 nodes, and one of 5,000: `python benchmarks/checker.py`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from report import Figure, report

from sensorium.spec.agent import AgentSpec
from sensorium.spec.catalogue import AgentEntry, Catalogue, ToolEntry
from sensorium.spec.check import check
from sensorium.spec.read import parse_graph
from sensorium.spec.tool import ToolSpec

ROUNDS = 9


def tool(name: str, inputs: dict[str, str], outputs: dict[str, str]) -> ToolEntry:
    spec = ToolSpec.model_validate({"name": name, "about": name, "inputs": inputs, "outputs": outputs})
    return ToolEntry(spec, Path(name), "box", "0" * 64)


def catalogue() -> Catalogue:
    agent = AgentSpec.model_validate({"name": "assistant", "about": "Answers."})
    tools = [
        tool("find", {"image": "image", "phrase": "text"}, {"boxes": "boxes", "count": "number"}),
        tool("segment", {"image": "image", "boxes": "boxes"}, {"masks": "masks"}),
        tool("overlay", {"image": "image", "masks": "masks?"}, {"image": "image"}),
    ]
    entry = AgentEntry(agent, "", Path("assistant"), "box", "0" * 64)
    return Catalogue({entry.spec.name: entry for entry in tools}, {"assistant": entry}, {})


def graph(count: int) -> str:
    """Chains of four nodes, each of which goes on from the picture of the one before."""
    lines = ["sensorium: 1", "name: large", "inputs: {picture: image, request: text}", "nodes:"]
    picture = "$picture"
    for index in range(count // 4):
        lines += [
            f"  think{index}: {{agent: assistant, with: {{request: $request, image: {picture}}}}}",
            f"  find{index}: {{tool: find, with: {{image: {picture}, phrase: $think{index}.answer}}, retry: 2}}",
            f"  cut{index}: {{tool: segment, with: {{image: {picture}, boxes: $find{index}.boxes}}, "
            f"when: $find{index}.count > 0}}",
            f"  show{index}: {{tool: overlay, with: {{image: {picture}, masks: $cut{index}.masks}}, timeout: 30}}",
        ]
        picture = f"$show{index}.image"
    return "\n".join([*lines, f"outputs: {{picture: {picture}}}", ""])


def milliseconds(work: Callable[[], object]) -> float:
    """The median of several rounds."""
    times: list[float] = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return sorted(times)[ROUNDS // 2]


def main() -> None:
    known = catalogue()
    text, large = graph(200), graph(5000)
    source, large_source = parse_graph(text), parse_graph(large)
    check(source, known).require()
    check(large_source, known).require()
    misspelt = parse_graph(text.replace("tool: find", "tool: fnid").replace("$think", "$thimk"))
    report(
        "checker",
        [
            Figure("read, 200 nodes", milliseconds(lambda: parse_graph(text)), 100, unit="ms"),
            Figure("check, 200 nodes", milliseconds(lambda: check(source, known)), 100, unit="ms"),
            Figure("read and check, 200 nodes", milliseconds(lambda: check(parse_graph(text), known)), 100, unit="ms"),
            Figure("check, 200 nodes, 100 faults", milliseconds(lambda: check(misspelt, known)), 250, unit="ms"),
            Figure("check, 5,000 nodes", milliseconds(lambda: check(large_source, known)), 2500, unit="ms"),
        ],
        rounds=ROUNDS,
        statistic="median",
        yaml_bytes=len(text),
        faults=len(check(misspelt, known).faults),
    )


if __name__ == "__main__":
    main()
