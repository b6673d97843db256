"""One conversion: `python -m sensorium.checkpoint.convert NAME SOURCE TARGET`. The engine starts it."""

from __future__ import annotations

import ctypes
import importlib
import signal
import sys
from pathlib import Path

from sensorium.checkpoint.conversions import conversion
from sensorium.errors import SensoriumError

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Converts, and gives the exit status."""
    _end_with_parent()
    if len(arguments) != 3:
        print("usage: python -m sensorium.checkpoint.convert NAME SOURCE TARGET", file=sys.stderr)
        return 2
    name, source, target = arguments
    try:
        importlib.import_module(conversion(name).module).convert(Path(source), Path(target))
    except ModuleNotFoundError as error:
        print(f"the Python package {error.name!r} is missing; pip install 'sensorium[box]'", file=sys.stderr)
        return 5
    except SensoriumError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    return 0


def _end_with_parent() -> None:
    """A conversion takes gigabytes of memory: it must not outlive an engine that was killed (Linux, prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
