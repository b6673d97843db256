"""What each run holds on to in the store, as its results and the book of runs tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sensorium.errors import CallerError
from sensorium.events import RunId
from sensorium.parts import blobs_of, decode_values
from sensorium.results import Results
from sensorium.runs import RunRecord, Runs

__all__ = ["Holding", "read_holdings"]


@dataclass(frozen=True, slots=True)
class Holding:
    """A run with everything that it refers to."""

    run: str
    ended_s: float | None
    """When it ended or made its last result, in seconds since 1970; None while it goes on or waits for a person, or
    where such a run was forked from it."""
    blobs: frozenset[str]
    """Digests of the media that it refers to."""


def read_holdings(results: Results, book: Runs, see: Callable[[int, int], None]) -> list[Holding]:
    """Every run that is kept, or of which results are.

    Args:
        results: What is kept of calls.
        book: What is kept of runs.
        see: Is told how many results were read, of how many.

    Raises:
        OperatorError: The database cannot be read.
    """
    ended_s: dict[str, float] = {}
    blobs: dict[str, set[str]] = {}
    for run, made_s, value in results.read(see):
        ended_s[run] = max(made_s, ended_s.get(run, made_s))
        blobs.setdefault(run, set()).update(_blobs_in(value))
    records = {record.run: record for record in book.read()}
    for record in records.values():
        ended_s[record.run] = max(record.began_s, record.ended_s or 0.0, ended_s.get(record.run, 0.0))
        for value in (record.inputs, *(() if record.end is None else (record.end.outputs,))):
            blobs.setdefault(record.run, set()).update(_blobs_in(value))
    for run, value in book.asked_values():
        blobs.setdefault(run, set()).update(_blobs_in(value))
    live = _live(results, records)
    return [
        Holding(run, None if run in live else when_s, frozenset(blobs.get(run, ()))) for run, when_s in ended_s.items()
    ]


def _live(results: Results, records: Mapping[RunId, RunRecord]) -> set[str]:
    """Runs that go on, or wait for a person, and those that they were forked from."""
    live: set[str] = set()
    for record in records.values():
        here: RunRecord | None = record
        if record.status == "paused" or (record.status == "running" and results.is_going_on(record.run)):
            while here is not None and here.run not in live:
                live.add(here.run)
                here = records.get(_parent(here) or RunId(""))
    return live


def _parent(record: RunRecord) -> RunId | None:
    with suppress(CallerError):
        return record.beginning().parent
    return None


def _blobs_in(values: bytes) -> Iterator[str]:
    """Digests of the media that `encode_values` wrote; none where the bytes are no values, which nobody can use."""
    try:
        decoded = decode_values(values, _Unread())
    except (msgspec.MsgspecError, ValueError, TypeError):
        return
    yield from (blob.digest for blob in blobs_of(decoded))


class _Unread:
    """The place of blobs whose bytes nobody asks for."""

    def read(self, digest: str) -> bytes:
        raise KeyError(digest)

    def path(self, digest: str) -> Path:
        raise KeyError(digest)
