"""Files that a caller names."""

from __future__ import annotations

from pathlib import Path

from sensorium.errors import CallerError

__all__ = ["files_in", "read_file", "size_of"]


def size_of(path: Path, most_bytes: int) -> int:
    """Bytes of a regular file.

    Raises:
        CallerError: It is not there, is no regular file, is empty, or is larger than `most_bytes`.
    """
    try:
        if path.is_dir():
            raise CallerError("is a folder; give a file")
        if not path.exists():
            raise CallerError("is not there; give a file that is")
        if not path.is_file():
            raise CallerError("is no regular file; give one")
        size_bytes = path.stat().st_size
    except (OSError, ValueError) as error:
        raise CallerError(f"cannot be read ({error}); give a file that can be") from error
    if size_bytes == 0:
        raise CallerError("is empty (0 bytes); give a file with content")
    if size_bytes > most_bytes:
        raise CallerError(f"has {size_bytes:,} bytes; the most is {most_bytes:,}")
    return size_bytes


def read_file(path: Path, most_bytes: int) -> bytes:
    """The bytes of a regular file.

    Raises:
        CallerError: As `size_of`, or the file cannot be read.
    """
    size_of(path, most_bytes)
    try:
        with path.open("rb") as source:
            data = source.read(most_bytes + 1)
    except OSError as error:
        raise CallerError(f"cannot be read ({error.strerror or error}); give a file that can be") from error
    if len(data) > most_bytes:
        raise CallerError(f"has more than {most_bytes:,} bytes, which is the most")
    return data


def files_in(folder: Path, most: int) -> list[Path]:
    """The files of a folder in order of name, hidden ones left out.

    Raises:
        CallerError: It cannot be read, holds no file, or more than `most`.
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise CallerError(f"cannot be read ({error.strerror or error}); give a folder that can be") from error
    if not found:
        raise CallerError("holds no files; give a folder with at least one")
    if len(found) > most:
        raise CallerError(f"holds {len(found):,} files; the most is {most:,}")
    return found
