"""A file of lines that is only ever added to, by as many processes at once as there may be."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from sensorium.disk import sync
from sensorium.errors import CallerError

__all__ = ["Line", "LineFile"]

_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A link would lead elsewhere, and opening a pipe would wait for whoever opens its other end."""
_NOT_REGULAR = (errno.ELOOP, errno.EISDIR, errno.ENXIO)


class Line(NamedTuple):
    """One line, without its end."""

    number: int
    """Counted from 1."""
    data: bytes


class LineFile:
    """Whole lines, in the order in which they came. A line without its end was never written, and gives way.

    Every method raises `OSError` where the disk does not let it, and `CallerError` where the file is no regular one, or
    is no longer the one that was read or written before.

    Args:
        path: The file; made, its owner's alone, by the first `add`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode: int | None = None
        self._end = 0
        self._num_lines = 0

    def exists(self) -> bool:
        """Whether something of this name is there, a file or not."""
        return os.path.lexists(self.path)

    def news(self) -> list[Line]:
        """The lines that were not given before, by whomever they were added."""
        if self._inode is None and not self.exists():
            return []
        with self._held(os.O_RDONLY, fcntl.LOCK_SH) as file:
            file.seek(self._end)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        lines = data[:whole].split(b"\n")[:-1]  # a text may hold separators at which bytes.splitlines cuts
        given = [Line(number, line) for number, line in enumerate(lines, self._num_lines + 1)]
        self._end += whole
        self._num_lines += len(lines)
        return given

    def add(self, data: bytes, *, is_new: bool = False) -> None:
        """Adds lines, all of them or none; they are on the disk when this returns.

        Args:
            data: The lines, each with its end.
            is_new: Whether the file must hold none before.
        """
        is_first = not self.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._held(os.O_RDWR, fcntl.LOCK_EX) as file:
            file.seek(self._end)
            whole = self._end + file.read().rfind(b"\n") + 1
            if is_new and whole:
                raise CallerError(f"{self.path} is there already; go on with it, or take another name")
            _write(file, data, whole)
        if is_first:
            sync(self.path.parent)

    def remove(self) -> None:
        """Removes the file, or the link that stands in its place, when nobody is writing to it."""
        if self.path.is_symlink():
            self.path.unlink()
            return
        with self._held(os.O_RDONLY, fcntl.LOCK_EX):
            self.path.unlink()

    @contextmanager
    def _held(self, flags: int, lock: int) -> Generator[BinaryIO]:
        """The file under a lock; opened again where it was removed between opening and locking."""
        while True:
            with open(self._open(flags), "r+b" if flags & os.O_RDWR else "rb", buffering=0) as file:
                fcntl.flock(file, lock)
                if os.fstat(file.fileno()).st_nlink:
                    self._recognise(file)
                    yield file
                    return

    def _open(self, flags: int) -> int:
        may_make = flags & os.O_RDWR and self._inode is None
        try:
            handle = os.open(self.path, flags | _SAFELY | (os.O_CREAT if may_make else 0), 0o600)
        except FileNotFoundError as error:
            if self._inode is None:
                raise
            raise self._changed() from error
        except OSError as error:
            if error.errno in _NOT_REGULAR:
                raise self._not_regular() from error
            raise
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise self._not_regular()
        return handle

    def _recognise(self, file: BinaryIO) -> None:
        state = os.fstat(file.fileno())
        if self._inode not in (None, state.st_ino) or state.st_size < self._end:
            raise self._changed()
        if self._end and os.pread(file.fileno(), 1, self._end - 1) != b"\n":  # a new file may get an old one's inode
            raise self._changed()
        self._inode = state.st_ino

    def _changed(self) -> CallerError:
        return CallerError(f"{self.path} was removed or replaced meanwhile; keep what is here under another name")

    def _not_regular(self) -> CallerError:
        return CallerError(f"{self.path} is not a regular file; move it away, or take another name")


def _write(file: BinaryIO, data: bytes, whole: int) -> None:
    """Writes behind the last whole line. What a full disk took of the data is taken back."""
    file.truncate(whole)
    file.seek(whole)
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(whole)
        raise
