"""Runs that are watched while tools behind gates make lists, element by element."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sensorium.events import Event
from sensorium.graph import Graph, Result, RunOptions
from sensorium.parts import Value
from sensorium.testing import Scratch

Made = TypeVar("Made")
Inputs = dict[str, Any]
Outputs = dict[str, Any]
LOG = ""

PATIENCE_S = 60.0

SHOUTING = """
    name: shouting
    inputs: {tries: data, gate: text}
    nodes:
      split: {tool: split, with: {tries: $tries, gate: $gate}, retry: 2}
      shout: {tool: shout, each: $split.words, as: word, with: {text: $word}}
    outputs: {words: $shout.text}
"""
THREE_STAGES = """
    name: stages
    inputs: {tries: data, gate: text}
    nodes:
      split: {tool: split, with: {tries: $tries, gate: $gate}, retry: 2}
      shout: {tool: shout, each: $split.words, as: word, with: {text: $word}}
      wrap:  {tool: wrap, each: $shout.text, as: word, with: {text: $word}}
    outputs: {words: $wrap.text}
"""


class Gate:
    """A pipe that a tool reads before each step; closed, it lets everything through."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._file = os.open(path, os.O_RDWR)  # for reading too, since opening one end alone waits for the other

    def let(self, steps: int) -> None:
        os.write(self._file, b"." * steps)

    def close(self) -> None:
        self.let(1000)
        os.close(self._file)


class Running:
    """A run that is watched from outside."""

    def __init__(self, graph: Graph, inputs: dict[str, object], **options: Any) -> None:
        self.events: list[Event] = []
        self._changed = asyncio.Event()
        whole = RunOptions(on_event=self._see, raise_on_failure=False, **options)
        self.task = asyncio.ensure_future(graph.arun(inputs, options=whole))

    def _see(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, kind: type[Event], node: str, times: int = 1) -> None:
        """Waits until so many such events were seen of a node."""
        async with asyncio.timeout(PATIENCE_S):
            while self.count(kind, node) < times:
                assert not self.task.done(), f"the run ended before {kind.__name__} of {node}: {self.events}"
                await self._changed.wait()
                self._changed.clear()

    def count(self, kind: type[Event], node: str) -> int:
        return sum(isinstance(event, kind) and getattr(event, "node", "") == node for event in self.events)

    def place(self, kind: type[Event], node: str) -> int:
        """Where the first such event of a node stands among all."""
        return next(
            place
            for place, event in enumerate(self.events)
            if isinstance(event, kind) and getattr(event, "node", "") == node
        )

    async def result(self) -> Result:
        return await soon(self.task)


async def soon(work: Awaitable[Made]) -> Made:
    async with asyncio.timeout(PATIENCE_S):
        return await work


def fill(project: Scratch) -> None:
    log = f"LOG = {str(project.home / 'calls.log')!r}"
    project.tool("split", Split, inputs={"tries": "data", "gate": "text"}, outputs={"words": "[text]", "go": "flag"})
    project.tool("shout", Shout, inputs={"text": "text"}, outputs={"text": "text"}, header=log)
    project.tool("wrap", Wrap, inputs={"text": "text"}, outputs={"text": "text"}, header=log)
    project.tool("send", Wrap, inputs={"text": "text"}, outputs={"text": "text"}, header=log, effects=True)
    project.tool("hold", Hold, inputs={"text": "text", "gate": "text"}, outputs={"text": "text"}, header=log)
    project.tool("either", Either, inputs={"one": "text?", "other": "text?"}, outputs={"text": "text"})
    project.tool("count", Count, inputs={"words": "[text]"}, outputs={"count": "number"})


def calls(project: Scratch) -> list[str]:
    log = project.home / "calls.log"
    return log.read_text().split("\n")[:-1] if log.exists() else []


class Split:
    """Gives the words of a try one by one, each behind the gate, and so its end.

    A try is `{"items", "whole"?, "fails"?}`: `whole` is the list in the end where it is another, `fails` says whether
    the try fails, `once` in a way that can pass.
    """

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        self.tried = 0

    def run(self, batch: list[Inputs]) -> Iterator[object]:
        from sensorium.worker import Failed, Item

        (call,) = batch
        this = call["tries"][min(self.tried, len(call["tries"]) - 1)]
        self.tried += 1
        with open(call["gate"], "rb", buffering=0) as gate:
            for word in this["items"]:
                gate.read(1)
                yield Item(0, "words", word)
            gate.read(1)
        if "fails" in this:
            yield Failed(0, "the pen is broken", can_retry=this["fails"] == "once")
            yield [None]
        else:
            yield [{"words": this.get("whole", this["items"]), "go": True}]

    def close(self) -> None: ...


class Shout:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        (call,) = batch
        with open(LOG, "a") as log:
            log.write(f"shout {call['text']}\n")
        if call["text"] == "bad":
            raise ValueError("no bad words")
        return [{"text": call["text"].upper()}]

    def close(self) -> None: ...


class Wrap:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        (call,) = batch
        with open(LOG, "a") as log:
            log.write(f"wrap {call['text']}\n")
        return [{"text": f"({call['text']})"}]

    def close(self) -> None: ...


class Hold:
    """Gives its text behind a gate."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> Iterator[object]:
        from sensorium.worker import Progress

        (call,) = batch
        with open(LOG, "a") as log:
            log.write(f"hold {call['text']}\n")
        yield Progress(0, 0.5)
        with open(call["gate"], "rb", buffering=0) as gate:
            gate.read(1)
        yield Progress(0, 1.0)
        yield [{"text": call["text"]}]

    def close(self) -> None: ...


class Either:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        return [{"text": call["one"] or call["other"]} for call in batch]

    def close(self) -> None: ...


class Count:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        return [{"count": len(call["words"])} for call in batch]

    def close(self) -> None: ...


def texts(value: Value) -> list[str | None]:
    assert isinstance(value, tuple)
    return [None if part is None else str(part) for part in value]


def once(*items: str, **further: object) -> list[dict[str, object]]:
    return [{"items": list(items), **further}]
