"""One attempt of a run, in a process of its own that may be killed at any moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from killing.outside import Outside
from killing.shapes import INPUTS, graph_of, project_of

from sensorium.events import RunId
from sensorium.graph import RunOptions

__all__ = ["attempt"]


def attempt(home: Path, folder: Path, shape: str, run: str) -> None:
    """Begins a run, or goes on with it where the book knows it."""
    asyncio.run(_attempt(home, Outside(folder), shape, RunId(run)))


async def _attempt(home: Path, outside: Outside, shape: str, run: RunId) -> None:
    project = project_of(home, outside)
    graph = graph_of(project, shape)
    options = RunOptions(on_event=lambda _: outside.ring(), raise_on_failure=False)
    if project.runs.find(run) is None:
        await graph.arun(INPUTS, options=replace(options, run=run))
    else:
        await graph.aresume(run, options=options)
    await project.close()
