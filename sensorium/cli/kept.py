"""Runs that were kept, for people and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sensorium.cli.figures import print_figures
from sensorium.cli.values import words_of
from sensorium.parts import Value
from sensorium.project.kept import RunDetails, RunSummary, describe_values

__all__ = ["details_json", "print_details", "print_summaries", "summary_json"]

_STYLES = {"done": "green", "failed": "red", "refused": "yellow", "paused": "yellow", "interrupted": "red"}


def print_summaries(found: Sequence[RunSummary]) -> None:
    """A line for each run, and below them what is wrong with any."""
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "status", "began"):
        table.add_column(heading, no_wrap=True)  # ids whole, to be copied
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("graph", overflow="fold")
    for summary in found:
        status = f"[{_STYLES.get(summary.status, 'dim')}]{summary.status}[/]"
        note = " (fork)" if summary.parent else ""
        began = _clock(summary.began_s)
        table.add_row(escape(summary.run), status, began, _took(summary), escape(summary.graph) + note)
    Console(highlight=False, markup=True).print(table if found else "no run was kept")
    for summary in found:
        if summary.trouble is not None:
            typer.echo(summary.trouble)


def summary_json(summary: RunSummary) -> dict[str, Any]:
    """A run as JSON. Times are ISO 8601, in UTC; null where the book holds none that a calendar has."""
    return {
        "run": summary.run,
        "graph": summary.graph,
        "status": summary.status,
        "began": _iso(summary.began_s),
        "ended": None if summary.ended_s is None else _iso(summary.ended_s),
        "seconds": summary.seconds,
        "parent": summary.parent,
        "trouble": summary.trouble,
    }


def print_details(details: RunDetails) -> None:
    """Everything that is kept of a run."""
    summary, beginning = details.summary, details.record.beginning()
    typer.echo(f"run      {summary.run}")
    typer.echo(f"graph    {summary.graph}" + (f"  {beginning.path}" if beginning.path else ""))
    typer.echo(f"status   {summary.status}")
    typer.echo(f"began    {_clock(summary.began_s)}")
    if summary.ended_s is not None:
        typer.echo(f"ended    {_clock(summary.ended_s)}, its last attempt after {_took(summary)}")
    how = [f"profile {beginning.profile}"] if beginning.profile else []
    how += [f"seed {beginning.seed}"] if beginning.seed is not None else []
    how += ["fresh"] if beginning.fresh else []
    typer.echo(f"with     {', '.join([*how, f'Sensorium {beginning.version}'])}")
    if summary.parent is not None:
        typer.echo(f"fork of  {summary.parent}, again: {', '.join(beginning.forked)}")
    _print_values("inputs", details.inputs)
    if details.result is not None:
        _print_values("outputs", details.result.outputs)
        print_figures(details.result, on_output=True)
    for line in (*_questions(details), *_ways_on(details)):
        typer.echo(line)


def details_json(details: RunDetails) -> dict[str, Any]:
    """Everything that is kept of a run as JSON; media by their files in the store."""
    beginning, result = details.record.beginning(), details.result
    told = {} if result is None else result.to_json()
    return {
        **summary_json(details.summary),
        "path": beginning.path or None,
        "project": beginning.project,
        "profile": beginning.profile,
        "seed": beginning.seed,
        "fresh": beginning.fresh,
        "version": beginning.version,
        "forked": list(beginning.forked),
        "inputs": describe_values(details.inputs),
        "outputs": told.get("outputs", {}),
        "nodes": told.get("nodes", []),
        "error": told.get("error"),
        "questions": [
            {
                "node": question.node,
                "callee": question.callee,
                "inputs": describe_values(question.inputs),
                "asked": _iso(question.asked_s),
                "verdict": question.verdict,
                "why": question.why,
                "changed": describe_values(question.changed),
            }
            for question in details.questions
        ],
        "changes": list(details.changes),
    }


def _questions(details: RunDetails) -> Iterator[str]:
    for question in details.questions:
        yield f"asked    {question.node}: {question.callee} with"
        given = {name: value for name, value in question.inputs.items() if value is not None}
        yield from (_indented(f"{name}: {words_of(value)}") for name, value in given.items())
        yield from (_indented(f"{name}, changed to: {words_of(value)}") for name, value in question.changed.items())
        why = f": {question.why}" if question.why else ""
        yield f"         {question.verdict or 'nobody has answered'}{why}"


def _ways_on(details: RunDetails) -> Iterator[str]:
    yield from (f"changed  {change}; calls that this touches would be made anew" for change in details.changes)
    run = details.summary.run
    if details.summary.trouble is not None:
        yield f"trouble  {details.summary.trouble}"
        return
    if details.summary.status in ("failed", "interrupted", "cancelled"):
        yield f"go on    sensorium runs resume {run}"
    if details.summary.status == "paused":
        yield f"go on    sensorium runs resume {run} --approve (or --refuse)"


def _print_values(title: str, values: Mapping[str, Value]) -> None:
    typer.echo(title)
    for name, value in values.items():
        typer.echo(f"  {name}: {words_of(value)}")


def _took(summary: RunSummary) -> str:
    return "" if summary.seconds is None else f"{summary.seconds:.1f} s"


def _clock(seconds: float) -> str:
    moment = _moment(seconds)
    return "at no time" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")


def _iso(seconds: float) -> str | None:
    moment = _moment(seconds)
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _moment(seconds: float) -> datetime | None:
    """In local time; None where a clock said what no calendar has, or the book is damaged."""
    try:
        return datetime.fromtimestamp(seconds, tz=UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return None


def _indented(text: str) -> str:
    """Text of any number of lines, beside what it belongs to."""
    return textwrap.indent(text, " " * 11)
