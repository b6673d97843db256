"""Numbers of bytes, for people."""

from __future__ import annotations

__all__ = ["size"]


def size(count: int) -> str:
    """In megabytes, or in kilobytes where those are few."""
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.1f} kB"
