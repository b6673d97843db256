"""How a worker's process ends: with everything that its tool started."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

__all__ = ["end_process"]


def end_process(code: int) -> NoReturn:
    """Ends the process at once; neither threads nor processes that the tool left running keep it, or outlive it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    for pid in _family():
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    os._exit(code)


def _family() -> Iterator[int]:
    """The other processes of the group that this one leads."""
    own = os.getpid()
    if os.getpgrp() != own:
        return
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            group = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[2])
            if group == own != int(entry.name):
                yield int(entry.name)
