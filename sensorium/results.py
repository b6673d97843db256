"""Results of completed calls under their keys, on the disk before anybody uses them."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from weakref import WeakValueDictionary

from sensorium.errors import OperatorError

__all__ = ["Results", "make_database"]

_PATIENCE_S = 30.0
"""How long a write waits for another process to finish its own."""

_PAUSE_S = 0.005

_TABLE = """
CREATE TABLE IF NOT EXISTS results (
    key   TEXT NOT NULL,
    run   TEXT NOT NULL,
    node  TEXT NOT NULL,
    made  REAL NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (key, run)
)
"""
_PUT = "INSERT OR REPLACE INTO results (key, run, node, made, value) VALUES (?, ?, ?, ?, ?)"
_GET = "SELECT value FROM results WHERE key = ? ORDER BY rowid DESC LIMIT 1"
_GET_OF_RUN = "SELECT value FROM results WHERE key = ? AND run = ?"
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

Row = tuple[str, str, str, float, bytes]


def make_database(path: Path) -> None:
    """Makes an SQLite file with a write-ahead log, its owner's alone, unless it is there.

    SQLite does not wait for another process that is just turning the log on, so this does.

    Raises:
        sqlite3.Error: The file is no database, or cannot be written.
        OSError: Its directory cannot be made.
    """
    if _has_log(path):
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    end_s = time.monotonic() + _PATIENCE_S
    with contextlib.closing(sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None)) as connection:
        while not _has_log(path):
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > end_s:
                    raise
                time.sleep(_PAUSE_S)


def _has_log(path: Path) -> bool:
    """Source: the SQLite documentation, "Database File Format", section 1.3.3."""
    try:
        with path.open("rb") as file:
            return file.read(20)[18:20] == b"\2\2"
    except FileNotFoundError:
        return False


class Results:
    """Stored results in one SQLite file (write-ahead log, synchronous NORMAL). A result survives the process's end.

    Safe to use from many threads and processes at once. Failures have no place here: what is stored was completed.

    Args:
        path: The file; made, readable by its owner alone, on first use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._flights: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()

    def get(self, key: str, *, run: str | None = None) -> bytes | None:
        """The result under `key`, the newest where several runs made it; None where there is none.

        Args:
            key: Identity of the call.
            run: Only a result that this run made will do.

        Raises:
            OperatorError: The file cannot be read.
        """
        try:
            with self._lock:
                wanted = (_GET, (key,)) if run is None else (_GET_OF_RUN, (key, run))
                row = self._open().execute(*wanted).fetchone()
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error
        return None if row is None else bytes(row[0])

    def put(self, key: str, value: bytes, *, run: str, node: str) -> None:
        """Stores a completed call's result; it is on the disk when this returns.

        Raises:
            OperatorError: The disk is full or the file cannot be written.
        """
        row = (key, run, node, time.time(), value)
        if not self._put_at_once(row):
            self._put_patiently(row)

    async def keep(self, key: str, value: bytes, *, run: str, node: str) -> None:
        """`put` for a running event loop: where another process is writing, the loop goes on meanwhile."""
        row = (key, run, node, time.time(), value)
        if not self._put_at_once(row):
            await asyncio.to_thread(self._put_patiently, row)

    @contextlib.asynccontextmanager
    async def flight(self, key: str) -> AsyncGenerator[None]:
        """Holds a key, so that of equal calls at once in one event loop one runs and the others find its result."""
        place = (id(asyncio.get_running_loop()), key)
        lock = self._flights.get(place)
        if lock is None:
            lock = self._flights[place] = asyncio.Lock()
        async with lock:
            yield

    def close(self) -> None:
        """Lets go of the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _put_at_once(self, row: Row) -> bool:
        """Stores, unless somebody else is writing just now."""
        try:
            with self._lock:
                self._open().execute(_PUT, row)
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF in _BUSY:
                return False
            raise self._unusable(error) from error
        return True

    def _put_patiently(self, row: Row) -> None:
        try:
            with contextlib.closing(self._connect(_PATIENCE_S)) as connection:
                connection.execute(_PUT, row)
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect(0.0)
        return self._connection

    def _connect(self, patience_s: float) -> sqlite3.Connection:
        make_database(self.path)
        connection = sqlite3.connect(self.path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA busy_timeout = {int(patience_s * 1000)}")
        return connection

    def _unusable(self, error: Exception) -> OperatorError:
        return OperatorError(
            f"the results in {self.path} cannot be used: {error}; free the disk, give the right to write, or move "
            "SENSORIUM_HOME"
        )
