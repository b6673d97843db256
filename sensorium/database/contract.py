"""The contract of every database."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

__all__ = ["Database", "Held", "Row"]

Row: TypeAlias = tuple[Any, ...]


class Held(Exception):
    """Somebody else holds the name."""


class Database(Protocol):
    """Tables that outlive the process. Safe to use from many threads and processes at once.

    Statements are SQL with `?` for values. Each is a transaction of its own, and what it changed is durable when it
    returns.
    """

    @property
    def place(self) -> str:
        """For people: the file, or the server without a password."""
        ...

    def define(self, tables: str) -> None:
        """Has tables made where they are absent, before the first statement.

        Args:
            tables: `CREATE TABLE IF NOT EXISTS` and the like, parted by `;`. Types are TEXT, INTEGER of 64 bits, and,
                since names differ, `{serial}` (a number that grows with each row, the primary key), `{bytes}`,
                `{real}`.
        """
        ...

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows that a statement gives, none where it only changes. Waits while somebody else writes.

        Raises:
            CallerError: A text has half a character, or the character NUL where the database keeps none.
            OperatorError: The database cannot be reached, read or written. Whether a statement that was under way then
                has changed anything is not known.
        """
        ...

    async def aexecute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """`execute` for a running event loop, which goes on while a statement waits.

        Raises:
            CallerError: As `execute`.
            OperatorError: As `execute`.
        """
        ...

    def hold(self, name: str) -> AbstractContextManager[None]:
        """Holds a name while the block runs; a process that dies lets go of what it held.

        A server that ends the connection lets go too: `require_held` tells.

        Raises:
            Held: Somebody else holds it, in this process or another; nobody waits.
            OperatorError: The database cannot be reached or written.
        """
        ...

    def is_held(self, name: str) -> bool:
        """Whether somebody holds a name; asking disturbs nobody.

        Raises:
            OperatorError: The database cannot be reached.
        """
        ...

    def require_held(self, name: str) -> None:
        """Tells whoever holds a name in this process when the server let go of it. Costs no question to the server.

        Raises:
            OperatorError: It did, and somebody else may hold the name by now.
        """
        ...

    def compact(self) -> None:
        """Makes room of what deleted rows took: on the disk where the database is a file, for new rows on a server.

        Raises:
            OperatorError: The database cannot be reached or written.
        """
        ...

    def close(self) -> None:
        """Lets go of connections; the next use opens them again."""
        ...
