"""Names for what has none of its own."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count

__all__ = ["free_name"]


def free_name(base: str, taken: Collection[str]) -> str:
    """`base` where that is free, else `base-2`, `base-3` and so on."""
    names = (base if number == 1 else f"{base}-{number}" for number in count(1))
    return next(name for name in names if name not in taken)
