"""A database by its URL or path."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from sensorium.database.contract import Database
from sensorium.database.sqlite import SqliteDatabase
from sensorium.errors import OperatorError

__all__ = ["import_for_postgres", "open_database"]

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_ACCEPTED = (
    "accepted are postgresql://USER:PASSWORD@HOST:PORT/NAME, with % for characters as %25 and @ as %40, and the path "
    "of an SQLite file"
)


def open_database(place: str | Path) -> Database:
    """A database that connects on its first use.

    Args:
        place: `postgresql://USER:PASSWORD@HOST:PORT/NAME`, or the path of an SQLite file.

    Raises:
        OperatorError: It is neither, or PostgreSQL is not installed here. Nothing of a URL but its scheme is told,
            since a password may stand anywhere in one that is wrong.
    """
    if isinstance(place, Path) or "://" not in place:
        return SqliteDatabase(Path(place).expanduser())
    scheme = _SCHEME.match(place)
    if scheme is None or scheme[1].lower() not in ("postgresql", "postgres"):
        named = f"a URL of {scheme[1]}://" if scheme else "no URL"
        raise OperatorError(f"the database that is named is {named}; {_ACCEPTED}")
    database: Database = import_for_postgres("sensorium.database.postgres").PostgresDatabase(place)
    return database


def import_for_postgres(module: str) -> Any:
    """A module that needs the extra `postgres`. Who keeps runs in a file neither has it nor waits for its import.

    Raises:
        OperatorError: What it needs is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise OperatorError(
            f"PostgreSQL cannot be used: {error}; install what it needs by pip install 'sensorium[postgres]'"
        ) from error
