"""`sensorium list`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

import sensorium
from sensorium.cli.blocks import print_block, print_pieces
from sensorium.cli.options import Json, ProjectFolder
from sensorium.cli.print_json import print_json
from sensorium.spec.ports import PortType

__all__ = ["list_"]


class Kind(StrEnum):
    """What can be listed."""

    tools = "tools"
    agents = "agents"
    graphs = "graphs"


def list_(
    kind: Annotated[Kind | None, typer.Argument(help="Only these.")] = None,
    json: Json = False,
    project: ProjectFolder = None,
) -> None:
    """List tools, agents and graphs of the project and of the box. Runs no project code."""
    door = sensorium.Project.find(project)
    kinds = [kind] if kind else list(Kind)
    rows = {wanted.value: _rows(door, wanted) for wanted in kinds}
    if json:
        print_json({name: [asdict(row) for row in entries] for name, entries in rows.items()})
    else:
        for name, entries in rows.items():
            _print(name, entries)
    for fault in door.faults:
        typer.echo(f"left out: {fault}", err=True)


@dataclass(frozen=True, slots=True)
class _Row:
    """An entry as the list shows it; the names of the fields are the keys of its JSON."""

    name: str
    about: str
    origin: str
    inputs: dict[str, str]
    outputs: dict[str, str]


def _rows(door: sensorium.Project, kind: Kind) -> list[_Row]:
    entries = getattr(door.catalogue, kind.value)
    rows: list[_Row] = []
    for name, entry in sorted(entries.items()):
        if not name.startswith("box/"):
            signature = entry.signature if kind is Kind.graphs else entry.spec.signature
            inputs, outputs = _ports(signature.inputs), _ports(signature.outputs)
            rows.append(_Row(name, entry.spec.about, entry.origin, inputs, outputs))
    return rows


def _ports(ports: dict[str, PortType]) -> dict[str, str]:
    return {name: str(kind) for name, kind in ports.items()}


def _print(title: str, rows: list[_Row]) -> None:
    console = Console(markup=False, highlight=False)
    console.print(title, style="bold")
    for row in rows:
        print_block(console, row.name, row.about)
        print_pieces(console, _pieces("takes", row.inputs))
        print_pieces(console, _pieces("gives", row.outputs))
    console.print()


def _pieces(verb: str, ports: dict[str, str]) -> list[str]:
    """Ports and their types; the verb stands before the first."""
    first, *rest = [f"{name}: {kind}" for name, kind in ports.items()] or ["nothing"]
    return [f"{verb} {first}", *rest]
