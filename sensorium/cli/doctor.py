"""`sensorium doctor`."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import sensorium
from sensorium.cli.options import Json, ProfileName, ProjectFolder
from sensorium.cli.print_json import print_json
from sensorium.errors import OperatorError

__all__ = ["doctor"]

_MARKS = {"good": "[green]ok[/green]", "missing": "[red]missing[/red]"}


def doctor(json: Json = False, profile: ProfileName = None, project: ProjectFolder = None) -> None:
    """Say what is there and what is missing, and which command mends it. Exits with 5 if anything is missing."""
    findings = sensorium.examine(sensorium.Project.find(project, profile=profile))
    if json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for finding in findings:
            table.add_row(_MARKS[finding.state], escape(finding.what), escape(finding.says))
        Console(highlight=False).print(table)
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(OperatorError.exit_code)
