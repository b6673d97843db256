"""A folder of its own for the media of each turn."""

from __future__ import annotations

from pathlib import Path

__all__ = ["next_folder"]


def next_folder(out: Path) -> Path:
    """A numbered folder below `out` behind all that are there: `001`, `002` and so on.

    It is not made. An `out` that cannot be read counts as empty: whoever writes there is told why not.
    """
    try:
        numbers = [int(path.name) for path in out.iterdir() if path.name.isascii() and path.name.isdigit()]
    except OSError:
        numbers = []
    return out / f"{max(numbers, default=0) + 1:03d}"
