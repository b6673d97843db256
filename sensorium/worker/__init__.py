"""What a tool's worker says while it works. This is all that a tool's `worker.py` imports from Sensorium.

A worker is one class with three methods:

    setup(self, checkpoints, device)   checkpoints: {role: directory}; device: "cpu" or "cuda:0"; loads the weights
    run(self, batch)                   a list of {port: value} -> a list of {port: value}, one for each call
    close(self)                        gives back what setup took

`run` may be a generator: it yields `Progress`, `Item` and `Failed` as it goes, and last the list of results. The
result of a call that failed is None. Values are native: text `str`, number `float`, flag `bool`, data JSON, image
`PIL.Image`, audio `(float32 mono in -1...1, rate in Hz)`, masks bool [n, height, width], boxes float32 [n, 4] as
x0 y0 x1 y1 in pixels, points float32 [n, 2], segments `[(start_s, end_s, text)]`, latent an array.

A call of a tool with `effects: true` also holds `idempotency_key`, a text that is the same where the call is made
again: a process may have died between what it did and the moment when its result was kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Blame", "Failed", "Item", "Progress", "Refused"]

Blame = Literal["tool", "caller", "language", "latent"]
"""Who must act on a failure: `tool` its author or operator, `caller` whoever gave the input; `language` likewise, where
the input is in a language that the tool does not know, and `latent`, where a latent is none that it can take."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one call has come."""

    call: int
    """Index of the call in the batch."""
    share: float
    """Share of the work that is done, 0 to 1."""
    note: str = ""
    """A few words for people, such as `sentence 3 of 10`."""


@dataclass(frozen=True, slots=True)
class Item:
    """One element of a list output, passed on at once."""

    call: int
    """Index of the call in the batch."""
    port: str
    """Name of the list output."""
    value: object
    """The element, as a native value."""


@dataclass(frozen=True, slots=True)
class Failed:
    """One call of the batch failed; the others go on."""

    call: int
    """Index of the call in the batch."""
    why: str
    """What happened and what would be right."""
    kind: Blame = "tool"
    """Who must act."""
    can_retry: bool = False
    """Whether the same call may succeed when it is made again."""


class Refused(Exception):
    """Every call of the batch is refused: the input is not one that the tool takes.

    Args:
        why: What is wrong with the input and what would be right.
        kind: `caller`, or `language` where the input is in a language that the tool does not know.
    """

    def __init__(self, why: str, kind: Blame = "caller") -> None:
        super().__init__(why)
        self.why = why
        self.kind: Blame = kind
