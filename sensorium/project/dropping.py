"""Runs that are forgotten, with the results that they made."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import ExitStack

from sensorium.database import Database
from sensorium.errors import CallerError
from sensorium.events import RunId
from sensorium.graph.edge import carry_out_here
from sensorium.project.project import Project
from sensorium.results import Results
from sensorium.runs import Runs

__all__ = ["drop_runs", "remove_runs"]

_AT_ONCE = 100
"""Most runs that are held at once; each takes a file."""


def drop_runs(database: Database, results: Results, book: Runs, runs: Sequence[str]) -> dict[RunId, int]:
    """Forgets runs, but for those that go on; how many results of each that were.

    Args:
        database: Where they lie.
        results: What is kept of calls.
        book: What is kept of runs.
        runs: Their ids.

    Raises:
        OperatorError: The database cannot be written.
    """
    dropped: dict[RunId, int] = {}
    for begin in range(0, len(runs), _AT_ONCE):
        with ExitStack() as holds:
            held = [run for run in runs[begin : begin + _AT_ONCE] if _has_hold(results, run, holds)]
            if held:
                # LangGraph takes half a second to import, which whoever drops nothing need not wait for.
                carry_out_here(importlib.import_module("sensorium.graph.compile").forget(held, database))
            for run in held:
                dropped[RunId(run)] = results.drop(run)
                book.drop(run)
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


def _has_hold(results: Results, run: str, holds: ExitStack) -> bool:
    """Whether the run goes on nowhere else while `holds` lasts."""
    try:
        holds.enter_context(results.going_on(run))
    except CallerError:
        return False
    return True
