"""A door that a tool waits at until the test opens it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["Door", "door"]


class Door:
    """A named pipe. `open(path).close()` waits while the door is shut, and passes from when it is opened on."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._handle: int | None = None

    def open(self) -> None:
        """Lets everybody pass who waits or comes later. Never blocks."""
        if self._handle is None:
            self._handle = os.open(self.path, os.O_RDWR)  # both ends, so that nobody has to be there yet

    def shut(self) -> None:
        """Closes the pipe; who comes now waits."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    """A door that is shut; whoever still waits passes when the test is over."""
    made = Door(tmp_path / "door")
    yield made
    made.open()
    made.shut()
