"""What each run holds on to in the store, as its results tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sensorium.parts import blobs_of, decode_values
from sensorium.results import Results

__all__ = ["Holding", "read_holdings"]


@dataclass(frozen=True, slots=True)
class Holding:
    """A run with everything that it refers to."""

    run: str
    ended_s: float | None
    """When it made its last result, in seconds since 1970; None while it goes on."""
    blobs: frozenset[str]
    """Digests of the media that its results refer to."""


def read_holdings(results: Results, see: Callable[[int, int], None]) -> list[Holding]:
    """Every run of which results are kept.

    Args:
        results: What is kept.
        see: Is told how many results were read, of how many.

    Raises:
        OperatorError: The database cannot be read.
    """
    ended_s: dict[str, float] = {}
    blobs: dict[str, set[str]] = {}
    for run, made_s, value in results.read(see):
        ended_s[run] = max(made_s, ended_s.get(run, made_s))
        blobs.setdefault(run, set()).update(_blobs_in(value))
    return [
        Holding(run, None if results.is_going_on(run) else ended_s[run], frozenset(digests))
        for run, digests in blobs.items()
    ]


def _blobs_in(values: bytes) -> Iterator[str]:
    """Digests of the media that `encode_values` wrote; none where the bytes are no values, which nobody can use."""
    try:
        decoded = decode_values(values, _Unread())
    except (msgspec.MsgspecError, ValueError, TypeError):
        return
    yield from (blob.digest for blob in blobs_of(decoded))


class _Unread:
    """The place of blobs whose bytes nobody asks for."""

    def read(self, digest: str) -> bytes:
        raise KeyError(digest)

    def path(self, digest: str) -> Path:
        raise KeyError(digest)
