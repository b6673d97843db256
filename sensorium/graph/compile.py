"""A graph on LangGraph: one entrypoint, one task for each node, launched in one fixed order.

Each task waits for what its own node depends on, so none waits behind a barrier. Results lie in the result store before
a task ends; LangGraph carries their keys. A node that gave nothing raises, so that no checkpoint takes it for done.
This is the only file that knows LangGraph, but for `postgres_saver`, which keeps its checkpoints in PostgreSQL.
It takes half a second to import, so it is imported when a run begins.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias, cast

# LangGraph reads this once, on import: without it, a checkpoint's bytes could name any callable and have it called.
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"

import aiosqlite
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde import _msgpack
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.func import entrypoint, task  # pyright: ignore[reportMissingTypeStubs] - it has its types within
from langsmith import tracing_context  # pyright: ignore[reportUnknownVariableType] - of arguments not used here

from sensorium.database import Database, SqliteDatabase
from sensorium.database.opening import import_for_postgres
from sensorium.errors import OperatorError
from sensorium.graph.flow import Flow

__all__ = ["carry_out", "forget"]

_PATIENCE_S = 30.0
"""How long a write waits for another process to finish its own."""

Handle: TypeAlias = dict[str, str]
"""What a checkpoint holds of a node: how it ended, and the key of its outputs."""


class _GaveNothing(Exception):
    """A node failed, or something that it depends on did."""


async def carry_out(flow: Flow, database: Database) -> None:
    """Carries out every node of a run; how they ended stands in the flow.

    Cancelling cancels every call, and returns when they have ended.

    Args:
        flow: The run's top-level graph.
        database: Where checkpoints are kept.

    Raises:
        OperatorError: The database cannot be used, or LangGraph would read checkpoints unsafely.
    """
    _require_strict()
    bodies: set[asyncio.Task[Any]] = set()
    try:
        async with _saver(database) as saver:
            workflow = _compiled(flow, saver, bodies)
            with tracing_context(enabled=False):
                config: Any = {"configurable": {"thread_id": flow.context.run}}
                invocation = asyncio.ensure_future(workflow.ainvoke({"graph": flow.checked.source.spec.name}, config))
            await _until_ended(invocation, bodies)
    except (sqlite3.Error, OSError) as error:
        raise _cannot_keep(database, error) from error
    except OperatorError:
        raise
    except Exception as error:
        if bodies:
            raise
        raise OperatorError(
            f"what {database.place} holds of run {flow.context.run} cannot be read: it is damaged, or of another "
            "version; start a new run: calls that were completed are not made again"
        ) from error


async def forget(runs: Sequence[str], database: Database) -> None:
    """Removes the checkpoints of runs.

    Raises:
        OperatorError: The database cannot be written, or LangGraph would read checkpoints unsafely.
    """
    _require_strict()
    try:
        async with _saver(database) as saver:
            for run in runs:
                await saver.adelete_thread(run)
    except (sqlite3.Error, OSError) as error:
        raise _cannot_keep(database, error) from error


def _cannot_keep(database: Database, error: Exception) -> OperatorError:
    return OperatorError(
        f"runs cannot be kept in {database.place}: {error}; free the disk, give the right to write, or move "
        "SENSORIUM_HOME"
    )


async def _until_ended(invocation: asyncio.Future[Any], bodies: set[asyncio.Task[Any]]) -> None:
    try:
        await asyncio.wait([invocation])
    except asyncio.CancelledError:
        for body in list(bodies):  # LangGraph waits for tasks that are called from a task, and does not cancel them
            body.cancel()
        invocation.cancel()
        await asyncio.wait([invocation])
        raise
    invocation.result()


def _compiled(flow: Flow, saver: BaseCheckpointSaver[Any], bodies: set[asyncio.Task[Any]]) -> Any:
    declare: Any = task  # its overloads know no task that takes nothing
    tasks = {name: declare(name=name)(_body(flow, name, bodies)) for name in flow.checked.order}

    @entrypoint(checkpointer=saver)
    async def workflow(begun: Handle) -> dict[str, Handle]:
        launched: dict[str, asyncio.Future[Handle]] = {}
        for name, launch in tasks.items():
            launched[name] = launch()
            await asyncio.sleep(0)  # tasks are known by the order of their calls: each is called before the next
        await asyncio.wait(launched.values())
        return {name: future.result() for name, future in launched.items() if future.exception() is None}

    return cast("Any", workflow)


def _body(flow: Flow, name: str, bodies: set[asyncio.Task[Any]]) -> Callable[[], Coroutine[Any, Any, Handle]]:
    async def body() -> Handle:
        current = asyncio.current_task()
        assert current is not None, "a coroutine runs in a task"
        bodies.add(current)
        outcome = await flow.node(name)
        if not outcome.has_outputs:
            raise _GaveNothing(outcome.status)
        return {"status": outcome.status, "key": outcome.key}

    return body


def _saver(database: Database) -> AbstractAsyncContextManager[BaseCheckpointSaver[Any]]:
    if isinstance(database, SqliteDatabase):
        return _sqlite_saver(database, _PlainSerializer())
    module = import_for_postgres("sensorium.graph.postgres_saver")
    return cast(
        "AbstractAsyncContextManager[BaseCheckpointSaver[Any]]", module.postgres_saver(database, _PlainSerializer())
    )


@asynccontextmanager
async def _sqlite_saver(database: SqliteDatabase, serde: JsonPlusSerializer) -> AsyncGenerator[AsyncSqliteSaver]:
    """A saver whose connection is closed before the loop is, even where opening or closing it is interrupted."""
    path = database.beside("langgraph.sqlite")
    opening = asyncio.ensure_future(_open(path, serde))
    try:
        saver = await asyncio.shield(opening)
        await saver.setup()
        await saver.conn.execute("PRAGMA synchronous = NORMAL")
        yield saver
    finally:
        closing = asyncio.ensure_future(_close(opening))
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await asyncio.wait([closing])
            raise


async def _open(path: Path, serde: JsonPlusSerializer) -> AsyncSqliteSaver:
    connection = await aiosqlite.connect(path, timeout=_PATIENCE_S)
    return AsyncSqliteSaver(connection, serde=serde)


async def _close(opening: asyncio.Future[AsyncSqliteSaver]) -> None:
    """LangGraph writes how a task ended after the run has; a connection closed meanwhile keeps the file locked."""
    saver = await opening
    async with saver.lock:
        await saver.conn.rollback()
        await saver.conn.close()


class _PlainSerializer(JsonPlusSerializer):
    """Reads plain data alone. LangGraph's own reads round what it blocks; here it is damage, and ends the run."""

    def __init__(self) -> None:
        super().__init__(allowed_msgpack_modules=None, __unpack_ext_hook__=_refuse)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        if data[0] not in ("null", "msgpack"):
            raise ValueError(f"a checkpoint holds no {data[0]}")
        return super().loads_typed(data)


def _refuse(kind: int, data: bytes) -> Any:
    raise ValueError("a checkpoint names no types and callables")


def _require_strict() -> None:
    """Refuses to go on where LangGraph was imported before this file, and unsafely.

    Raises:
        OperatorError: It was.
    """
    if not _msgpack.STRICT_MSGPACK_ENABLED:
        raise OperatorError(
            "LangGraph was imported without LANGGRAPH_STRICT_MSGPACK=true and would call whatever a checkpoint names; "
            "set it in the environment, or import sensorium.graph.compile first"
        )
