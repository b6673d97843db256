"""Places that checkpoints come from: what every place does, and the local directory."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sensorium.spec.manifest import FileSpec, PathPlace

__all__ = ["CHUNK_BYTES", "CutOffError", "Folder", "Opened", "Source", "UnavailableError"]

CHUNK_BYTES = 1 << 20
_ENV = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


class UnavailableError(Exception):
    """A place cannot give the file; the message says why. The next place is tried."""

    def __init__(self, message: str, *, is_known: bool = False) -> None:
        super().__init__(message)
        self.is_known = is_known
        """Whether it has been said of another file before: people need not read it again and again."""


class CutOffError(Exception):
    """The place stopped in the middle; the rest may be asked for."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that a place has begun to give."""

    start: int
    """Where the first chunk belongs, in bytes: what was asked for, or 0 when the place begins anew."""
    chunks: Iterator[bytes]
    """The bytes from there on. Raises CutOffError or UnavailableError."""


class Source(Protocol):
    """A place, ready to be asked. What it gives is not trusted: whoever asks counts and hashes."""

    @property
    def label(self) -> str:
        """How messages call the place."""
        ...

    @property
    def step(self) -> str:
        """What giving a file is called: download, unpack, copy."""
        ...

    def open(self, file: FileSpec, start: int) -> AbstractContextManager[Opened]:
        """The bytes of a file from `start` on, or from its beginning.

        Raises:
            UnavailableError: The place does not answer, or has no such file.
        """
        ...

    def reject(self) -> None:
        """What the place gave was wrong: nothing of it may be kept."""
        ...


class Folder:
    """A local directory that holds the files under their names.

    Args:
        place: The place as the manifest has it.
        base: Where a relative path begins.
    """

    step = "copy"

    def __init__(self, place: PathPlace, base: Path) -> None:
        self._place = place
        self._base = base
        self.label = f"path {place.path}"

    @contextmanager
    def open(self, file: FileSpec, start: int) -> Generator[Opened]:
        """The file's bytes from its beginning; copying again is cheap.

        Raises:
            UnavailableError: It is not there, or cannot be read.
        """
        path = self._base / Path(_ENV.sub(_variable, self._place.path)).expanduser() / file.name
        try:
            stream = path.open("rb")
        except OSError as error:
            raise UnavailableError(f"{path}: {error.strerror}") from error
        with stream:
            yield Opened(0, _read(stream.fileno(), path))

    def reject(self) -> None:
        """The directory is the user's: it stays."""


def _variable(match: re.Match[str]) -> str:
    value = os.environ.get(match[1])
    if not value:
        raise UnavailableError(f"the environment variable {match[1]} is not set")
    return value


def _read(descriptor: int, path: Path) -> Iterator[bytes]:
    try:
        while chunk := os.read(descriptor, CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise UnavailableError(f"{path}: {error.strerror}") from error
