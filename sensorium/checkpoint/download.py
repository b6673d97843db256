"""Brings one file from a place to the disk: resumes, counts, hashes while it writes, and trusts nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from sensorium.checkpoint.places import CHUNK_BYTES, CutOffError, Opened, Source, UnavailableError
from sensorium.disk import sync
from sensorium.spec.manifest import FileSpec

__all__ = ["WrongBytesError", "fetch"]

_FRUITLESS_TRIES = 3


class WrongBytesError(Exception):
    """A place gave other bytes than the manifest names."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found
        """What came, as a digest or a size."""


def fetch(source: Source, file: FileSpec, part: Path, on_bytes: Callable[[int], None]) -> None:
    """Fills `part` with the file's bytes; returns when their digest is right and they are on the disk.

    A `part` that is there already is gone on with. After an interruption it stays for the next time; wrong bytes don't.

    Args:
        source: The place to ask.
        file: Name, size and digest.
        part: Where the bytes go.
        on_bytes: Told the bytes that `part` holds, again and again.

    Raises:
        UnavailableError: The place does not give the file, or is cut off again and again without a byte coming.
        WrongBytesError: It gives other bytes.
        OSError: The disk is full, or `part` cannot be written.
    """
    fruitless = 0
    while True:
        before = _size(part)
        try:
            resumed, found = _stream(source, file, part, on_bytes)
        except CutOffError as error:
            fruitless = 0 if _size(part) > before else fruitless + 1
            if fruitless >= _FRUITLESS_TRIES:
                raise UnavailableError(f"the connection is cut again and again ({error})") from error
            continue
        if found == f"sha256 {file.sha256}":
            sync(part)
            return
        part.unlink()
        if not resumed:
            raise WrongBytesError(found)


def _stream(source: Source, file: FileSpec, part: Path, on_bytes: Callable[[int], None]) -> tuple[bool, str]:
    """Whether earlier bytes were gone on with, and what `part` holds now: a digest, or a size that is too large."""
    start = _size(part)
    if start > file.bytes:
        part.unlink()
        start = 0
    if start == file.bytes and start:
        return True, f"sha256 {_Count.of(part, start).sha256}"
    with source.open(file, start) as opened:
        return _write(opened, file, part, on_bytes)


def _write(opened: Opened, file: FileSpec, part: Path, on_bytes: Callable[[int], None]) -> tuple[bool, str]:
    resumed, count = opened.start > 0, _Count.of(part, opened.start)
    with part.open("r+b" if resumed else "wb") as target:
        target.seek(count.bytes)
        for chunk in opened.chunks:
            count.add(chunk)
            if count.bytes > file.bytes:
                return resumed, f"more than {file.bytes:,} bytes"
            target.write(chunk)
            on_bytes(count.bytes)
    short = f"{count.bytes:,} bytes instead of {file.bytes:,}, " if count.bytes < file.bytes else ""
    return resumed, f"{short}sha256 {count.sha256}"


class _Count:
    """Bytes seen so far."""

    def __init__(self) -> None:
        self.bytes = 0
        self._total = hashlib.sha256()

    @classmethod
    def of(cls, part: Path, size: int) -> _Count:
        """The first `size` bytes of a file."""
        count = cls()
        if size:
            with part.open("rb") as stream:
                while chunk := stream.read(min(CHUNK_BYTES, size - count.bytes)):
                    count.add(chunk)
        return count

    def add(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        self._total.update(chunk)

    @property
    def sha256(self) -> str:
        return self._total.hexdigest()


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0
