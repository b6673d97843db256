"""When a loop over drafts ends: with a good one, or after so many rounds."""

from __future__ import annotations

from typing import Any

_MOST = 3


class Enough:
    """Counts the rounds of a loop."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        """Needs no weights."""

    def run(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [ended(call["is_good"], call.get("round"), call.get("most")) for call in batch]

    def close(self) -> None:
        """Holds nothing."""


def ended(is_good: bool, before: float | None, most: float | None) -> dict[str, Any]:
    """The number of the round that just ended, and whether it was the last."""
    number = (before or 0) + 1
    return {"round": number, "is_done": is_good or number >= (_MOST if most is None else most)}
