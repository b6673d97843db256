"""Standard streams that are closed, or that cannot be written."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Literal, TextIO

__all__ = ["TAKES_NO_MORE", "open_closed", "say", "silence"]

TAKES_NO_MORE = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""Numbers of errors by which a disk, or a device behind a stream, refuses what is written."""
_NUM_STANDARD = 3


def open_closed() -> None:
    """Has closed standard streams give and take nothing, so that no file opened later gets their numbers."""
    while (handle := os.open(os.devnull, os.O_RDWR)) < _NUM_STANDARD:
        os.set_inheritable(handle, True)
    os.close(handle)
    sys.stdin = sys.stdin or _stream(0, "r")
    sys.stdout = sys.stdout or _stream(1, "w")
    sys.stderr = sys.stderr or _stream(2, "w")


def _stream(handle: int, mode: Literal["r", "w"]) -> TextIO:
    return open(handle, mode, encoding="utf-8", closefd=False)


def say(message: str) -> None:
    """A line on standard error, if that can be written."""
    try:
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()
    except OSError:
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Has what the stream still holds go nowhere, since Python writes it once more when it ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)
    with contextlib.suppress(OSError):
        stream.flush()
