"""A graph that marks a text step by step, the tool that it calls, and the person that it asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sensorium.database import open_database
from sensorium.errors import PausedError, ToolError
from sensorium.events import RunId
from sensorium.graph import Graph, Question, Result, Verdict
from sensorium.testing import Scratch

__all__ = [
    "MARKING",
    "Inputs",
    "Person",
    "breaking",
    "calls",
    "failed",
    "marking",
    "paused",
    "project",
]


Inputs = dict[str, Any]


LOG = ""


@pytest_asyncio.fixture
async def project(tmp_path: Path, place: str) -> AsyncGenerator[Scratch]:
    made = Scratch(tmp_path, database=open_database(place))
    yield made
    await made.close()


class Mark:
    """Adds a mark to a text, and writes down that it was called; fails while a file says so."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Inputs]:
        from pathlib import Path

        with open(LOG, "a") as log:
            log.writelines(f"{call['mark']}\n" for call in batch)
        if Path(LOG).with_name("broken").exists():
            raise ValueError("the mark is out of ink")
        return [{"text": f"{call['text']}{call['mark']}"} for call in batch]

    def close(self) -> None: ...


@dataclass
class Person:
    """Says what it is told to say, and keeps what it was asked."""

    say: Callable[[Question], Verdict] = field(default=lambda _: Verdict(True))
    asked: list[Question] = field(default_factory=list[Question])

    async def ask(self, question: Question) -> Verdict:
        self.asked.append(question)
        return self.say(question)


MARKING = """
    name: marking
    inputs: {words: text}
    nodes:
      one:   {tool: mark, with: {text: $words, mark: a}}
      other: {tool: mark, with: {text: $words, mark: x}}
      two:   {tool: mark, with: {text: $one.text, mark: b}ASKED}
      three: {tool: mark, with: {text: $two.text, mark: c}}
    outputs: {other: $other.text, all: $three.text}
"""


def marking(project: Scratch, *, asks: bool = False, ink: str = "blue", **declared: Any) -> Graph:
    header = f"LOG = {str(project.home / 'calls.log')!r}  # in {ink}"
    ports = {"text": "text", "mark": "text"}
    project.tool("mark", Mark, inputs=ports, outputs={"text": "text"}, header=header, **declared)
    return project.graph(MARKING.replace("ASKED", ", approve: true" if asks else ""))


def calls(project: Scratch) -> list[str]:
    """The marks that were made since this was asked last."""
    log = project.home / "calls.log"
    made = sorted(log.read_text().split()) if log.exists() else []
    log.unlink(missing_ok=True)
    return made


def breaking(project: Scratch, is_broken: bool) -> None:
    sign = project.home / "broken"
    sign.touch() if is_broken else sign.unlink()


async def failed(graph: Graph, words: str) -> RunId:
    with pytest.raises(ToolError) as raised:
        await graph.arun(words=words)
    result: Result = raised.value.result
    return result.run


async def paused(graph: Graph, inputs: Mapping[str, object]) -> RunId:
    with pytest.raises(PausedError, match="sensorium runs resume") as raised:
        await graph.arun(inputs)
    result: Result = raised.value.result
    return result.run
