"""`sensorium run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sensorium.cli.options import Json, MediaFolder, Offline, Plan, ProfileName, ProjectFolder, Quiet, Trace

__all__ = ["run"]


def run(
    graph: Annotated[str, typer.Argument(metavar="GRAPH", help="A graph, tool or agent by name, or a graph file.")],
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE...", help="name=text, name=@file, name=@DIR for lists; @@ for a plain @."),
    ] = None,
    out: MediaFolder = None,
    json: Json = False,
    profile: ProfileName = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Seed of everything that draws lots.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Use no results of earlier runs.")] = False,
    trace: Trace = False,
    plan: Plan = False,
    save_plan: Annotated[
        Path | None, typer.Option("--save-plan", metavar="FILE", help="Keep what the agent called as a graph file.")
    ] = None,
    offline: Offline = False,
    quiet: Quiet = False,
    project: ProjectFolder = None,
) -> None:
    """Run a graph, a tool or an agent."""
    from sensorium.cli.running import Request, Showing, run_request  # the engine loads when the command runs

    request = Request(
        graph=graph,
        pairs=values or [],
        showing=Showing(out=out, json=json, trace=trace, quiet=quiet, plan=save_plan),
        profile=profile,
        seed=seed,
        fresh=fresh,
        shows_plans=plan,
        offline=offline,
        project=project,
    )
    if code := run_request(request):
        raise typer.Exit(code)
