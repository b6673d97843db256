"""What was heard of a sound so far, and how much of it in another language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sensorium.worker import Refused

from .ear import LEAD_S, Window
from .recogniser import Passage, States

__all__ = ["HEARD_ENOUGH_S", "Account", "Segment"]

HEARD_ENOUGH_S = 5.0
"""Foreign speech of this length, and no less than half of the speech so far, ends the call at once."""

Segment = tuple[float, float, str]


@dataclass(slots=True)
class Account:
    """What was heard so far, and how much of it in another language."""

    segments: list[Segment] = field(default_factory=list)
    states: list[States] = field(default_factory=list)
    """What the encoder made of each window."""
    heard_s: float = 0.0
    foreign_s: float = 0.0
    foreign: str = ""
    """The first other language that was heard."""

    def add(self, window: Window, passages: Sequence[Passage]) -> list[Segment]:
        """Notes down what was said in `window`, with times counted from the beginning of the sound."""
        self.heard_s += window.length_s
        new = [
            (window.time_s(passage.start_s), window.time_s(passage.end_s), passage.text)
            for passage in passages
            if passage.text
        ]
        self.segments += new
        return new

    def add_foreign(self, window: Window, name: str) -> list[Segment]:
        """Notes down that something was said in another language."""
        self.foreign_s += window.length_s
        self.foreign = self.foreign or name
        return self.add(window, [Passage(0.0, LEAD_S + window.length_s, f"[speech in {name}]", 0.0, 0.0)])

    def refuse_foreign(self, at_least_s: float) -> None:
        """Raises `Refused` where half of what was heard, and `at_least_s` seconds of it, was in another language."""
        if self.foreign and self.foreign_s >= max(at_least_s, self.heard_s / 2):
            raise Refused(f"The speech sounds like {self.foreign}; transcribe knows English only.", kind="language")
