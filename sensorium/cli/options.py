"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Json", "ProfileName", "ProjectFolder"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ProfileName = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="Profile to run with, instead of the project's default.")
]
ProjectFolder = Annotated[
    Path | None,
    typer.Option("--project", metavar="DIR", help="The project's folder, instead of the nearest one upwards."),
]
