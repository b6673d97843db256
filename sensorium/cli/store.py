"""`sensorium store`: pictures, sounds, masks and tensors on the disk, and their collection.

The engine loads when a command runs, so that `--help` stays quick.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from sensorium.cli.counting import counting
from sensorium.cli.options import Json, ProfileName, ProjectFolder
from sensorium.cli.print_json import print_json
from sensorium.cli.sizes import size

if TYPE_CHECKING:
    from sensorium.project import Project
    from sensorium.project.collection import Collected, Place, StoreStatus

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Pictures, sounds, masks and tensors on the disk.")

_DAY_S = 86_400.0
_GB = 1e9


@app.command("status")
def status(json: Json = False, profile: ProfileName = None, project: ProjectFolder = None) -> None:
    """Show what lies in the store, who holds it, and what is wrong."""
    from sensorium.project import Project
    from sensorium.project.collection import store_status

    door = Project.find(project, profile=profile)
    with counting() as see, closing(door.database):
        found = store_status(_place(door), max_days=door.store_days, max_gb=door.profile.limits.store_gb, see=see)
    if json:
        print_json(asdict(found))
    else:
        _print_status(found)


@app.command("gc")
def gc(
    older_than: Annotated[
        float | None, typer.Option(min=0, metavar="DAYS", help="Drop what runs made that ended longer ago; 30.")
    ] = None,
    max_gb: Annotated[
        float | None, typer.Option(min=0, metavar="N", help="Then drop the oldest runs until the store fits.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and let it stay.")] = False,
    json: Json = False,
    profile: ProfileName = None,
    project: ProjectFolder = None,
) -> None:
    """Free what nothing kept refers to. Sessions, and runs that go on or wait for a person, lose nothing."""
    from sensorium.project import Project
    from sensorium.project.collection import Limit, collect

    door = Project.find(project, profile=profile)
    days = door.store_days if older_than is None else older_than
    gigabytes = door.profile.limits.store_gb if max_gb is None else max_gb
    limit = Limit(days * _DAY_S, None if gigabytes is None else round(gigabytes * _GB))
    with counting() as see, closing(door.database):
        collected = collect(_place(door), limit, now_s=time.time(), dry_run=dry_run, see=see)
    if json:
        print_json(asdict(collected))
    else:
        _print_collected(collected, limit.max_bytes)


def _place(door: Project) -> Place:
    from sensorium.project.collection import Place

    return Place(door.home, door.store, door.database, door.results, door.runs)


def _print_status(found: StoreStatus) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("held by", no_wrap=True)
    table.add_column("blobs", justify="right")
    table.add_column("size", justify="right", no_wrap=True)
    for name, held in found.held_by.items():
        table.add_row(name.replace("_", " "), str(held.blobs), size(held.bytes))
    table.add_row("all", str(found.blobs), size(found.bytes))
    Console(highlight=False, markup=False).print(found.path, table, sep="\n", soft_wrap=True)
    weight = "of any size" if found.max_gb is None else f"of at most {found.max_gb:g} GB"
    typer.echo(f"limits: runs that ended at most {found.max_days:g} days ago, a store {weight}")
    _print_names("damaged, goes with `sensorium store gc`", found.damaged)
    _print_names("being written, or left by a process that died", found.leftovers)
    _print_names("not of the store, stays", found.foreign)
    if found.trouble:
        typer.echo(f"cannot be collected: {found.trouble}")


def _print_collected(collected: Collected, max_bytes: int | None) -> None:
    would = "would be " if collected.dry_run else ""
    results = "" if collected.results is None else f", {collected.results} results"
    typer.echo(
        f"{size(collected.freed_bytes)} {would}freed: {collected.blobs} blobs, {len(collected.runs)} runs{results}, "
        f"{len(collected.damaged)} damaged, {len(collected.leftovers)} leftovers"
    )
    typer.echo(f"{size(collected.left_bytes)} in {collected.left_blobs} blobs {'would stay' if would else 'stay'}")
    if collected.num_at_work:
        typer.echo(f"{collected.num_at_work} at work: what they hold stays")
    if max_bytes is not None and collected.left_bytes > max_bytes:
        typer.echo(f"more than {size(max_bytes)}: the rest is held by sessions, or by runs that go on")
    if collected.trouble:
        typer.echo(f"the database keeps the room of what went: {collected.trouble}")
    _print_names("not of the store, stays", collected.foreign)


def _print_names(what: str, names: list[str]) -> None:
    for name in names:
        typer.echo(f"{what}: {name!r}")
