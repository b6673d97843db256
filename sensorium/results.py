"""Results of completed calls under their keys, on the disk before anybody uses them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from typing import NamedTuple
from weakref import WeakValueDictionary

from sensorium.database import Database, Held
from sensorium.errors import CallerError

__all__ = ["Results", "StoredResult"]

_TABLE = """
CREATE TABLE IF NOT EXISTS sensorium_results (
    number {serial},
    key    TEXT NOT NULL,
    run    TEXT NOT NULL,
    node   TEXT NOT NULL,
    made   {real} NOT NULL,
    value  {bytes} NOT NULL,
    UNIQUE (key, run)
);
CREATE INDEX IF NOT EXISTS sensorium_results_of_run ON sensorium_results (run)
"""
_PUT = """
INSERT INTO sensorium_results (key, run, node, made, value) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (key, run) DO UPDATE SET node = excluded.node, made = excluded.made, value = excluded.value
"""
_GET = "SELECT value FROM sensorium_results WHERE key = ? ORDER BY number DESC LIMIT 8"
_COUNT = "SELECT count(*) FROM sensorium_results"
_PAGE = "SELECT number, run, made, value FROM sensorium_results WHERE number > ? ORDER BY number LIMIT 500"
_DROP = "DELETE FROM sensorium_results WHERE run = ? RETURNING number"


class StoredResult(NamedTuple):
    """One result, as it is read with all others."""

    run: str
    """The run that made it."""
    made_s: float
    """When, in seconds since 1970."""
    value: bytes


class Results:
    """Stored results. A result survives the process's end. Safe to use from many threads and processes at once.

    Failures have no place here: what is stored was completed.

    Args:
        database: Where they lie.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._flights: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()
        database.define(_TABLE)

    async def find(self, key: str, *, runs: Sequence[str] | None = None) -> list[bytes]:
        """The results under `key`, one of each run that made it, the newest first, eight at most.

        Args:
            key: Identity of the call.
            runs: Only results that one of these made.

        Raises:
            OperatorError: The database cannot be read.
        """
        if runs is None:
            rows = await self._database.aexecute(_GET, (key,))
        else:
            places = ", ".join("?" * len(runs))
            statement = _GET.replace("ORDER BY", f"AND run IN ({places}) ORDER BY")
            rows = await self._database.aexecute(statement, (key, *runs))
        return [bytes(value) for (value,) in rows]

    async def keep(self, key: str, value: bytes, *, run: str, node: str) -> None:
        """Stores a completed call's result; it is on the disk when this returns.

        Raises:
            OperatorError: The disk is full or the database cannot be written. Or as `require_going_on`; the result is
                stored then.
        """
        await self._database.aexecute(_PUT, (key, run, node, time.time(), value))
        self.require_going_on(run)

    @contextlib.contextmanager
    def going_on(self, run: str) -> Generator[None]:
        """Has a run go on here alone while the block runs, and keeps its results from being dropped.

        Raises:
            CallerError: It goes on already, in this process or another.
            OperatorError: The database cannot be written.
        """
        with contextlib.ExitStack() as holds:
            try:
                holds.enter_context(self._database.hold(f"run {run}"))
            except Held as error:
                raise CallerError(
                    f"run {run} goes on already, here or in another process; wait until it ends"
                ) from error
            yield

    def is_going_on(self, run: str) -> bool:
        """Whether a run goes on just now, wherever.

        Raises:
            OperatorError: The database cannot be reached.
        """
        return self._database.is_held(f"run {run}")

    def require_going_on(self, run: str) -> None:
        """Keeps calls from being made in a run that goes on here, as far as this process knows, but not alone any more.

        Raises:
            OperatorError: The database let go of the run before its end.
        """
        self._database.require_held(f"run {run}")

    def read(self, see: Callable[[int, int], None]) -> Iterator[StoredResult]:
        """All results, the oldest first.

        Args:
            see: Is told how many were read, of how many.

        Raises:
            OperatorError: The database cannot be read.
        """
        ((total,),) = self._database.execute(_COUNT)
        done, last = 0, -1
        while rows := self._database.execute(_PAGE, (last,)):
            yield from (StoredResult(run, made_s, bytes(value)) for _, run, made_s, value in rows)
            last = rows[-1][0]
            done += len(rows)
            see(done, max(total, done))

    def drop(self, run: str) -> int:
        """Deletes what a run made; how many results that were. Whoever calls it has the run go on nowhere else.

        Raises:
            OperatorError: The database cannot be written.
        """
        return len(self._database.execute(_DROP, (run,)))

    def compact(self) -> None:
        """Makes room of what dropped results took, as the database does.

        Raises:
            OperatorError: The database cannot be written.
        """
        self._database.compact()

    @contextlib.asynccontextmanager
    async def flight(self, key: str) -> AsyncGenerator[None]:
        """Holds a key, so that of equal calls at once in one event loop one runs and the others find its result."""
        place = (id(asyncio.get_running_loop()), key)
        lock = self._flights.get(place)
        if lock is None:
            lock = self._flights[place] = asyncio.Lock()
        async with lock:
            yield
