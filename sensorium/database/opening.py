"""A database by its URL or path."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from sensorium.database.contract import Database
from sensorium.database.sqlite import SqliteDatabase
from sensorium.errors import OperatorError

__all__ = ["open_database"]

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
    return _open_postgres(place)


def _open_postgres(url: str) -> Database:
    try:
        # Only who has the extra has psycopg, and who keeps runs in SQLite need not wait for its import.
        module = importlib.import_module("sensorium.database.postgres")
    except ImportError as error:
        raise OperatorError(
            f"PostgreSQL cannot be used: {error}; install what it needs by pip install 'sensorium[postgres]'"
        ) from error
    database: Database = module.PostgresDatabase(url)
    return database
