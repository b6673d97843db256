"""An agent that plans, and the tools that it plans with: they look up boxes, mark points in them, count and send."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest_asyncio

from sensorium.agent.planning import Way
from sensorium.events import Event, PlanMade, ToolCalled
from sensorium.graph import Graph, Question, Verdict
from sensorium.model.contract import Ask
from sensorium.testing import Scratch, ScriptedModel

__all__ = ["ASKING", "Clerk", "Fails", "Seen", "plan_of", "planner", "project"]

Inputs = dict[str, Any]

ASKING = """
    name: asking
    inputs: {request: text}
    nodes: {think: {agent: planner, with: {request: $request}}}
    outputs: {answer: $think.answer, points: $think.points}
"""


class Look:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Inputs]:
        import numpy as np

        return [
            {"boxes": np.zeros((0 if "no" in call["phrase"] else 2, 4), np.float32), "said": call["phrase"]}
            for call in batch
        ]

    def close(self) -> None: ...


class Mark:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Inputs]:
        for call in batch:
            if len(call["boxes"]) == 0:
                raise ValueError("there is no box to mark")
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
        return [{"receipt": f"sent {call['text']}"} for call in batch]

    def close(self) -> None: ...


class Fails:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Inputs]:
        raise ValueError("there is no voice")

    def close(self) -> None: ...


@dataclass
class Clerk:
    """A person who says what it is told to say, and keeps what it was asked."""

    say: Callable[[Question], Verdict] = field(default=lambda _: Verdict(True))
    asked: list[Question] = field(default_factory=list[Question])

    async def ask(self, question: Question) -> Verdict:
        self.asked.append(question)
        return self.say(question)


@dataclass
class Seen:
    """What was told of plans and calls."""

    events: list[Event] = field(default_factory=list[Event])

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def plans(self) -> list[PlanMade]:
        return [event for event in self.events if isinstance(event, PlanMade)]

    @property
    def calls(self) -> list[ToolCalled]:
        return [event for event in self.events if isinstance(event, ToolCalled)]

    @property
    def called(self) -> list[str]:
        return [event.tool for event in self.calls]


@pytest_asyncio.fixture
async def project(tmp_path: Path) -> AsyncGenerator[Scratch]:
    made = Scratch(tmp_path)
    made.tool("look", Look, inputs={"phrase": "text"}, outputs={"boxes": "boxes", "said": "text"})
    made.tool("mark", Mark, inputs={"boxes": "boxes"}, outputs={"points": "points"})
    made.tool("count", Count, inputs={"points": "points"}, outputs={"number": "number"})
    made.tool("send", Send, inputs={"text": "text"}, outputs={"receipt": "text"}, effects=True)
    made.tool("hidden", Count, inputs={"points": "points"}, outputs={"number": "number"})
    yield made
    await made.close()


def planner(
    project: Scratch,
    replies: Sequence[str] | Callable[[Ask], str],
    *,
    way: Way = "whole",
    is_held: bool = True,
    graph: str = ASKING,
    **limits: int,
) -> tuple[Graph, ScriptedModel]:
    """A graph whose only node is an agent that may look, mark, count and send; and its model."""
    project.agent(
        "planner",
        tools=["look", "mark", "count", "send"],
        limits=limits,
        inputs={"request": "text"},
        outputs={"answer": "text", "points": "points?"},
    )
    project.ways["central"] = way
    model = project.scripted("central", replies, is_held=is_held)
    return project.graph(graph), model


def plan_of(*calls: dict[str, Any]) -> str:
    """A reply that holds a plan."""
    return json.dumps({"nodes": list(calls)})
