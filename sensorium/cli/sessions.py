"""`sensorium sessions`: conversations that were kept under a name.

The engine loads when a command runs, so that `--help` stays quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from sensorium.cli.options import Json
from sensorium.cli.print_json import print_json
from sensorium.cli.sizes import size

if TYPE_CHECKING:
    from sensorium.project.sessions import SessionSummary

__all__ = ["app", "print_sessions"]

app = typer.Typer(no_args_is_help=True, help="Conversations that were kept under a name.")


@app.command("list")
def list_(json: Json = False) -> None:
    """List sessions, the one that was used last first."""
    from sensorium.project.folders import home_folder
    from sensorium.project.sessions import summarise_sessions

    found = summarise_sessions(home_folder())
    if json:
        print_json({"sessions": [asdict(summary) for summary in found]})
    else:
        print_sessions(found)


@app.command("rm")
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Sessions.")],
    json: Json = False,
) -> None:
    """Remove sessions: all that are named or, where one of them is not there, none. Their media stay in the store."""
    from sensorium.project.folders import home_folder
    from sensorium.project.sessions import remove_sessions

    freed = remove_sessions(home_folder(), names)
    if json:
        print_json({"removed": [{"name": name, "freed_bytes": count} for name, count in freed.items()]})
        return
    for name, count in freed.items():
        typer.echo(f"{name}: {size(count)} freed")


def print_sessions(found: Sequence[SessionSummary]) -> None:
    """A line for each session, and below it what is wrong with it."""
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)  # whole, to be copied
    for heading in ("turns", "attached", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("last used", no_wrap=True)
    table.add_column("begins", overflow="fold")
    for summary in found:
        weight = size(summary.bytes + summary.media_bytes)
        begins = summary.trouble or summary.first_words
        used = datetime.fromisoformat(summary.last_used).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(summary.name, str(summary.turns), str(summary.attachments), weight, used, begins)
    Console(highlight=False, markup=False).print(table if found else "no conversation was kept")
