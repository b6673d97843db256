"""What a message is measured by: short passages, which are repeated and asked about.

The passages were written for this purpose. What they tell is told nowhere else, so that no model knows it without them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from blake3 import blake3

__all__ = ["COPY", "QUESTIONS", "Continuation", "Passage", "TaskSet", "passages"]

COPY, QUESTIONS = "copy", "questions"
_REPEAT = "\n\nRepeat the text."
_REPEATED_WORDS = 40
_FILE = Path(__file__).parent / "passages.json"


@dataclass(frozen=True, slots=True)
class Continuation:
    """Words that a model says behind a message, or is made to say."""

    task: str
    """`copy` or `questions`."""
    request: str
    """What stands behind the message."""
    answer: str
    """What the model is made to say: how likely it is tells what came across."""
    key: str = ""
    """Word that a free reply holds where it is right; empty where none is asked for."""

    def is_right(self, reply: str) -> bool:
        """Whether a free reply holds the key word."""
        return re.search(rf"(?<!\w){re.escape(self.key.casefold())}(?!\w)", reply.casefold()) is not None


@dataclass(frozen=True, slots=True)
class Passage:
    """A message, and what is asked of it."""

    text: str
    continuations: tuple[Continuation, ...]


@dataclass(frozen=True, slots=True)
class TaskSet:
    """Passages under a name."""

    name: str
    passages: tuple[Passage, ...]

    @property
    def digest(self) -> str:
        """BLAKE3 of all that is read, said and looked for."""
        told: list[Any] = [
            (one.text, [(each.task, each.request, each.answer, each.key) for each in one.continuations])
            for one in self.passages
        ]
        return blake3(msgspec.json.encode(told)).hexdigest()

    @property
    def tasks(self) -> Mapping[str, tuple[int, ...]]:
        """For each kind of task, the numbers of the continuations that are of it: the same in all passages."""
        kinds = [each.task for each in self.passages[0].continuations]
        return MappingProxyType(
            {kind: tuple(at for at, one in enumerate(kinds) if one == kind) for kind in dict.fromkeys(kinds)}
        )


class _Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    question: str
    answer: str
    key: str


class _Passage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    asks: tuple[_Question, ...]


def passages() -> TaskSet:
    """The task set that ships with the engine: 40 words of each passage are repeated, two questions asked."""
    told = msgspec.json.decode(_FILE.read_bytes(), type=list[_Passage])
    return TaskSet("passages", tuple(Passage(one.text, _continuations(one.text, one.asks)) for one in told))


def _continuations(text: str, asks: Sequence[_Question]) -> tuple[Continuation, ...]:
    asked = (Continuation(QUESTIONS, f"\n\n{one.question}", one.answer, one.key) for one in asks)
    repeated = " ".join(text.split()[:_REPEATED_WORDS])
    return (Continuation(COPY, _REPEAT, repeated), *asked)
