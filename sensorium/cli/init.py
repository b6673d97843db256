"""`sensorium init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["init"]


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
) -> None:
    """Make a project of your own with one tool, one agent and one graph."""
    from sensorium.project.start import write_template  # the engine loads when the command runs

    for path in write_template(folder):
        typer.echo(str(path))
    typer.echo(f'\nnext: cd {folder} && sensorium run shout text="good morning" times=2', err=True)
