"""Results of completed calls under their keys, on the disk before anybody uses them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from weakref import WeakValueDictionary

from sensorium.database import Database

__all__ = ["Results"]

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
        """The results under `key`, one of each run that made it, the newest first.

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
            OperatorError: The disk is full or the database cannot be written.
        """
        await self._database.aexecute(_PUT, (key, run, node, time.time(), value))

    @contextlib.asynccontextmanager
    async def flight(self, key: str) -> AsyncGenerator[None]:
        """Holds a key, so that of equal calls at once in one event loop one runs and the others find its result."""
        place = (id(asyncio.get_running_loop()), key)
        lock = self._flights.get(place)
        if lock is None:
            lock = self._flights[place] = asyncio.Lock()
        async with lock:
            yield
