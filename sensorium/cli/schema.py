"""`sensorium schema`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from sensorium.cli.print_json import print_json

__all__ = ["schema"]


class File(StrEnum):
    """Which file the schema describes."""

    graph = "graph"
    tool = "tool"
    agent = "agent"
    project = "project"


def schema(
    file: Annotated[File, typer.Argument(help="Which file the schema describes.")],
) -> None:
    """Print the JSON Schema of a file, for editors: `# yaml-language-server: $schema=FILE`."""
    from sensorium.spec.schema import schemas  # the engine loads when the command runs

    print_json(schemas()[file.value])
