"""A PostgreSQL server as a database: a few connections, each statement a transaction of its own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import re
import select
import threading
from collections.abc import Generator, Sequence
from typing import Any, LiteralString, TypeAlias

import psycopg

from sensorium.database.contract import Held, Row
from sensorium.database.postgres_address import Address
from sensorium.database.values import require_text
from sensorium.errors import OperatorError

__all__ = ["SESSION", "PostgresDatabase", "lock_number"]

_Connection: TypeAlias = psycopg.Connection[Row]

_MOST_CONNECTIONS = 8
"""Most statements of one process at once."""

_TYPES = {
    "serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "bytes": "BYTEA",
    "real": "DOUBLE PRECISION",
}
_INTEGER = re.compile(r"\bINTEGER\b")
"""SQLite's holds 64 bits, PostgreSQL's 32."""

_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")
_IS_HELD = """
SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE datname = current_database() AND locktype = 'advisory' AND objsubid = 1 AND granted
AND (classid::bigint << 32) | objid::bigint = ?
"""
"""The server shows a lock's number in two halves."""

_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\?|%""")

SESSION = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
SET lock_timeout = '30s';
SET tcp_keepalives_idle = 30;
"""
"""What every connection begins with: what is changed is durable, nobody waits for ever, and a machine that vanished is
noticed by the server."""


class PostgresDatabase:
    """See `sensorium.database.contract.Database`.

    Args:
        url: `postgresql://USER:PASSWORD@HOST:PORT/NAME`.

    Raises:
        OperatorError: The URL is none.
    """

    def __init__(self, url: str) -> None:
        self.address = Address.parse(url)
        self._undone: list[str] = []
        self._tables: list[str] = []
        self._holds: dict[str, _Connection] = {}
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._gate = threading.BoundedSemaphore(_MOST_CONNECTIONS)

    @property
    def place(self) -> str:
        """The server's address without its password."""
        return self.address.place

    def define(self, tables: str) -> None:
        """Has tables made where they are absent."""
        with self._lock:
            self._undone.append(_INTEGER.sub("BIGINT", tables.format_map(_TYPES)))
            self._tables.extend(_TABLE.findall(tables))

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows that a statement gives."""
        require_text(values, self.place, nul=False)
        try:
            with self._gate, self._connection() as connection:
                self._make_tables(connection)
                cursor = connection.execute(_with_places(statement), tuple(values))
                return cursor.fetchall() if cursor.description is not None else []
        except psycopg.Error as error:
            raise self.unusable(error) from error

    async def aexecute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows that a statement gives; a thread waits for them."""
        return await asyncio.to_thread(self.execute, statement, values)

    @contextlib.contextmanager
    def hold(self, name: str) -> Generator[None]:
        """Holds a name: an advisory lock of a connection of its own, which ends with the process."""
        with contextlib.ExitStack() as held:
            try:
                connection = held.enter_context(contextlib.closing(self._connect()))
                row = connection.execute("SELECT pg_try_advisory_lock(%s)", (lock_number(name),)).fetchone()
            except psycopg.Error as error:
                raise self.unusable(error) from error
            if row != (True,):
                raise Held(name)
            held.callback(_let_go, connection, name)
            self._holds[name] = connection
            held.callback(self._holds.pop, name)
            yield

    def is_held(self, name: str) -> bool:
        """Whether somebody holds a name."""
        ((count,),) = self.execute(_IS_HELD, (lock_number(name),))
        return bool(count)

    def require_held(self, name: str) -> None:
        """Tells whoever holds a name in this process when the server let go of it."""
        connection = self._holds.get(name)
        if connection is not None and _is_ended(connection):
            raise OperatorError(
                f"{self.place} ended the connection that held {name} for this process, so that it may go on elsewhere; "
                "see what the server's log says of it, then run again"
            )

    def compact(self) -> None:
        """Makes the room of deleted rows free for new ones, which the server does later by itself; nobody waits."""
        for table in self._tables:
            self.execute(f"VACUUM {table}")

    def close(self) -> None:
        """Lets go of connections that nobody uses just now."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def unusable(self, error: psycopg.Error) -> OperatorError:
        """The error for whoever runs the server, with what would be right."""
        return self.address.unusable(error)

    @contextlib.contextmanager
    def _connection(self) -> Generator[_Connection]:
        connection = self._take() or self._connect()
        try:
            yield connection
        finally:
            if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                self._give_back(connection)
            else:
                connection.close()

    def _take(self) -> _Connection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not _is_ended(connection):
                return connection
            connection.close()

    def _give_back(self, connection: _Connection) -> None:
        with self._lock:
            self._idle.append(connection)

    def _connect(self) -> _Connection:
        connection = psycopg.connect(self.address.conninfo, autocommit=True)
        try:
            connection.execute(SESSION)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_tables(self, connection: _Connection) -> None:
        """Makes tables under a lock, since PostgreSQL lets two processes fail that make one at once."""
        if not self._undone:
            return
        with self._making:
            undone = tuple(self._undone)
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_number("sensorium tables"),))
                for tables in undone:
                    connection.execute(_trusted(tables))
            with self._lock:
                del self._undone[: len(undone)]


def lock_number(name: str) -> int:
    """A name's digest, as PostgreSQL wants the number of an advisory lock: 64 bits, signed."""
    return int.from_bytes(hashlib.sha256(f"sensorium {name}".encode()).digest()[:8], signed=True)


def _let_go(connection: _Connection, name: str) -> None:
    """Unlocks: closing alone would let the lock outlive the block by a moment. With a lost connection it is gone."""
    with contextlib.suppress(psycopg.Error):
        connection.execute("SELECT pg_advisory_unlock(%s)", (lock_number(name),))


def _is_ended(connection: _Connection) -> bool:
    """Whether the server ended a connection while nobody used it. What else it says unasked is no end."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if not poll.poll(0):
        return False
    try:
        connection.execute("SELECT 1")
    except psycopg.Error:
        return True
    return False


@functools.lru_cache(maxsize=256)
def _with_places(statement: str) -> LiteralString:
    """`?` as psycopg's `%s`; within quotes it stays, and `%` is doubled everywhere, as psycopg wants it."""
    return _trusted(_TOKEN.sub(lambda token: "%s" if token[0] == "?" else token[0].replace("%", "%%"), statement))


def _trusted(statement: str) -> LiteralString:
    """Statements are written in this package; psycopg's types ask for literals to tell them from input."""
    return statement  # type: ignore[return-value,unused-ignore]  # pyright: ignore[reportReturnType] - as said
