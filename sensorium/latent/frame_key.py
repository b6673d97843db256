"""The key with which an installation seals its frames: `frames.key` in its home, 32 random bytes."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from sensorium.disk import sync
from sensorium.errors import OperatorError
from sensorium.latent.frame_lead import KEY_BYTES

__all__ = ["KEY_FILE", "frame_key"]

KEY_FILE = "frames.key"

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def frame_key(home: Path) -> bytes:
    """The key of an installation, made on first use; all who ask at once get the same one.

    Args:
        home: `SENSORIUM_HOME`; made where it is absent.

    Raises:
        OperatorError: The key's file has another length, is another's or open to others, or cannot be read or made.
    """
    path = home / KEY_FILE
    try:
        if not os.path.lexists(path):
            _make(path)
        return _read(path)
    except OSError as error:
        raise OperatorError(
            f"the key {path} cannot be had: {error.strerror or error}; look at the disk and its rights"
        ) from error


def _make(path: Path) -> None:
    """Puts a new key in its place whole, unless somebody else's is there by then."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=f"{KEY_FILE}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(beside, path)
    finally:
        os.unlink(beside)
    sync(path.parent)


def _read(path: Path) -> bytes:
    # O_NONBLOCK: opening a pipe that somebody put there must not wait for a writer.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise OperatorError(f"the key {path} is no file of yours; remove it, and a new one is made")
        if found.st_mode & _OTHERS:
            raise OperatorError(
                f"the key {path} has mode {stat.S_IMODE(found.st_mode):04o}, which lets others at it; remove it, and a "
                "new one is made, or set mode 0600 if nobody can have read it"
            )
        key = os.read(handle, KEY_BYTES + 1)
    finally:
        os.close(handle)
    if len(key) != KEY_BYTES:
        raise OperatorError(
            f"the key {path} has {found.st_size:,} bytes, a key {KEY_BYTES}; remove it, and a new one is made"
        )
    return key
