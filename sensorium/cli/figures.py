"""The figures of a run as a table: what each node took, called and moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sensorium.graph import NodeReport, Result

__all__ = ["print_figures"]

_GAP = 2
_LEAST_NAME = 12
_STYLES = {"done": "green", "failed": "red", "refused": "yellow", "paused": "yellow"}
_HEADING = ("node", "what", "status", "seconds", "calls (kept)", "bytes in → out")
_UNITS = ("B", "kB", "MB", "GB", "TB")


class _Row(NamedTuple):
    """The cells of one node."""

    node: str
    what: str
    status: str
    seconds: str
    calls: str
    bytes: str


def print_figures(result: Result, *, on_output: bool = False) -> None:
    """A line for each node, and under it what there is to say of why. A name that is too long goes on below.

    Args:
        result: What is shown.
        on_output: Whether on standard output, where the table is what was asked for; else on standard error.
    """
    console = Console(stderr=not on_output, highlight=False)
    rows = [_row(report) for report in result.nodes]
    total = _Row("run", result.graph, result.status, _seconds(result.seconds), _calls(_top_nodes(result)), "")
    widths = _widths([_Row(*_HEADING), *rows, total], console.width)
    console.print(_line(_Row(*_HEADING), widths, "bold"))
    for report, row in zip(result.nodes, rows, strict=True):
        console.print(_line(row, widths))
        for note in _notes(report):
            console.print(Padding(Text(note, style="dim"), (0, 0, 0, 4), expand=False))
    console.print(_line(total, widths, "bold"))


def _row(report: NodeReport) -> _Row:
    figures = report.figures
    moved = figures.bytes_in or figures.bytes_out
    return _Row(
        report.node,
        f"{report.kind} {report.callee}".strip(),
        report.status,
        _seconds(report.seconds) if report.status not in ("skipped", "cancelled") else "",
        _calls([report]),
        f"{_bytes(figures.bytes_in)} → {_bytes(figures.bytes_out)}" if moved else "",
    )


def _notes(report: NodeReport) -> Iterator[str]:
    if report.error is not None:
        yield f"{report.error.kind}: {report.error.message}"
    if report.why:
        yield f"its stand-in answered: {report.why}" if report.status == "done" else report.why
    for port, wire in report.crossed.items():
        size = f", {_bytes(wire.num_bytes)}" if wire.num_bytes else ""
        yield f"{port} crossed by the rung {wire.rung}{size}" + (f": {wire.why}" if wire.why else "")


def _line(row: _Row, widths: Sequence[int], style: str = "") -> Table:
    line = Table.grid(padding=(0, _GAP, 0, 0))
    for index, width in enumerate(widths):
        line.add_column(width=width, overflow="fold", justify="right" if index in (3, 4, 5) else "left")
    cells = [Text(cell, style=style) for cell in row]
    if not style:
        cells[1].stylize("dim")
        cells[2].stylize(_STYLES.get(row.status, "dim"))
    line.add_row(*cells)
    return line


def _widths(rows: Sequence[_Row], room: int) -> list[int]:
    """Of each column. Figures have what they need; node and what share the rest."""
    wanted = [max(cell_len(row[index]) for row in rows) for index in range(len(_HEADING))]
    rest = max(room - sum(wanted[2:]) - _GAP * len(wanted), 2 * _LEAST_NAME)
    node = min(wanted[0], max(rest - wanted[1], rest // 2))
    return [node, min(wanted[1], rest - node), *wanted[2:]]


def _top_nodes(result: Result) -> list[NodeReport]:
    """Those that lie in no other: they count what lies in them."""
    return [report for report in result.nodes if "/" not in report.node]


def _calls(reports: Sequence[NodeReport]) -> str:
    calls, kept = sum(one.figures.calls for one in reports), sum(one.figures.kept for one in reports)
    return f"{calls} ({kept})" if calls else ""


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds < 100 else f"{seconds:.0f}"


def _bytes(number: float) -> str:
    """Three digits at most, in powers of 1000."""
    unit = 0
    while number >= 999.5 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.1f} {_UNITS[unit]}" if unit and number < 9.95 else f"{number:.0f} {_UNITS[unit]}"
