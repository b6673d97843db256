"""What a node called and moved, counted while it works."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sensorium.events import Figures
from sensorium.parts import Blob, Value, blobs_of

__all__ = ["Tally", "num_bytes"]


class Tally:
    """Calls and media of one node. A call counts for every node that its node lies in, media for their node alone.

    Args:
        within: The tally of what the node lies in; None for a run's.
        is_item: Whether this is one element's part of an `each`, whose media are its node's too.
    """

    def __init__(self, within: Tally | None = None, *, is_item: bool = False) -> None:
        self._within = within
        self._is_item = is_item
        self._calls = 0
        self._kept = 0
        self._taken: dict[str, Blob] = {}

    def count(self, *, is_kept: bool) -> None:
        """Counts a call of a tool or a language model, which a kept result answered or which is made now."""
        self._calls += 1
        self._kept += is_kept
        if self._within is not None:
            self._within.count(is_kept=is_kept)

    def take(self, inputs: Mapping[str, Value]) -> None:
        """Counts the media that go in."""
        self._taken.update((blob.digest, blob) for blob in blobs_of(inputs))
        if self._is_item and self._within is not None:
            self._within.take(inputs)

    def figures(self, outputs: Mapping[str, Value]) -> Figures:
        """The figures of the node, which gave `outputs`."""
        return Figures(num_bytes(self._taken.values()), num_bytes(blobs_of(outputs)), self._calls, self._kept)


def num_bytes(blobs: Iterable[Blob]) -> int:
    """Bytes of media, the same media counted once."""
    return sum(blob.size_bytes for blob in set(blobs))
