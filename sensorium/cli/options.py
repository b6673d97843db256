"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Json", "MediaFolder", "Offline", "Plan", "ProfileName", "ProjectFolder", "Quiet", "Trace"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
MediaFolder = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Where pictures, sound and masks go; out/GRAPH else.")
]
Offline = Annotated[bool, typer.Option("--offline", help="Download nothing.")]
Plan = Annotated[bool, typer.Option("--plan", help="Show the plan of an agent, and ask before it is carried out.")]
ProfileName = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="Profile to run with, instead of the project's default.")
]
ProjectFolder = Annotated[
    Path | None,
    typer.Option("--project", metavar="DIR", help="The project's folder, instead of the nearest one upwards."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Trace = Annotated[
    bool, typer.Option("--trace", help="Show exactly what is sent to language models, and figures of each node.")
]
