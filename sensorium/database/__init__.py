"""Where results and runs are kept: an SQLite file, or a PostgreSQL database."""

from sensorium.database.contract import Database, Held, Row
from sensorium.database.opening import open_database
from sensorium.database.sqlite import SqliteDatabase

__all__ = ["Database", "Held", "Row", "SqliteDatabase", "open_database"]
