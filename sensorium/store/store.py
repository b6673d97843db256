"""Bytes under their digest: every picture, sound, mask and tensor lies here once, and parts refer to it.

A blob's name is the BLAKE3 digest of its bytes. A blob is there whole or not at all: it is written beside its place,
flushed to the disk, and moved in by one rename. What a store gave out or found is safe from collections while it is in
use: see `Store.in_use` and `sensorium.store.uses`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from sensorium.disk import sync
from sensorium.errors import OperatorError
from sensorium.parts import Blob
from sensorium.store.uses import Uses

__all__ = ["Store"]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PIECE_BYTES = 1 << 20
_PRIVATE = 0o700


class Store:
    """Content-addressed blobs under one directory. Safe to use from many threads and processes at once.

    Args:
        root: The directory; made, readable by its owner alone, when the first blob comes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uses = Uses(root)

    @contextlib.contextmanager
    def in_use(self) -> Generator[None]:
        """Keeps blobs that are put or held while the block runs from being collected before the block ends.

        What is put or held outside of any block stays as long as this object, or its process, lives.
        """
        with self.uses.scope():
            yield

    def hold(self, digest: str) -> bool:
        """Whether the blob is there; it then stays while the store is in use. Its bytes are not checked.

        Raises:
            OperatorError: The disk is full or cannot be written.
        """
        place = self._place(digest)
        try:
            self.uses.hold(digest)
        except OSError as error:
            raise self._no_room(error) from error
        return place.is_file()

    def put(self, data: bytes, media_type: str) -> Blob:
        """A reference to `data`, which is on the disk when this returns.

        Raises:
            OperatorError: The disk is full or cannot be written.
        """
        digest = blake3(data).hexdigest()
        if not (self.hold(digest) and self._holds(digest, len(data))):
            self._write(iter((data,)), lambda: digest)
        return Blob(digest, len(data), media_type, self)

    def put_file(self, path: Path, media_type: str) -> Blob:
        """A reference to a copy of a file's bytes; the file may be larger than memory.

        Raises:
            OperatorError: The disk is full or cannot be written, or the file cannot be read.
        """
        hasher = blake3()
        try:
            with path.open("rb") as source:
                digest = self._write(_hashed(source, hasher), hasher.hexdigest)
        except OSError as error:
            raise OperatorError(f"{path} cannot be read: {error.strerror or error}") from error
        return Blob(digest, self._place(digest).stat().st_size, media_type, self)

    def read(self, digest: str) -> bytes:
        """The bytes, checked against their digest.

        Bytes that are not what their name says are put aside, so that a run which needs them makes them again.

        Raises:
            OperatorError: They are not there, cannot be read, or are damaged.
        """
        place = self.path(digest)
        try:
            data = place.read_bytes()
        except OSError as error:
            raise OperatorError(f"blob {place} cannot be read: {error.strerror or error}") from error
        if blake3(data).hexdigest() == digest:
            return data
        aside = place.with_suffix(".damaged")
        with contextlib.suppress(OSError):
            place.replace(aside)
        raise OperatorError(
            f"blob {digest} in {self.root} is damaged: its bytes do not have this digest; it was put aside as "
            f"{aside.name}. Check the disk, then run again: what made the blob makes it anew"
        )

    def path(self, digest: str) -> Path:
        """The file that holds the bytes; it may be read, never written. Its bytes are not checked.

        Raises:
            OperatorError: The blob is not there.
        """
        place = self._place(digest)
        if not place.is_file():
            raise OperatorError(
                f"blob {digest} is missing from {self.root}; run again with its input: what made the blob makes it anew"
            )
        return place

    def _place(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise OperatorError(f"{digest[:80]!r} is not a blob's digest: 64 hexadecimal digits")
        return self.root / digest[:2] / digest

    def _holds(self, digest: str, size_bytes: int) -> bool:
        try:
            return self._place(digest).stat().st_size == size_bytes
        except OSError:
            return False

    def _write(self, pieces: Iterator[bytes], name: Callable[[], str]) -> str:
        """Writes a blob whose digest is known when its last piece was; returns the digest."""
        try:
            handle, lock, temporary = self._begin()
        except OSError as error:
            raise self._no_room(error) from error
        try:
            target = os.fdopen(handle, "wb")
            try:
                self._fill(target, pieces)
            finally:
                with contextlib.suppress(OSError):  # what a full disk did not take, it does not take now either
                    target.close()
            digest = name()
            self.hold(digest)
            self._move_in(Path(temporary), self._place(digest))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        finally:
            os.close(lock)
        return digest

    def _begin(self) -> tuple[int, int, str]:
        """A new file: its handle, one more that keeps it locked as long as somebody works on it, and its name."""
        self.root.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        with self.uses.gate():
            handle, temporary = tempfile.mkstemp(prefix=".new-", dir=self.root)
            fcntl.flock(handle, fcntl.LOCK_EX)
        return handle, os.dup(handle), temporary

    def _fill(self, target: BinaryIO, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            try:
                target.write(piece)
            except OSError as error:
                raise self._no_room(error) from error
        try:
            target.flush()
            os.fsync(target.fileno())
        except OSError as error:
            raise self._no_room(error) from error

    def _move_in(self, temporary: Path, place: Path) -> None:
        try:
            place.parent.mkdir(mode=_PRIVATE, exist_ok=True)
            temporary.replace(place)
            for directory in (place.parent, self.root):
                sync(directory)
        except OSError as error:
            raise self._no_room(error) from error

    def _no_room(self, error: OSError) -> OperatorError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return OperatorError(f"the disk that holds {self.root} is full; free some space or move SENSORIUM_HOME")
        return OperatorError(
            f"{self.root} cannot be written: {error.strerror or error}; give the right to write, or move SENSORIUM_HOME"
        )


def _hashed(source: BinaryIO, hasher: blake3) -> Iterator[bytes]:
    while piece := source.read(_PIECE_BYTES):
        hasher.update(piece)
        yield piece
