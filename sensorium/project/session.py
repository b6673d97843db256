"""A session: the messages of a conversation, kept under a name."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from sensorium.errors import CallerError, OperatorError
from sensorium.events import RunId, RunStatus
from sensorium.graph import ErrorReport
from sensorium.parts import BlobPlace, Value, blobs_of, decode_values, encode_values
from sensorium.project.line_file import Line, LineFile

__all__ = ["SUFFIX", "Session", "SessionMessage"]

SUFFIX = ".jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionMessage:
    """One message, with the parts that came with it."""

    role: Literal["user", "assistant"]
    text: str
    parts: dict[str, Value] = field(default_factory=dict[str, Value])
    """By name of the graph's port; media by reference."""
    run: RunId | None = None
    """The run that the message begins or ends; None where it is not known."""
    status: RunStatus = "done"
    """How the run ended; says something of the assistant's messages alone."""
    gave: tuple[tuple[str, str], ...] = ()
    """What tools gave for the answer, as the model was told: tool and text."""
    error: ErrorReport | None = None
    """Why the run is not done."""


class _Record(msgspec.Struct, omit_defaults=True):
    """A message as its line of JSON holds it."""

    role: Literal["user", "assistant"]
    text: str
    parts: str
    """`encode_values`, in base64."""
    run: RunId | None = None
    status: RunStatus = "done"
    error: ErrorReport | None = None
    gave: tuple[tuple[str, str], ...] = ()


class Session:
    """Messages that are kept under a name, one line of JSON each, only ever added to. Many processes may add at once.

    Args:
        path: Its file; the stem is its name.
        place: Where the media of the parts lie.
    """

    def __init__(self, path: Path, place: BlobPlace) -> None:
        self.name = path.name.removesuffix(SUFFIX)
        self.path = path
        self._place = place
        self._file = LineFile(self.path)

    def exists(self) -> bool:
        """Whether something of this name is kept."""
        return self._file.exists()

    def read(self) -> list[SessionMessage]:
        """The messages so far; none for a new session.

        Raises:
            CallerError: A line holds something else, or the file is no regular one.
            OperatorError: The file cannot be read.
        """
        self._file = LineFile(self.path)
        return self.news()

    def news(self) -> list[SessionMessage]:
        """The messages that neither this nor `read` gave before, by whomever they were added.

        Raises:
            CallerError: As `read`; or the session was removed since.
            OperatorError: As `read`.
        """
        try:
            lines = self._file.news()
        except OSError as error:
            raise OperatorError(
                f"session {self.path} cannot be read: {error.strerror or error}; give the right to read it"
            ) from error
        return [self._message(line) for line in lines]

    def add(self, messages: Iterable[SessionMessage], *, is_new: bool = False) -> None:
        """Writes messages behind the others, all of them or none; they are on the disk when this returns.

        Args:
            messages: In order.
            is_new: Whether the session must be empty before.

        Raises:
            CallerError: The session is not new, or was removed since it was read.
            OperatorError: The disk is full or cannot be written.
        """
        data = b"".join(_encoded(message) for message in messages)
        try:
            self._file.add(data, is_new=is_new)
        except OSError as error:
            raise OperatorError(
                f"session {self.path} cannot be written: {error.strerror or error}; free the disk, give the right to "
                "write, or move SENSORIUM_HOME"
            ) from error

    def remove(self) -> None:
        """Removes the messages, whatever they hold. Their media stay in the store.

        Raises:
            CallerError: There is no such session, or what is there is no regular file.
            OperatorError: It cannot be removed.
        """
        try:
            self._file.remove()
        except FileNotFoundError as error:
            raise CallerError(f"there is no session {self.name!r}") from error
        except OSError as error:
            raise OperatorError(
                f"session {self.path} cannot be removed: {error.strerror or error}; give the right to write there"
            ) from error

    def blobs(self) -> Iterator[str]:
        """Digest of every blob that the messages' parts refer to, as often as they do.

        Raises:
            CallerError: As `read`.
            OperatorError: As `read`.
        """
        for message in self.read():
            yield from (blob.digest for blob in blobs_of(message.parts))

    def _message(self, line: Line) -> SessionMessage:
        try:
            record = msgspec.convert(json.loads(line.data), _Record)
            parts = decode_values(base64.b64decode(record.parts, validate=True), self._place)
        except (ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
            raise CallerError(
                f"{self.path}:{line.number}: not a message of a session ({error}); remove the line, or name another "
                "session"
            ) from error
        return SessionMessage(
            role=record.role,
            text=record.text,
            parts=parts,
            run=record.run,
            status=record.status,
            gave=record.gave,
            error=record.error,
        )


def _encoded(message: SessionMessage) -> bytes:
    """A line of JSON in ASCII, so that half a character in an error's message is kept as it is."""
    parts = base64.b64encode(encode_values(message.parts)).decode()
    record = _Record(message.role, message.text, parts, message.run, message.status, message.error, message.gave)
    return json.dumps(msgspec.to_builtins(record)).encode() + b"\n"
