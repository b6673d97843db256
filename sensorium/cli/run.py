"""`sensorium run`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

import sensorium
from sensorium.cli.inputs import read_inputs
from sensorium.cli.options import Json, ProfileName, ProjectFolder
from sensorium.cli.print_json import print_json
from sensorium.cli.show import exit_code, print_result
from sensorium.cli.watch import Watcher
from sensorium.errors import SensoriumError

__all__ = ["run"]


def run(
    graph: Annotated[str, typer.Argument(metavar="GRAPH", help="A graph, tool or agent by name, or a graph file.")],
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE...", help="name=text, name=@file, name=@DIR for lists; @@ for a plain @."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where pictures, sound and masks go; out/GRAPH else.")
    ] = None,
    json: Json = False,
    profile: ProfileName = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Seed of everything that draws lots.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Use no results of earlier runs.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Show exactly what is sent to language models.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Download nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    project: ProjectFolder = None,
) -> None:
    """Run a graph, a tool or an agent."""
    try:
        door = sensorium.Project.find(project, profile=profile, offline=offline)
        chosen = door.graph(graph)
        inputs = read_inputs(chosen.inputs, values or [], door.store)
    except SensoriumError as error:
        if json:
            print_json(_not_begun(graph, error))
        raise
    with Watcher(quiet=quiet or json, trace=trace) as watcher:
        options = sensorium.RunOptions(seed=seed, fresh=fresh, on_event=watcher.see, raise_on_failure=False)
        result = asyncio.run(door.run_once(chosen, inputs, options))
    folder = out or Path("out") / chosen.name
    if json:
        print_json(result.to_json(folder))
    else:
        print_result(result, folder)
    if result.status != "done":
        raise typer.Exit(exit_code(result))


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
