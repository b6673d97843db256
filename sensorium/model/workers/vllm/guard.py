"""`python guard.py COMMAND ...`: runs a command that ends when whoever holds this process's standard input is gone.

A server of vLLM is several processes, which outlive the one that started them. They end in order, so that none leaves
its shared memory behind, however the holder ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

PATIENCE_S = 8.0
"""How long the command may take to end by itself."""
_PDEATHSIG = 1


def main() -> None:
    """Ends as the command does, and everything that it started with it."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=_end_with_guard)
    threading.Thread(target=_end_when_forsaken, args=(child,), daemon=True).start()
    code = child.wait()
    _end_rest()
    os._exit(code if code >= 0 else 128 - code)


def _end_with_guard() -> None:
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM)


def _end_when_forsaken(child: subprocess.Popen[bytes]) -> None:
    sys.stdin.buffer.read()
    child.terminate()
    try:
        child.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()


def _end_rest() -> None:
    """Kills what the command left, but for the process that frees its shared memory and then ends by itself."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            session = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[3])
            is_tracker = b"resource_tracker" in (entry / "cmdline").read_bytes()
            if session == os.getpid() != int(entry.name) and not is_tracker:
                os.kill(int(entry.name), signal.SIGKILL)


if __name__ == "__main__":
    main()
