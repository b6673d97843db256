"""A PostgreSQL server of the tests' own, on a socket in a directory that nobody else sees."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

__all__ = ["PostgresServer", "find_binaries"]

_PASSWORD = "pass:word"


def find_binaries() -> Path | None:
    """The directory of initdb and pg_ctl: on the path, or where Debian has the newest."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    known = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(known, key=lambda path: float(path.parents[1].name), default=None)
    return None if newest is None else newest.parent


class PostgresServer:
    """Made with its directory, started and stopped by hand. It refuses root, and runs as `postgres` then.

    A guard stops it when the tests' process ends, however that ends: it waits at a pipe whose other end is there alone.
    """

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="sensorium-postgres-"))
        self._as = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        self._num_databases = 0
        password = self._folder / "password"
        password.write_text(_PASSWORD)
        if self._as:
            shutil.chown(self._folder, "postgres")
            shutil.chown(password, "postgres")
        self._call("initdb", "-U", "tester", "-A", "scram-sha-256", "-E", "UTF8", f"--pwfile={password}", "--no-sync")
        self._guard = subprocess.Popen(
            ["sh", "-c", 'cat >/dev/null; "$@"', "sh", *self._command("pg_ctl", "-w", "-m", "immediate", "stop")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )

    def start(self) -> None:
        """Starts the server, and waits until it answers."""
        options = f"-k {self._folder} -c listen_addresses='' -F"
        self._call("pg_ctl", "-w", "-t", "60", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stops the server at once: statements under way fail."""
        self._call("pg_ctl", "-w", "-t", "60", "-m", "immediate", "stop")

    def remove(self) -> None:
        """Has the guard stop the server where it runs, and frees its directory."""
        self._guard.communicate()
        shutil.rmtree(self._folder)

    def new_database(self) -> str:
        """The URL of a database without tables."""
        self._num_databases += 1
        name = f"test{self._num_databases}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._url(name)

    def as_stranger(self, url: str) -> str:
        """The URL of the same database for a user who may connect and nothing else."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DO $$ BEGIN CREATE ROLE stranger LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
            connection.execute(sql.SQL("ALTER ROLE stranger PASSWORD {}").format(_PASSWORD))
        return url.replace("//tester:", "//stranger:")

    def _url(self, name: str) -> str:
        return f"postgresql://tester:{_PASSWORD.replace(':', '%3A')}@/{name}?host={self._folder}"

    def _call(self, program: str, *arguments: str) -> None:
        command = self._command(program, *arguments)
        subprocess.run(
            command, check=True, timeout=90, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [*self._as, str(self._binaries / program), "-D", str(self._folder / "data"), *arguments]
