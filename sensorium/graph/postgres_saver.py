"""LangGraph's checkpoints in PostgreSQL. `sensorium.graph.compile` imports it, and makes LangGraph strict first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import psycopg
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from sensorium.database.postgres import SESSION, PostgresDatabase, lock_number

__all__ = ["postgres_saver"]

_Connection: TypeAlias = AsyncConnection[DictRow]

_PAUSE_S = 0.02
_SETUP = lock_number("langgraph tables")


@asynccontextmanager
async def postgres_saver(database: PostgresDatabase, serde: SerializerProtocol) -> AsyncGenerator[AsyncPostgresSaver]:
    """A saver whose connection is closed before the loop is, even where opening or closing it is interrupted.

    Args:
        database: Where checkpoints are kept; their tables are made where they are absent.
        serde: How values become bytes.

    Raises:
        OperatorError: The database cannot be used, now or while the block runs.
    """
    opening = asyncio.ensure_future(_connect(database))
    try:
        connection = await asyncio.shield(opening)
        saver = AsyncPostgresSaver(connection, serde=serde)
        await _set_up(saver, connection)
        try:
            yield saver
        finally:
            await _quietly(asyncio.ensure_future(saver.lock.acquire()))
    except psycopg.Error as error:
        raise database.unusable(error) from error
    finally:
        await _quietly(asyncio.ensure_future(_close(opening)))


async def _connect(database: PostgresDatabase) -> _Connection:
    connection = await AsyncConnection[DictRow].connect(
        database.address.conninfo, autocommit=True, prepare_threshold=0, row_factory=dict_row
    )
    try:
        await connection.execute(SESSION, prepare=False)  # several statements
    except BaseException:
        await connection.close()
        raise
    return connection


async def _quietly(ending: asyncio.Future[Any]) -> None:
    """Waits for what has to end, and is interrupted only when it has."""
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await asyncio.wait([ending])
        raise


async def _close(opening: asyncio.Future[_Connection]) -> None:
    await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        await opening.result().close()


async def _set_up(saver: AsyncPostgresSaver, connection: _Connection) -> None:
    """Makes LangGraph's tables, one process at a time.

    Nobody waits in the server for the lock: it makes indexes concurrently, which waits for every statement under way.
    """
    while not await _is_ready(saver, connection):
        if not await _asked(connection, "SELECT pg_try_advisory_lock(%s) AS answer"):
            await asyncio.sleep(_PAUSE_S)
            continue
        try:
            await saver.setup()
        finally:
            await _asked(connection, "SELECT pg_advisory_unlock(%s) AS answer")


async def _is_ready(saver: AsyncPostgresSaver, connection: _Connection) -> bool:
    try:
        cursor = await connection.execute("SELECT max(v) AS newest FROM checkpoint_migrations")
    except psycopg.errors.UndefinedTable:
        return False
    row = await cursor.fetchone()
    return row is not None and row["newest"] is not None and row["newest"] >= len(saver.MIGRATIONS) - 1


async def _asked(connection: _Connection, question: str) -> bool:
    cursor = await connection.execute(question.encode(), (_SETUP,))
    row = await cursor.fetchone()
    return row is not None and bool(row["answer"])
