"""A run that the command line asks for: read the inputs, run, print."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import typer

from sensorium.cli.approver import TerminalApprover
from sensorium.cli.exporting import exporting_spans
from sensorium.cli.figures import print_figures
from sensorium.cli.inputs import origins, read_given
from sensorium.cli.print_json import print_json
from sensorium.cli.show import exit_code, print_result, told_as_json
from sensorium.cli.watch import Watcher
from sensorium.errors import SensoriumError
from sensorium.graph import Result, RunOptions
from sensorium.project import Project
from sensorium.project.plan_file import require_new, save_plan

__all__ = ["Request", "Showing", "run_and_show", "run_request", "telling_why_not"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """How a run is shown."""

    out: Path | None
    """Where media go; `out/GRAPH` where None."""
    json: bool
    trace: bool
    quiet: bool
    plan: Path | None = None
    """Where the plan of the last agent is kept, as a graph file."""
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """For list outputs, the files that the elements are about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What `sensorium run` was told."""

    graph: str
    pairs: list[str]
    """`name=value` each."""
    showing: Showing
    profile: str | None
    seed: int | None
    fresh: bool
    shows_plans: bool
    offline: bool
    project: Path | None


def run_request(request: Request) -> int:
    """Runs the graph and prints what came of it; the exit code.

    Raises:
        SensoriumError: The run could not begin.
    """
    with telling_why_not(request.graph, json=request.showing.json):
        if request.showing.plan is not None:
            require_new(request.showing.plan)
        door = Project.find(request.project, profile=request.profile, offline=request.offline)
        chosen = door.graph(request.graph)
        given = read_given(chosen.inputs, request.pairs, door.store)
        options = RunOptions(seed=request.seed, fresh=request.fresh, shows_plans=request.shows_plans)
        showing = replace(request.showing, files=origins(chosen.checked, given.files))
        return run_and_show(door, lambda how: chosen.arun(given.inputs, options=how), options, showing)


@contextmanager
def telling_why_not(graph: str | None, *, json: bool) -> Generator[None]:
    """Where a run cannot begin or go on, has standard output hold one JSON object all the same, where that is wanted.

    Args:
        graph: What was to run; None where that is not known.
        json: Whether it is wanted.
    """
    try:
        yield
    except SensoriumError as error:
        if json:
            print_json(_not_begun(graph, error))
        raise


def run_and_show(
    door: Project, go: Callable[[RunOptions], Awaitable[Result]], options: RunOptions, showing: Showing
) -> int:
    """Carries out a run and prints what came of it; the exit code. A person at the terminal is asked for approvals.

    Args:
        door: The project, whose hosts and models are let go of afterwards.
        go: Carries out the run.
        options: How it is to go, besides who watches it and who is asked.
        showing: How it is shown.

    Raises:
        SensoriumError: The run could not begin.
    """

    async def once(how: RunOptions) -> Result:
        try:
            return await go(how)
        finally:
            await door.close()

    with exporting_spans(), Watcher(quiet=showing.quiet or showing.json, trace=showing.trace) as watcher:
        approver = None if showing.json else TerminalApprover.here(watcher, door.store)
        how = replace(options, on_event=watcher.see, raise_on_failure=False, approver=approver)
        result = asyncio.run(once(how))
    if showing.trace:
        print_figures(result)
    if showing.plan is not None:
        _keep_plan(result, showing.plan)
    folder = showing.out or Path("out") / result.graph
    if showing.json:
        told, code = told_as_json(result, folder, showing.files)
        print_json(told)
        return code
    print_result(result, folder, showing.files)
    return exit_code(result)


def _keep_plan(result: Result, path: Path) -> None:
    if not result.plans:
        typer.echo(f"no agent called anything: {path} is not written", err=True)
        return
    save_plan(list(result.plans.values())[-1], path)
    typer.echo(f"plan kept as {path}", err=True)


def _not_begun(graph: str | None, error: SensoriumError) -> dict[str, object]:
    return {
        "run": None,
        "graph": graph,
        "status": "failed",
        "seconds": 0.0,
        "outputs": {},
        "nodes": [],
        "error": {"kind": error.kind, "message": str(error), "node": None},
    }
