"""Where a PostgreSQL server is, and what its errors mean for whoever runs it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import conninfo

from sensorium.errors import OperatorError

__all__ = ["Address"]

_DEFAULTS = {
    "application_name": "sensorium",
    "client_encoding": "UTF8",
    "connect_timeout": "10",
    "keepalives_count": "3",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "tcp_user_timeout": "30000",
}
"""In seconds, the last in milliseconds: a server that does not answer is given up, and before it gives up this end."""

_PORTS = re.compile(r"[0-9]*(,[0-9]*)*")

_RIGHTS = (
    (r"password|authentication|28P01|28000|role .* does not exist", "give the right user and password in the URL"),
    (r"3D000|database .* does not exist", "make the database with createdb, or name one that is there"),
    (r"42501", "grant the user CREATE and USAGE on the schema, or let somebody who may make the tables run once"),
    (r"53100", "free the server's disk"),
    (r"53300|too many clients|remaining connection slots", "raise the server's max_connections, or end other clients"),
    (r"25006", "name the primary server, not one that only reads"),
    (r"55P03|57014", "find out who keeps the tables locked, then run again"),
    (r"^(?!08|57)[0-9A-Z]{5} ", "see what the server's log says of it"),
    (r"", "start the server, or name the one that runs in SENSORIUM_DATABASE or the profile's database"),
)
"""What would be right, by the error's code and text: a connection that does not come about has no code."""


@dataclass(frozen=True, slots=True)
class Address:
    """A server's address that was parsed."""

    place: str
    """For people, without the password."""
    conninfo: str = field(repr=False)
    """For psycopg, with the password."""

    @classmethod
    def parse(cls, url: str) -> Address:
        """The address that a URL names.

        Raises:
            OperatorError: It names none. Nothing of it is told: a password may stand anywhere in a URL that is wrong.
        """
        try:
            parts = conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            parts = {}
        if not parts or not _is_sound(parts):
            raise OperatorError(
                "the URL of the PostgreSQL database cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/NAME, "
                "and in user and password % as %25, @ as %40, / as %2F, : as %3A, ? as %3F, # as %23"
            )
        return cls(
            _place(parts),
            conninfo.make_conninfo(
                "", **{**_DEFAULTS, **{key: str(part) for key, part in parts.items() if part is not None}}
            ),
        )

    def unusable(self, error: psycopg.Error) -> OperatorError:
        """The error for whoever runs the server, with what would be right."""
        said = str(error).strip()
        known = f"{error.sqlstate or ''} {said}"
        right = next(right for pattern, right in _RIGHTS if re.search(pattern, known))
        return OperatorError(f"the database {self.place} cannot be used: {' '.join(said.split())}; {right}")


def _is_sound(parts: dict[str, Any]) -> bool:
    """Whether no part of a password was taken for host, port or name: they would be told."""
    told = (str(parts.get(key) or "") for key in ("user", "host", "dbname"))
    return not any("@" in text for text in told) and _PORTS.fullmatch(str(parts.get("port") or "")) is not None


def _place(parts: dict[str, Any]) -> str:
    user, host, port, name = (str(parts.get(key) or "") for key in ("user", "host", "port", "dbname"))
    return f"postgresql://{f'{user}@' if user else ''}{host}{f':{port}' if port else ''}/{name}"
