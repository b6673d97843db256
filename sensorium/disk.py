"""The disk: what makes sure that it has what was written, and how much lies there."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["sync", "tree_bytes"]


def sync(path: Path) -> None:
    """Returns when the file or directory is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tree_bytes(folder: Path) -> int:
    """Bytes of the files below a folder, but for what is gone when it is looked at; 0 where there is no folder."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(where) / name).lstat().st_size
    return total
