"""Tries of a node that were made are not made again when its run goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from sensorium.graph import Graph, RunOptions
from sensorium.testing import Scratch

Inputs = dict[str, Any]
LOG = ""
GOOD = ""
EVERY = 0


class Slip:
    """Succeeds at one call of so many; the others fail in a way that can pass."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        self.calls = 0

    def run(self, batch: list[Inputs]) -> Iterator[object]:
        from sensorium.worker import Failed

        (call,) = batch
        with open(LOG, "a") as log:
            log.write(f"{call['text']}\n")
        self.calls += 1
        if self.calls % EVERY:
            yield Failed(0, "not yet", can_retry=True)
            yield [None]
        yield [{"text": call["text"].upper()}]

    def close(self) -> None: ...


class Mend:
    """Fails until somebody has put a file in its place."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Inputs]:
        from pathlib import Path

        if not Path(GOOD).exists():
            raise ValueError("broken")
        return [{"text": call["text"]} for call in batch]

    def close(self) -> None: ...


@pytest_asyncio.fixture
async def project(tmp_path: Path) -> AsyncGenerator[Scratch]:
    made = Scratch(tmp_path)
    text = {"text": "text"}
    slip(made, every=2)
    made.tool("mend", Mend, inputs=text, outputs=text, header=f"GOOD = {str(tmp_path / 'good')!r}")
    yield made
    await made.close()


def slip(project: Scratch, every: int) -> None:
    text, header = {"text": "text"}, f"LOG = {str(project.home / 'calls')!r}\nEVERY = {every}"
    project.tool("slip", Slip, inputs=text, outputs=text, header=header)


def slipping(project: Scratch, retry: int) -> Graph:
    return project.graph(f"""
        name: slipping
        inputs: {{words: text}}
        nodes:
          slip: {{tool: slip, with: {{text: $words}}, retry: {retry}}}
          mend: {{tool: mend, with: {{text: $slip.text}}}}
        outputs: {{text: $mend.text}}
    """)


def calls(project: Scratch) -> list[str]:
    return (project.home / "calls").read_text().split()


async def test_a_run_goes_on_with_the_try_that_succeeded(project: Scratch) -> None:
    graph = slipping(project, retry=1)
    failed = await graph.arun(words="hey", options=RunOptions(raise_on_failure=False))
    assert (failed.status, calls(project)) == ("failed", ["hey", "hey"])
    (project.home / "good").touch()
    assert str((await graph.aresume(failed.run)).text) == "HEY"
    assert calls(project) == ["hey", "hey"]


async def test_a_fork_goes_on_with_the_try_that_succeeded(project: Scratch) -> None:
    graph = slipping(project, retry=1)
    failed = await graph.arun(words="hey", options=RunOptions(raise_on_failure=False))
    (project.home / "good").touch()
    assert str((await graph.afork(failed.run, "mend")).text) == "HEY"
    assert calls(project) == ["hey", "hey"]


async def test_a_run_that_used_its_tries_up_has_all_of_them_again(project: Scratch) -> None:
    (project.home / "good").touch()
    slip(project, every=4)
    graph = slipping(project, retry=1)
    failed = await graph.arun(words="hey", options=RunOptions(raise_on_failure=False))
    assert (failed.status, calls(project)) == ("failed", ["hey"] * 2)
    assert str((await graph.aresume(failed.run)).text) == "HEY"
    assert calls(project) == ["hey"] * 4
