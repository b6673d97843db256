"""A lock among processes: a file that one of them holds at a time, and that a process which dies lets go of."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Generator
from pathlib import Path

from sensorium.errors import OperatorError

__all__ = ["locked"]

_PAUSE_S = 0.01


@contextlib.contextmanager
def locked(path: Path, patience_s: float, trouble: str) -> Generator[None]:
    """Holds the lock while the block runs. Blocking.

    Args:
        path: The lock's file; made where it is absent.
        patience_s: How long to wait for whoever holds it.
        trouble: What to say when the wait was in vain.

    Raises:
        OperatorError: Another process held the lock all that time.
    """
    with path.open("ab") as lock:
        due = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > due:
                    raise OperatorError(trouble) from None
                time.sleep(_PAUSE_S)
        yield
