"""A run that the command line asks for: read the inputs, run, print."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from sensorium.cli.exporting import exporting_spans
from sensorium.cli.figures import print_figures
from sensorium.cli.inputs import read_inputs
from sensorium.cli.print_json import print_json
from sensorium.cli.show import exit_code, print_result
from sensorium.cli.watch import Watcher
from sensorium.errors import SensoriumError
from sensorium.graph import RunOptions
from sensorium.project import Project

__all__ = ["Request", "run_request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What `sensorium run` was told."""

    graph: str
    pairs: list[str]
    """`name=value` each."""
    out: Path | None
    """Where media go; `out/GRAPH` where None."""
    json: bool
    profile: str | None
    seed: int | None
    fresh: bool
    trace: bool
    offline: bool
    quiet: bool
    project: Path | None


def run_request(request: Request) -> int:
    """Runs the graph and prints what came of it; the exit code.

    Raises:
        SensoriumError: The run could not begin.
    """
    try:
        door = Project.find(request.project, profile=request.profile, offline=request.offline)
        chosen = door.graph(request.graph)
        inputs = read_inputs(chosen.inputs, request.pairs, door.store)
    except SensoriumError as error:
        if request.json:
            print_json(_not_begun(request.graph, error))
        raise
    with exporting_spans(), Watcher(quiet=request.quiet or request.json, trace=request.trace) as watcher:
        options = RunOptions(seed=request.seed, fresh=request.fresh, on_event=watcher.see, raise_on_failure=False)
        result = asyncio.run(door.run_once(chosen, inputs, options))
    if request.trace:
        print_figures(result)
    folder = request.out or Path("out") / chosen.name
    if request.json:
        print_json(result.to_json(folder))
    else:
        print_result(result, folder)
    return exit_code(result)


def _not_begun(graph: str, error: SensoriumError) -> dict[str, object]:
    return {
        "run": None,
        "graph": graph,
        "status": "failed",
        "seconds": 0.0,
        "outputs": {},
        "nodes": [],
        "error": {"kind": error.kind, "message": str(error), "node": None},
    }
