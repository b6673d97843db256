"""An SQLite file as a database: write-ahead log, synchronous NORMAL."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import sqlite3
import struct
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from sensorium.database.contract import Held, Row
from sensorium.database.values import require_text
from sensorium.errors import OperatorError

__all__ = ["SqliteDatabase", "make_database"]

_PATIENCE_S = 30.0
"""How long a write waits for another process to finish its own."""

_PAUSE_S = 0.005
_LOCK = "hhqqi4x"
"""`struct flock` of Linux: type, whence, start, length, process."""
_FREE_PARTS = 4
"""A file of which one part of so many is free is worth writing anew."""
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_TYPES = {"serial": "INTEGER PRIMARY KEY AUTOINCREMENT", "bytes": "BLOB", "real": "REAL"}


class SqliteDatabase:
    """See `sensorium.database.contract.Database`.

    Args:
        path: The file; made, readable by its owner alone, on first use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tables: list[str] = []
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._beside: dict[Path, sqlite3.Connection] = {}

    @property
    def place(self) -> str:
        """The file."""
        return str(self.path)

    def define(self, tables: str) -> None:
        """Has tables made where they are absent."""
        with self._lock:
            self._tables.append(tables.format_map(_TYPES))
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows that a statement gives."""
        require_text(values, self.place, nul=True)
        rows = self._at_once(statement, values)
        return self._patiently(statement, values) if rows is None else rows

    async def aexecute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows that a statement gives; only one that has to wait costs a thread."""
        require_text(values, self.place, nul=True)
        rows = self._at_once(statement, values)
        return await asyncio.to_thread(self._patiently, statement, values) if rows is None else rows

    @contextlib.contextmanager
    def hold(self, name: str) -> Generator[None]:
        """Holds a name: the byte of a lock file at the name's digest."""
        with self._lock_file() as handle:
            try:
                fcntl.fcntl(handle, fcntl.F_OFD_SETLK, _byte_of(name))
            except (BlockingIOError, PermissionError) as error:
                raise Held(name) from error
            yield

    def is_held(self, name: str) -> bool:
        """Whether somebody holds a name."""
        with self._lock_file() as handle:
            found = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, _byte_of(name))
        (kind, *_) = struct.unpack(_LOCK, found)
        return bool(kind != fcntl.F_UNLCK)

    def require_held(self, name: str) -> None:
        """Nothing: the kernel lets go of no name before its process does."""

    @contextlib.contextmanager
    def _lock_file(self) -> Generator[int]:
        lock = self.path.with_name(f"{self.path.name}.lock")
        try:
            lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            yield handle
        finally:
            os.close(handle)

    def compact(self) -> None:
        """Writes the file anew where a quarter of it is free; others wait meanwhile."""
        ((num_free,),) = self.execute("PRAGMA freelist_count")
        ((num_pages,),) = self.execute("PRAGMA page_count")
        if num_free * _FREE_PARTS >= num_pages:
            self.execute("VACUUM")
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def beside(self, name: str) -> Path:
        """Another file in the same directory, for whoever has tables of its own; made unless it is there.

        It is held open until this is closed: whoever closes a file as the last moves its whole log into it, and a run
        that ends would wait for the disk.

        Raises:
            sqlite3.Error: The file is no database, or cannot be written.
            OSError: Its directory cannot be made.
        """
        path = self.path.with_name(name)
        make_database(path)
        with self._lock:
            if path not in self._beside:
                self._beside[path] = sqlite3.connect(path, timeout=_PATIENCE_S, check_same_thread=False)
                self._beside[path].execute("SELECT count(*) FROM sqlite_master").fetchall()
        return path

    def close(self) -> None:
        """Lets go of the files."""
        with self._lock:
            for connection in (self._connection, *self._beside.values()):
                if connection is not None:
                    connection.close()
            self._connection = None
            self._beside.clear()

    def _at_once(self, statement: str, values: Sequence[Any]) -> list[Row] | None:
        """The rows; None where somebody else is writing just now."""
        try:
            with self._lock:
                if self._connection is None:
                    self._connection = self._connect(0.0)
                return self._connection.execute(statement, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF in _BUSY:
                return None
            raise self._unusable(error) from error

    def _patiently(self, statement: str, values: Sequence[Any]) -> list[Row]:
        try:
            with contextlib.closing(self._connect(_PATIENCE_S)) as connection:
                return connection.execute(statement, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error

    def _connect(self, patience_s: float) -> sqlite3.Connection:
        make_database(self.path)
        connection = sqlite3.connect(self.path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = NORMAL")
        for tables in self._tables:
            connection.executescript(tables)
        connection.execute(f"PRAGMA busy_timeout = {int(patience_s * 1000)}")
        return connection

    def _unusable(self, error: Exception) -> OperatorError:
        return OperatorError(
            f"{self.path} cannot be used: {error}; free the disk, give the right to write, or move SENSORIUM_HOME"
        )


def make_database(path: Path) -> None:
    """Makes an SQLite file with a write-ahead log, its owner's alone, unless it is there.

    The file is never opened here but by SQLite: closing it would drop the locks that this process holds on it, and
    another process would take the log away from under its writes. Source: SQLite, "How To Corrupt An SQLite Database
    File", section 2.2.

    Raises:
        sqlite3.Error: The file is no database, or cannot be written.
        OSError: Its directory cannot be made.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.closing(sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None)) as connection:
        _keep_log(connection)


def _keep_log(connection: sqlite3.Connection) -> None:
    """Turns the write-ahead log on. SQLite does not wait for another process that is just doing so, so this does."""
    end_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > end_s:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def _byte_of(name: str) -> bytes:
    """A lock of one byte of a file, for one opening of it alone: the kernel lets go when its process dies."""
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
    return struct.pack(_LOCK, fcntl.F_WRLCK, os.SEEK_SET, start, 1, 0)
