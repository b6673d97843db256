"""What is seen of a run from outside: the log that its calls append to, and what its databases hold."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sensorium.parts import Data, Text, decode_values
from sensorium.store import Store

__all__ = ["Outside", "Seen", "repeated"]


class Seen(NamedTuple):
    """What was completed at one moment, and how far the log was then."""

    completed: frozenset[str]
    """Marks of the calls whose results are in the database."""
    lines: int
    """Lines of the log that were there after the database was read."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Where the calls of one run are written down.

    Args:
        folder: An empty folder.
    """

    folder: Path

    @property
    def log(self) -> Path:
        """`begin MARK`, `end MARK` and `fail MARK`, a line each, in the order of their writing."""
        return self.folder / "calls.log"

    @property
    def bell(self) -> Path:
        """A named pipe that gets a byte for each line of the log and each event of the run."""
        return self.folder / "bell"

    def ring(self) -> None:
        """Gives the bell a byte."""
        handle = os.open(self.bell, os.O_WRONLY | os.O_NONBLOCK)
        os.write(handle, b".")
        os.close(handle)

    def note(self, what: str, mark: str) -> None:
        """Appends a line to the log by one write, and rings."""
        handle = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, f"{what} {mark}\n".encode())
        os.close(handle)
        self.ring()

    def lines(self) -> list[str]:
        """The lines that were written whole."""
        return self.log.read_text(encoding="utf-8").split("\n")[:-1] if self.log.exists() else []

    def marks(self, what: str) -> list[str]:
        """Marks of the calls that began, or that ended, in order."""
        return [mark for begun, mark in _split(self.lines()) if begun == what]

    def look(self, database: Path) -> Seen:
        """What is completed now.

        A model's replies do not say what was asked. They are kept one after another, so the first of what was asked
        are those that were answered.

        Args:
            database: The file that results are kept in.
        """
        marks: set[str] = set()
        replies = 0
        for value in _results(database):
            outputs = decode_values(value, Store(database.parent / "store"))
            mark = outputs.get("mark")
            if isinstance(mark, Text):
                marks.add(mark.value)
            replies += isinstance(outputs.get("reply"), Data)
        asked = list(dict.fromkeys(mark for mark in self.marks("begin") if mark.startswith("ask ")))
        return Seen(frozenset(marks.union(asked[:replies])), len(self.lines()))


def repeated(lines: list[str], seen: Iterable[Seen]) -> list[str]:
    """Marks of the calls that began although they were completed before, once for each time."""
    begun = [mark if what == "begin" else "" for what, mark in _split(lines)]
    again = {index for one in seen for index in range(one.lines, len(lines)) if begun[index] in one.completed}
    return [begun[index] for index in sorted(again)]


def _split(lines: Iterable[str]) -> list[tuple[str, str]]:
    return [(what, mark) for what, _, mark in (line.partition(" ") for line in lines)]


def _results(database: Path) -> list[bytes]:
    if not database.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        try:
            return [
                bytes(value) for (value,) in connection.execute("SELECT value FROM sensorium_results ORDER BY number")
            ]
        except sqlite3.OperationalError:
            return []  # killed before its tables were made
