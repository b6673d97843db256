"""`sensorium list`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import sensorium
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
        print_json(rows)
    else:
        for name, entries in rows.items():
            _print(name, entries)
    for fault in door.faults:
        typer.echo(f"left out: {fault}", err=True)


def _rows(door: sensorium.Project, kind: Kind) -> list[dict[str, object]]:
    entries = getattr(door.catalogue, kind.value)
    rows: list[dict[str, object]] = []
    for name, entry in sorted(entries.items()):
        if name.startswith("box/"):
            continue
        signature = entry.signature if kind is Kind.graphs else entry.spec.signature
        rows.append(
            {
                "name": name,
                "about": entry.spec.about,
                "origin": entry.origin,
                "inputs": _ports(signature.inputs),
                "outputs": _ports(signature.outputs),
            }
        )
    return rows


def _ports(ports: dict[str, PortType]) -> dict[str, str]:
    return {name: str(kind) for name, kind in ports.items()}


def _print(title: str, rows: list[dict[str, object]]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("name", style="cyan", no_wrap=True)  # whole, to be copied
    for heading in ("takes", "gives", "about"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(str(row["name"]), _signature(row["inputs"]), _signature(row["outputs"]), str(row["about"]))
    console = Console(markup=False, highlight=False)
    console.print(table)
    console.print()


def _signature(ports: object) -> str:
    return "\n".join(f"{name}: {kind}" for name, kind in ports.items()) if isinstance(ports, dict) else ""
