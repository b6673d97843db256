"""A project whose only agent plans: it may look, mark, count and send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from illegal.garbage import Garbage

from sensorium.graph import Graph
from sensorium.testing import Scratch

__all__ = ["TOOLS", "desk"]

Inputs = dict[str, Any]

TOOLS = ("look", "mark", "count", "send")
_ASKING = """
    name: asking
    inputs: {request: text}
    nodes: {think: {agent: planner, with: {request: $request}}}
    outputs: {answer: $think.answer}
"""


class Look:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Inputs]:
        import numpy as np

        return [{"boxes": np.zeros((2, 4), np.float32), "said": call["phrase"].upper()} for call in batch]

    def close(self) -> None: ...


class Mark:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Inputs]:
        return [{"points": call["boxes"][:, :2]} for call in batch]

    def close(self) -> None: ...


class Count:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Inputs]:
        return [{"number": float(len(call["points"]))} for call in batch]

    def close(self) -> None: ...


class Send:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Inputs]:
        return [{"receipt": call["text"].lower()} for call in batch]

    def close(self) -> None: ...


def desk(folder: Path, garbage: Garbage) -> tuple[Scratch, Graph]:
    """The project, and a graph that hands a request to its agent."""
    project = Scratch(folder)
    project.tool("look", Look, inputs={"phrase": "text"}, outputs={"boxes": "boxes", "said": "text"})
    project.tool("mark", Mark, inputs={"boxes": "boxes"}, outputs={"points": "points"})
    project.tool("count", Count, inputs={"points": "points"}, outputs={"number": "number"})
    project.tool("send", Send, inputs={"text": "text"}, outputs={"receipt": "text"}, effects=True)
    project.tool("hidden", Count, inputs={"points": "points"}, outputs={"number": "number"})
    ports = {"inputs": {"request": "text"}, "outputs": {"answer": "text"}}
    project.agent("planner", tools=[*TOOLS], limits={"steps": 6, "repairs": 0}, **ports)
    project.ways["central"] = "whole"
    project.scripted("central", garbage.reply, is_held=False)
    return project, project.graph(_ASKING)
