"""Runs that are forgotten, with the results that they made."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import suppress

from sensorium.database import Database
from sensorium.errors import CallerError
from sensorium.events import RunId
from sensorium.graph.edge import carry_out_here
from sensorium.project.project import Project
from sensorium.results import Results
from sensorium.runs import Runs

__all__ = ["drop_runs", "remove_runs"]


def drop_runs(database: Database, results: Results, book: Runs, runs: Sequence[str]) -> dict[RunId, int]:
    """Forgets runs, but for those that go on; how many results of each that were.

    Raises:
        OperatorError: The database cannot be written.
    """
    dropped = dict(_dropped(results, book, runs))
    if dropped:
        # LangGraph takes half a second to import, which whoever drops nothing need not wait for.
        carry_out_here(importlib.import_module("sensorium.graph.compile").forget(list(dropped), database))
    return dropped


def remove_runs(door: Project, names: Sequence[str]) -> dict[RunId, int]:
    """Forgets runs that are named; how many results of each went.

    Raises:
        CallerError: One of them is not there, or goes on; nothing was removed.
        OperatorError: The database cannot be written.
    """
    runs = list(dict.fromkeys(door.runs.require(name).run for name in names))
    for run in runs:
        if door.results.is_going_on(run):
            raise CallerError(f"run {run} goes on; wait until it ends, or stop it; nothing was removed")
    return drop_runs(door.database, door.results, door.runs, runs)


def _dropped(results: Results, book: Runs, runs: Sequence[str]) -> Iterator[tuple[RunId, int]]:
    for run in runs:
        with suppress(CallerError), results.going_on(run):
            count = results.drop(run)
            book.drop(run)
            yield RunId(run), count
