"""`sensorium graph`."""

from __future__ import annotations

from typing import Annotated

import typer

import sensorium
from sensorium.cli.options import ProjectFolder

__all__ = ["graph"]


def graph(
    name: Annotated[
        str | None, typer.Argument(metavar="[GRAPH]", help="A graph's name, or its file; with --run, the run's.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="Draw how the nodes of this run ended, and their times.")
    ] = None,
    project: ProjectFolder = None,
) -> None:
    """Draw a graph as mermaid: paste it into Markdown, or into a mermaid viewer."""
    from sensorium.project.kept import draw_run, find_run  # the engine loads when the command runs

    if run is not None:
        typer.echo(draw_run(find_run(run, project, None), name, project))
    elif name is not None:
        typer.echo(sensorium.load(name, project=project).mermaid())
    else:
        raise typer.BadParameter("name a graph, or a run with --run", param_hint="GRAPH")
