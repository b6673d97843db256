"""Which runs and blobs a collection lets go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from sensorium.project.holdings import Holding

__all__ = ["Choice", "choose"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What goes."""

    runs: tuple[str, ...]
    """Runs whose results go, the one that ended first first."""
    blobs: tuple[str, ...]
    """Digests that nothing refers to then, in order."""


def choose(
    sizes: Mapping[str, int],
    holdings: Collection[Holding],
    roots: frozenset[str],
    *,
    before_s: float,
    max_bytes: int | None,
) -> Choice:
    """What goes: runs by age, then the oldest until the store fits, then the blobs that nothing else refers to.

    Runs that go on stay, with all that they refer to. A run that holds nothing which could be freed does not go for the
    sake of room.

    Args:
        sizes: Bytes of every blob in the store, by digest.
        holdings: Every run, with what it refers to.
        roots: Digests that stay in any case.
        before_s: Runs that ended earlier go; seconds since 1970.
        max_bytes: What the blobs that stay may weigh; None for any weight.
    """
    room = _Room(sizes, holdings, roots)
    dropped = tuple(_dropped(room, holdings, before_s, max_bytes))
    return Choice(dropped, tuple(sorted(digest for digest in sizes if not room.is_held(digest))))


def _dropped(room: _Room, holdings: Collection[Holding], before_s: float, max_bytes: int | None) -> Iterator[str]:
    ended = sorted((holding.ended_s, holding.run, holding) for holding in holdings if holding.ended_s is not None)
    for ended_s, run, holding in ended:
        is_over = max_bytes is not None and room.bytes > max_bytes
        if ended_s < before_s or (is_over and room.can_free(holding)):
            room.let_go(holding)
            yield run


class _Room:
    """How much the blobs weigh that something refers to, while runs let go one after the other."""

    def __init__(self, sizes: Mapping[str, int], holdings: Collection[Holding], roots: frozenset[str]) -> None:
        self._sizes = sizes
        live = (holding.blobs for holding in holdings if holding.ended_s is None)
        self._fixed = roots.union(*live)
        self._num_holders = Counter(
            digest for holding in holdings if holding.ended_s is not None for digest in holding.blobs
        )
        self.bytes = sum(size for digest, size in sizes.items() if self.is_held(digest))

    def is_held(self, digest: str) -> bool:
        return digest in self._fixed or self._num_holders[digest] > 0

    def can_free(self, holding: Holding) -> bool:
        return any(digest in self._sizes and digest not in self._fixed for digest in holding.blobs)

    def let_go(self, holding: Holding) -> None:
        for digest in holding.blobs:
            self._num_holders[digest] -= 1
            if not self.is_held(digest):
                self.bytes -= self._sizes.get(digest, 0)
