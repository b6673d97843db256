"""Graphs as mermaid flowcharts. Source: the mermaid documentation, "Flowcharts - Basic Syntax"."""

from __future__ import annotations

from collections.abc import Iterator

from sensorium.graph.result import NodeReport, Result
from sensorium.spec.checked import Checked, CheckedNode, ElseCall, ElseValue, Feed, ListFeed, WireFeed
from sensorium.spec.ports import PortType
from sensorium.spec.wires import InputWire, NodeWire, Wire

__all__ = ["draw"]

_SHAPES = {"tool": ("[", "]"), "agent": ("(", ")"), "graph": ("[[", "]]")}
_CODES = {
    "#": "#35;", "&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;", "\\": "#92;", "\n": " ", "\r": " ",
}  # fmt: skip
_STYLES = {
    "done": "fill:#e3f4e3,stroke:#3a7d3a,color:#000",
    "failed": "fill:#fbe1e1,stroke:#b03030,color:#000",
    "skipped": "fill:#f2f2f2,stroke:#999,color:#000,stroke-dasharray:4",
    "cancelled": "fill:#f2f2f2,stroke:#999,color:#000",
    "refused": "fill:#fdf3d8,stroke:#a07c1c,color:#000",
    "paused": "fill:#fdf3d8,stroke:#a07c1c,color:#000",
}


def draw(checked: Checked, result: Result | None = None) -> str:
    """The graph as mermaid: tools as boxes, agents rounded, graphs with double walls; wires with their ports and types.

    Args:
        checked: The graph.
        result: One of its results: nodes then show how they ended and how long they took.
    """
    return "\n".join(_Drawing(checked, result).lines()) + "\n"


class _Drawing:
    def __init__(self, checked: Checked, result: Result | None) -> None:
        self._checked = checked
        self._inputs = {name: f"i{index}" for index, name in enumerate(checked.signature.inputs)}
        self._nodes = {name: f"n{index}" for index, name in enumerate(checked.nodes)}
        self._reports = {report.node: report for report in result.nodes} if result is not None else {}

    def lines(self) -> Iterator[str]:
        yield "flowchart LR"
        for name, kind in self._checked.signature.inputs.items():
            yield f'  {self._inputs[name]}(["{_escaped(f"{name}: {kind}")}"])'
        for name, node in self._checked.nodes.items():
            opened, closed = _SHAPES[node.kind]
            yield f'  {self._nodes[name]}{opened}"{_label(node, self._reports.get(name))}"{closed}'
        for index, (name, kind) in enumerate(self._checked.signature.outputs.items()):
            yield f'  o{index}(["{_escaped(f"{name}: {kind}")}"])'
        for name, node in self._checked.nodes.items():
            yield from self._wires(node, self._nodes[name])
        for index, feed in enumerate(self._checked.outputs.values()):
            yield from self._wire(feed.wire, feed.type, "", f"o{index}")
        yield from self._styles()

    def _wires(self, node: CheckedNode, taker: str) -> Iterator[str]:
        if node.condition is not None:
            yield from self._wire(node.condition.wire, None, f"when {node.condition}", taker, dotted=True)
        if node.each is not None:
            yield from self._wire(node.each.wire, node.each.type, f"each {node.each.item}", taker)
        for port, feed in node.feeds.items():
            yield from self._feed(feed, port, taker)
        if isinstance(node.stand_in, ElseCall | ElseValue):
            feeds = node.stand_in.feeds if isinstance(node.stand_in, ElseCall) else node.stand_in.outputs
            own = set(node.feeds.values()) if isinstance(node.stand_in, ElseCall) else set[Feed]()
            for port, feed in feeds.items():
                if feed not in own:
                    yield from self._feed(feed, f"else {port}", taker, dotted=True)

    def _feed(self, feed: Feed, port: str, taker: str, *, dotted: bool = False) -> Iterator[str]:
        wired = feed.items if isinstance(feed, ListFeed) else (feed,)
        for one in wired:
            if isinstance(one, WireFeed):
                yield from self._wire(one.wire, one.type, port, taker, dotted=dotted)

    def _wire(self, wire: Wire, kind: PortType | None, port: str, taker: str, *, dotted: bool = False) -> Iterator[str]:
        match wire:
            case InputWire(name):
                giver, given = self._inputs[name], name
            case NodeWire(name, given):
                giver = self._nodes[name]
            case _:
                return
        ports = given if port in ("", given) else f"{given} to {port}"
        label = port if kind is None else f"{ports}: {kind}"
        yield f'  {giver} {"-.->" if dotted else "-->"}|"{_escaped(label)}"| {taker}'

    def _styles(self) -> Iterator[str]:
        ended: dict[str, list[str]] = {}
        for name, handle in self._nodes.items():
            if name in self._reports:
                ended.setdefault(self._reports[name].status, []).append(handle)
        for status, handles in ended.items():
            yield f"  classDef {status} {_STYLES[status]}"
            yield f"  class {','.join(handles)} {status}"


def _label(node: CheckedNode, report: NodeReport | None) -> str:
    lines = [node.name, f"{node.kind} {node.callee}"]
    if node.spec.approve:
        lines.append("asks a person")
    if node.each is not None:
        lines.append(f"each {node.each.wire} as {node.each.item}")
    if node.until is not None:
        lines.append(f"until {node.until.condition}, at most {node.until.at_most}")
    if node.stand_in is not None:
        instead = node.stand_in
        lines.append(f"else {instead.kind} {instead.callee}" if isinstance(instead, ElseCall) else "else a value")
    if report is not None:
        took = "kept from before" if report.cached else f"{report.seconds:.2f} s"
        lines.append(f"{report.status}, {took}" if report.status in ("done", "failed") else report.status)
    return "<br/>".join(_escaped(line) for line in lines)


def _escaped(text: str) -> str:
    return "".join(_CODES.get(character, character) for character in text)
