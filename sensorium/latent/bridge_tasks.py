"""What a receiver is asked to do with a bridged text: the same in training and in measuring."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TASKS", "BridgeTask"]


@dataclass(frozen=True, slots=True)
class BridgeTask:
    """A prompt with a place for the text, and what has to follow."""

    name: str
    before: str
    """Stands before the text, or before the rows that come in its place."""
    after: str
    """Stands between the text and what the receiver goes on with."""
    goes_on: bool
    """Whether what follows the text has to come, or the text itself again."""


TASKS = (
    BridgeTask("repeat", "Text:\n", "\n\nThe same text again:\n", goes_on=False),
    BridgeTask("continue", "Text:\n", "", goes_on=True),
)
