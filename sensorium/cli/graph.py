"""`sensorium graph`."""

from __future__ import annotations

from typing import Annotated

import typer

import sensorium
from sensorium.cli.options import ProjectFolder

__all__ = ["graph"]


def graph(
    name: Annotated[str, typer.Argument(metavar="GRAPH", help="A graph's name, or its file.")],
    project: ProjectFolder = None,
) -> None:
    """Draw a graph as mermaid: paste it into Markdown, or into a mermaid viewer."""
    typer.echo(sensorium.load(name, project=project).mermaid())
