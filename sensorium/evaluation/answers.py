"""What was answered, sample by sample, and the file of lines that keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sensorium.errors import OperatorError
from sensorium.evaluation.outline import Kind, Outline
from sensorium.project.line_file import LineFile

__all__ = ["LINES", "Answer", "Answers", "Tokens"]

LINES = "answers.jsonl"
"""Name of the file of lines."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of all asks of a sample."""

    prompt: int = 0
    answer: int = 0
    reused: int = 0
    """Prompt tokens whose computation was reused."""

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.prompt + other.prompt, self.answer + other.answer, self.reused + other.reused)


@dataclass(frozen=True, slots=True)
class Answer:
    """A sample, and the plan that it led to."""

    id: str
    kind: Kind
    request: str
    gold: Outline
    given: Outline
    refused: tuple[tuple[str, ...], ...]
    """What the checker found in each plan that it refused before."""
    seconds: float
    asks: int
    tokens: Tokens
    replies: tuple[str, ...]
    """What the model said, ask by ask."""
    failed: str = ""
    """Why there is no plan: the model failed, or the request did not fit; empty where neither happened."""


class _Line(msgspec.Struct, frozen=True):
    settings: str
    answer: Answer


class Answers:
    """Answers under one setting, kept in a file where there is one. Those of other settings stay in it, untouched.

    Args:
        path: The file of lines; None keeps nothing.
        settings: Digest of all that decides the answers, but the samples.

    Raises:
        CallerError: The path is no regular file.
        OperatorError: The disk does not let it be read.
    """

    def __init__(self, path: Path | None, settings: str) -> None:
        self._file = None if path is None else LineFile(path)
        self._settings = settings
        self._kept: dict[str, Answer] = {}
        for line in self._lines():
            if line.settings == settings and not line.answer.failed:
                self._kept[line.answer.id] = line.answer

    @property
    def kept(self) -> Mapping[str, Answer]:
        """Answers by the sample's id; those that failed are not among them."""
        return self._kept

    def add(self, answer: Answer) -> None:
        """Keeps an answer; it is on the disk when this returns.

        Raises:
            OperatorError: The disk does not let it.
        """
        if self._file is None:
            return
        try:
            self._file.add(msgspec.json.encode(_Line(self._settings, answer)) + b"\n")
        except OSError as error:
            raise OperatorError(f"{self._file.path} cannot be written: {error.strerror}; free some space") from error

    def _lines(self) -> list[_Line]:
        if self._file is None:
            return []
        try:
            return [line for told in self._file.news() if (line := _read(told.data)) is not None]
        except OSError as error:
            raise OperatorError(f"{self._file.path} cannot be read: {error.strerror}; make it readable") from error


def _read(data: bytes) -> _Line | None:
    """A line; None for one of another version, whose sample is asked again."""
    try:
        return msgspec.json.decode(data, type=_Line)
    except msgspec.DecodeError:
        return None
