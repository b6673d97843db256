"""`sensorium check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import sensorium
from sensorium.cli.options import Json, ProjectFolder
from sensorium.cli.print_json import print_json
from sensorium.errors import AuthorError, Fault

__all__ = ["check"]


def check(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="Graph files; everything in the project where none.")
    ] = None,
    json: Json = False,
    project: ProjectFolder = None,
) -> None:
    """Say everything that is wrong with graph files, and exit with 2 if anything is. Loads no model, runs no code."""
    door = sensorium.Project.find(project)
    faults = list(door.faults)
    paths = files or door.graph_files
    for path in paths:
        faults = [fault for fault in faults if not _is_in(path, fault)] + [*_faults(door, path)]
    if json:
        print_json({"faults": [_record(fault) for fault in faults]})
    else:
        for fault in faults:
            typer.echo(str(fault))
        good = f"{_count(len(paths), 'graph')} checked"
        typer.echo(f"{good}, {_count(len(faults), 'fault')}" if faults else f"{good}, all right", err=True)
    if faults:
        raise typer.Exit(AuthorError.exit_code)


def _is_in(path: Path, fault: Fault) -> bool:
    """Whether a fault of the project is one of this file, which the file's own check tells again."""
    return bool(fault.path) and Path(fault.path).absolute() == path.absolute()


def _faults(door: sensorium.Project, path: Path) -> tuple[Fault, ...]:
    try:
        door.graph_file(path)
    except AuthorError as error:
        return error.faults
    return ()


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number != 1 else ''}"


def _record(fault: Fault) -> dict[str, object]:
    return {
        "path": fault.path,
        "line": fault.line,
        "column": fault.column,
        "found": fault.found,
        "right": fault.right,
    }
