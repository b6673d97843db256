"""`sensorium models`: weights on the disk, and the workers that hold them in memory.

The engine loads when a command runs, so that `--help` stays quick.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import sensorium
from sensorium.cli.blocks import print_pieces
from sensorium.cli.options import Json, ProfileName, ProjectFolder
from sensorium.cli.print_json import print_json
from sensorium.cli.pulling import PullBars
from sensorium.errors import CallerError, OperatorError

if TYPE_CHECKING:
    from sensorium.checkpoint import Checkpoints
    from sensorium.host import WorkerHost
    from sensorium.host.contract import WorkerState

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Checkpoints on the disk, and the workers that are warm.")

_STATES = {"present": "green", "absent": "dim", "partial": "yellow", "damaged": "red"}


@app.command("list")
def list_(json: Json = False, profile: ProfileName = None, project: ProjectFolder = None) -> None:
    """List checkpoints: licence, size, whether they are here, and who uses them."""
    from sensorium.project.weights import users

    door = sensorium.Project.find(project, profile=profile)
    used_by = users(door)
    rows = [_row(door.checkpoints, name, used_by.get(name, [])) for name in sorted(door.manifests)]
    if json:
        print_json({"checkpoints": [asdict(row) for row in rows]})
    else:
        _print_rows(rows)


@dataclass(frozen=True, slots=True)
class _Row:
    """A checkpoint as the list shows it; the names of the fields are the keys of its JSON."""

    name: str
    about: str
    licence: str
    source: str
    languages: list[str] | None
    of: str | None
    bytes: int
    disk_bytes: int
    state: str
    trouble: str | None
    directory: str | None
    used_by: list[str]


def _row(checkpoints: Checkpoints, name: str, used_by: list[str]) -> _Row:
    manifest, found = checkpoints.manifest(name), checkpoints.state(name)
    return _Row(
        name=name,
        about=manifest.about,
        licence=manifest.licence,
        source=manifest.source,
        languages=manifest.languages,
        of=manifest.of,
        bytes=manifest.size_bytes,
        disk_bytes=found.disk_bytes,
        state=found.state,
        trouble=found.trouble or None,
        directory=str(checkpoints.directory(name)) if found.state == "present" else None,
        used_by=used_by,
    )


def _print_rows(rows: list[_Row]) -> None:
    console = Console(highlight=False)
    cells = [(row.name, row.licence, _told_size(row), row.state) for row in rows]
    table = [("name", "licence", "size", "state"), *cells]
    name, licence, size, _ = (max(len(cell) for cell in column) for column in zip(*table, strict=True))
    for row, line in zip([None, *rows], table, strict=True):
        style = _STATES[row.state] if row is not None else "bold"
        told = f"{line[0]:<{name}}  {line[1]:<{licence}}  {line[2]:>{size}}  "
        console.print(Text.assemble(told if row is not None else (told, style), (line[3], style)), soft_wrap=True)
        if row is not None and row.used_by:
            first, *rest = row.used_by
            print_pieces(console, [f"used by {first}", *rest], indent=4, style="dim")


def _told_size(row: _Row) -> str:
    count = row.disk_bytes if row.state == "present" else row.bytes
    return _size(count) if count else "made here"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


@app.command()
def pull(
    names: Annotated[list[str] | None, typer.Argument(help="Checkpoints, or tools with all that they want.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every checkpoint that has a manifest.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Ask local directories alone.")] = False,
    json: Json = False,
    profile: ProfileName = None,
    project: ProjectFolder = None,
) -> None:
    """Get checkpoints, verified and converted; and the environments of tools that have their own.

    Without names: all that the profile wants. With names and --profile: both. Ctrl-C is safe: the same command goes on
    from there.
    """
    from sensorium.project.weights import wanted_by_name, wanted_by_profile

    door = sensorium.Project.find(project, profile=profile)
    chosen = wanted_by_name(door, [*(door.manifests if every else ()), *(names or ())])
    if profile is not None or not (names or every):
        chosen = chosen.joined(wanted_by_profile(door))
    with PullBars() as bars:
        _announce(door, chosen.checkpoints, bars)
        try:
            places = {name: str(door.checkpoints.pull(name, bars.see, offline=offline)) for name in chosen.checkpoints}
            for requirements in chosen.environments:
                _make_environment(door, requirements, bars)
        except KeyboardInterrupt:
            bars.say("what is complete was kept, and the same command goes on from there")
            raise
    _report(door, places, json=json)


def _make_environment(door: sensorium.Project, requirements: Path, bars: PullBars) -> None:
    tool = requirements.parent.name
    bars.say(f"{tool}: its own environment, {requirements.name}")
    door.environments.make(requirements, lambda line: bars.busy(tool, line))
    bars.busy(tool, "environment is here")


def _announce(door: sensorium.Project, names: tuple[str, ...], bars: PullBars) -> None:
    """Says what comes, under which licence and how much, and stops before the first byte if the disk is short."""
    missing = [name for name in names if door.checkpoints.state(name).state != "present"]
    if not missing:
        return
    for name in missing:
        manifest = door.checkpoints.manifest(name)
        size = _size(manifest.size_bytes) if manifest.of is None else f"made from {manifest.of}"
        bars.say(f"{name}: {manifest.licence}, {size}. {manifest.source}")
    needs, free = door.checkpoints.needs(missing), shutil.disk_usage(door.home).free
    bars.say(
        f"up to {needs.download_bytes / 1e9:.2f} GB to download, {needs.disk_bytes / 1e9:.2f} GB of disk wanted, "
        f"{free / 1e9:.2f} GB free at {door.home}"
    )
    if free < needs.disk_bytes:
        short = (needs.disk_bytes - free) / 1e9
        raise OperatorError(f"{short:.2f} GB of disk are missing; make room, or set SENSORIUM_HOME to a larger disk")


def _report(door: sensorium.Project, places: dict[str, str], *, json: bool) -> None:
    if json:
        rows = [
            {
                "name": name,
                "licence": door.manifests[name].licence,
                "digest": door.checkpoints.digest(name),
                "directory": path,
            }
            for name, path in places.items()
        ]
        print_json({"checkpoints": rows})
        return
    for name, path in places.items():
        typer.echo(f"{name}\t{path}")


@app.command("rm")
def remove(
    names: Annotated[list[str], typer.Argument(help="Checkpoints.")],
    json: Json = False,
    project: ProjectFolder = None,
) -> None:
    """Remove checkpoints from the disk, with what interrupted pulls left of them."""
    door = sensorium.Project.find(project)
    for name in names:
        door.checkpoints.manifest(name)
    freed = {name: door.checkpoints.remove(name) for name in names}
    if json:
        print_json({"removed": [{"name": name, "freed_bytes": count} for name, count in freed.items()]})
        return
    for name, count in freed.items():
        typer.echo(f"{name}: {_size(count)} freed")


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Checkpoints; all that are here where none is named.")
    ] = None,
    json: Json = False,
    project: ProjectFolder = None,
) -> None:
    """Read every byte again and compare it with its digest. Exits with 5 if anything is damaged."""
    checkpoints = sensorium.Project.find(project).checkpoints
    chosen = names or [name for name in checkpoints.names if checkpoints.state(name).state in ("present", "damaged")]
    troubles = {name: checkpoints.verify(name) for name in chosen}
    if json:
        print_json({"checkpoints": [{"name": name, "troubles": found} for name, found in troubles.items()]})
    else:
        for name, found in troubles.items():
            typer.echo(f"{name}: {'; '.join(found) or 'as it should be'}")
    if any(troubles.values()):
        raise typer.Exit(OperatorError.exit_code)


@app.command()
def ps(json: Json = False, project: ProjectFolder = None) -> None:
    """List the workers that are warm."""
    states = asyncio.run(sensorium.Project.find(project).worker_host.stats())
    if json:
        print_json({"workers": [asdict(state) for state in states]})
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("tool", "id", "pid", "device", "memory", "calls", "idle"):
        table.add_column(heading, overflow="fold")
    for state in states:
        memory, idle = _size(state.memory_bytes), f"{state.idle_s:.0f} s"
        table.add_row(state.tool, state.identity[:12], str(state.pid), state.device, memory, str(state.calls), idle)
    Console(highlight=False).print(table if states else "no worker is warm")


@app.command()
def stop(
    names: Annotated[list[str] | None, typer.Argument(help="Tools, or ids as `models ps` shows them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All workers.")] = False,
    json: Json = False,
    project: ProjectFolder = None,
) -> None:
    """End warm workers: those named, or with --all every one."""
    if bool(names) == every:
        raise CallerError("name the workers to stop, or give --all for every one; `sensorium models ps` shows them")
    stopped = asyncio.run(_stop(sensorium.Project.find(project).worker_host, names))
    if names and not stopped:
        raise CallerError(f"no warm worker is called {', '.join(names)}; `sensorium models ps` shows them")
    if json:
        print_json({"stopped": [asdict(state) for state in stopped]})
    else:
        typer.echo(f"{len(stopped)} stopped")


async def _stop(host: WorkerHost, names: list[str] | None) -> list[WorkerState]:
    if not names:
        return await host.stop()
    chosen = [state for state in await host.stats() if any(_is_meant(name, state) for name in names)]
    return [stopped for state in chosen for stopped in await host.stop(state.identity)]


def _is_meant(name: str, state: WorkerState) -> bool:
    return name == state.tool or (len(name) >= 4 and state.identity.startswith(name))
