"""How many threads a language model's worker takes."""

from __future__ import annotations

import os

__all__ = ["idle_cores"]


def idle_cores() -> int:
    """Cores that nobody else keeps busy, at least one.

    Threads that share a core with others wait for each other at every layer, and are together slower than one alone.
    """
    return max(1, len(os.sched_getaffinity(0)) - round(os.getloadavg()[0]))
