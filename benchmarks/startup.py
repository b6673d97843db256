"""How quickly the command line and the package start: seconds, and the bare interpreter's beside them."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from report import Figure, report

ROUNDS = 7


def median_s(*command: str) -> float:
    """Median seconds of a command over `ROUNDS` runs, after one that warms the disk's cache."""
    times: list[float] = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> None:
    bare = median_s(sys.executable, "-c", "pass")
    imported = median_s(sys.executable, "-c", "import sensorium, sys; assert 'torch' not in sys.modules")
    helped = median_s(sys.executable, "-m", "sensorium", "--help")
    report(
        "startup",
        [Figure("sensorium --help", helped, 0.5, unit="s"), Figure("import sensorium", imported, 0.3, unit="s")],
        bare_interpreter_s=bare,
    )


if __name__ == "__main__":
    main()
