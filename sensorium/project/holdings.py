"""What each run holds on to in the store, read from the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sensorium.database import Database, Row
from sensorium.graph.tally import blobs_of
from sensorium.parts import decode_values

__all__ = ["Holding", "KeptRun", "blobs_in", "drop_runs", "kept_runs", "read_holdings"]

_PAGE = "SELECT number, run, made, value FROM sensorium_results WHERE number > ? ORDER BY number LIMIT 500"


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run as it is recorded apart from its results."""

    ended_s: float | None
    """When it ended, in seconds since 1970; None while it goes on or waits for a person."""
    blobs: frozenset[str]
    """Digests of the media that its record refers to."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A run with everything that it refers to."""

    run: str
    ended_s: float | None
    """When it ended, or made its last result where nothing else is known; None while it goes on or waits."""
    results: frozenset[str]
    """Digests of the media that its results refer to."""
    own: frozenset[str]
    """Digests of the media that its record refers to."""

    @property
    def blobs(self) -> frozenset[str]:
        """All of them."""
        return self.results | self.own


def kept_runs(database: Database) -> Mapping[str, KeptRun]:
    """Runs that are recorded apart from their results, by id."""
    return {}


def read_holdings(database: Database, see: Callable[[int, int], None]) -> list[Holding]:
    """Every run of which something is kept.

    Args:
        database: With the table of results.
        see: Is told how many results were read, of how many.

    Raises:
        OperatorError: The database cannot be read.
    """
    ended: dict[str, float] = {}
    results: dict[str, set[str]] = {}
    for _, run, made, value in _results(database, see):
        ended[run] = max(made, ended.get(run, made))
        results.setdefault(run, set()).update(blobs_in(bytes(value)))
    runs = kept_runs(database)
    return [
        Holding(
            run,
            runs[run].ended_s if run in runs else ended[run],
            frozenset(results.get(run, ())),
            runs[run].blobs if run in runs else frozenset(),
        )
        for run in {**results, **runs}
    ]


def drop_runs(database: Database, runs: Sequence[str]) -> int:
    """Deletes what is kept of runs; how many results that were.

    Raises:
        OperatorError: The database cannot be written.
    """
    return sum(_drop(database, some) for some in _parted(runs))


def blobs_in(values: bytes) -> Iterator[str]:
    """Digests of the media that `encode_values` wrote; none where the bytes are no values, which nobody can use."""
    try:
        decoded = decode_values(values, _Unread())
    except (msgspec.MsgspecError, ValueError, TypeError):
        return
    yield from (blob.digest for blob in blobs_of(decoded))


def _drop(database: Database, runs: Sequence[str]) -> int:
    places = ", ".join("?" * len(runs))
    return len(database.execute(f"DELETE FROM sensorium_results WHERE run IN ({places}) RETURNING number", runs))


def _parted(runs: Sequence[str]) -> Iterator[Sequence[str]]:
    return (runs[start : start + 500] for start in range(0, len(runs), 500))


def _results(database: Database, see: Callable[[int, int], None]) -> Iterator[Row]:
    ((total,),) = database.execute("SELECT count(*) FROM sensorium_results")
    done, last = 0, -1
    while rows := database.execute(_PAGE, (last,)):
        yield from rows
        last = rows[-1][0]
        done += len(rows)
        see(done, max(total, done))


class _Unread:
    """The place of blobs whose bytes nobody asks for."""

    def read(self, digest: str) -> bytes:
        raise KeyError(digest)

    def path(self, digest: str) -> Path:
        raise KeyError(digest)
