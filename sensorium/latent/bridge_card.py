"""What was measured of a bridge: its `card.json`, which counts for this bridge between these ends alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from sensorium.errors import AuthorError, Fault

__all__ = ["BridgeCard", "Channel", "MeasuredOf", "Task", "read_card"]


class MeasuredOf(msgspec.Struct, frozen=True):
    """What a card is of."""

    bridge: str
    """SHA-256 of the bridge's weights."""
    sender: list[str]
    """Identities of the model at this end, as `bridge.yaml` has them; so is the next."""
    receiver: list[str]


class Channel(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a receiver makes of a message that came in one way."""

    nll: float
    """Negative log-likelihood of what it is to say, nats a token."""
    recovered: float | None = None
    """Share of the text's effect; None for the text and for no message, which are its ends."""
    interval: tuple[float, float] | None = None
    """95 % over passages."""

    def __post_init__(self) -> None:
        if self.interval is not None:
            low, high = self.interval
            if not low <= (low if self.recovered is None else self.recovered) <= high:
                raise ValueError(f"an interval {low:g} to {high:g} does not hold what is recovered")


class Task(msgspec.Struct, frozen=True, omit_defaults=True):
    """One kind of thing that the receiver is to say, by all channels."""

    bridge: Channel
    text: Channel
    none: Channel
    nearest: Channel
    """Each row replaced by the nearest embedding of the vocabulary."""
    shuffled: Channel
    """Another message's rows."""
    noise: Channel
    transcript: Channel | None = None
    """What a recogniser wrote down, where the message is sound."""
    passages: int = 0
    tokens: int = 0
    recordings: int = 0
    questions: int = 0


class BridgeCard(msgspec.Struct, frozen=True):
    """A bridge's `card.json`."""

    of: MeasuredOf
    tasks: dict[str, Task]

    @property
    def recovered(self) -> dict[str, float]:
        """Share that crosses, by task."""
        return {name: task.bridge.recovered or 0.0 for name, task in self.tasks.items()}

    @property
    def least(self) -> float | None:
        """Lower end of the interval, in the task where it is least; None where no task has one."""
        return min((task.bridge.interval[0] for task in self.tasks.values() if task.bridge.interval), default=None)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told


def read_card(path: Path) -> BridgeCard | None:
    """The card of a file; None where there is no file.

    Raises:
        AuthorError: It is no card.
    """
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=BridgeCard)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        right = "benchmarks/bridges.py --card makes one; without a card the bridge is not measured"
        raise AuthorError([Fault(str(path), 0, 0, f"it is no card of a bridge: {error}", right)]) from error
