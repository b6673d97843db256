"""What a checkpoint's directory holds, written beside the files; and whether it still does."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sensorium.disk import sync

__all__ = ["FileRecord", "Record", "file_sha256"]

_NAME = ".sensorium.json"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file as it was when it was verified."""

    name: str
    """Path within the directory."""
    bytes: int
    sha256: str
    mtime_ns: int
    """Time of last change: equal size and time stand for equal bytes, so that nothing large is read to look."""


@dataclass(frozen=True, slots=True)
class Record:
    """All files of a checkpoint, those of its conversion too."""

    checkpoint: str
    digest: str
    files: tuple[FileRecord, ...]

    @classmethod
    def of(cls, checkpoint: str, digest: str, directory: Path, known: dict[str, str]) -> Record:
        """Describes a directory. A name in `known` has been verified; every other file is read and hashed."""
        paths = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != _NAME)
        return cls(checkpoint, digest, tuple(_describe(path, directory, known) for path in paths))

    @classmethod
    def read(cls, directory: Path) -> Record | None:
        """The record in a directory; None where there is none that can be read."""
        try:
            return msgspec.json.decode((directory / _NAME).read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError):
            return None

    def write(self, directory: Path) -> None:
        """Puts the record into the directory, whole or not at all."""
        partial = directory / f"{_NAME}.{os.getpid()}"
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1))
        sync(partial)
        partial.replace(directory / _NAME)

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return sum(file.bytes for file in self.files)

    def damage(self, directory: Path, *, full: bool = False) -> list[str]:
        """What is wrong with the files, one line each; empty when all are as recorded.

        A file whose size or time differs is read and hashed; with `full` every file is. Where only times differ (the
        home was copied), the record is brought up to date, so that the next look is cheap again.
        """
        found: list[str] = []
        times: dict[str, int] = {}
        for file in self.files:
            trouble = _trouble(file, directory / file.name, full=full)
            if trouble:
                found.append(trouble)
            else:
                times[file.name] = (directory / file.name).stat().st_mtime_ns
        if not found and any(times[file.name] != file.mtime_ns for file in self.files):
            self._with_times(times, directory)
        return found

    def _with_times(self, times: dict[str, int], directory: Path) -> None:
        files = tuple(FileRecord(file.name, file.bytes, file.sha256, times[file.name]) for file in self.files)
        try:
            Record(self.checkpoint, self.digest, files).write(directory)
        except OSError:
            return  # a home that cannot be written is still good to read


def _describe(path: Path, directory: Path, known: dict[str, str]) -> FileRecord:
    name, status = path.relative_to(directory).as_posix(), path.stat()
    return FileRecord(name, status.st_size, known.get(name) or file_sha256(path), status.st_mtime_ns)


def _trouble(file: FileRecord, path: Path, *, full: bool) -> str:
    try:
        status = path.stat()
        if status.st_size != file.bytes:
            return f"{file.name} has {status.st_size:,} bytes instead of {file.bytes:,}"
        if (full or status.st_mtime_ns != file.mtime_ns) and (found := file_sha256(path)) != file.sha256:
            return f"{file.name} has sha256 {found} instead of {file.sha256}"
    except FileNotFoundError:
        return f"{file.name} is missing"
    except OSError as error:
        return f"{file.name} cannot be read ({error.strerror})"
    return ""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
