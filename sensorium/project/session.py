"""A conversation: messages in order, and the picture and sound that are at hand. Each turn is a run of a graph."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensorium.admit import Admission
from sensorium.errors import CallerError, OperatorError
from sensorium.graph import Graph, Result, RunOptions
from sensorium.parts import Audio, BlobPlace, Data, Image, Text, Value, decode_values, encode_values

__all__ = ["Conversation", "Session", "SessionMessage"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class SessionMessage:
    """One message, with the parts that came with it."""

    role: str
    """`user` or `assistant`."""
    text: str
    parts: dict[str, Value]
    """By name of the graph's port; media by reference."""


class Session:
    """Messages that are kept under a name, one line of JSON each, only ever added to.

    Args:
        folder: Where sessions lie.
        name: Letters, digits, `_`, `.` and `-`.
        place: Where the media of the parts lie.

    Raises:
        CallerError: The name is none, or the file holds something else.
    """

    def __init__(self, folder: Path, name: str, place: BlobPlace) -> None:
        if not _NAME.fullmatch(name):
            raise CallerError(f"{name!r} is not a session's name; use letters, digits, _ . and -, at most 64")
        self.name = name
        self.path = folder / f"{name}.jsonl"
        self._place = place

    def read(self) -> list[SessionMessage]:
        """The messages so far; none for a new session."""
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")[:-1]  # a text may hold separators at which str.splitlines cuts
        return [self._message(number, line) for number, line in enumerate(lines, 1)]

    def add(self, messages: list[SessionMessage]) -> None:
        """Writes messages behind the others; they are on the disk when this returns.

        Raises:
            OperatorError: The disk is full or cannot be written.
        """
        records = (
            {
                "role": message.role,
                "text": message.text,
                "parts": base64.b64encode(encode_values(message.parts)).decode(),
            }
            for message in messages
        )
        lines = "".join(json.dumps(record) + "\n" for record in records).encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _append(self.path, lines)
        except OSError as error:
            raise OperatorError(f"session {self.path} cannot be written: {error.strerror or error}") from error

    def _message(self, number: int, line: bytes) -> SessionMessage:
        try:
            record: dict[str, Any] = json.loads(line)
            parts = decode_values(base64.b64decode(record["parts"]), self._place)
            return SessionMessage(str(record["role"]), str(record["text"]), parts)
        except Exception as error:
            raise CallerError(
                f"{self.path}:{number}: not a message of a session ({error}); remove the line, or name another session"
            ) from error


def _append(path: Path, lines: bytes) -> None:
    """Adds all of the lines or none: what a full disk took of them is taken back, and so is a torn line of before."""
    with path.open("a+b", buffering=0) as target:
        fcntl.flock(target, fcntl.LOCK_EX)
        target.seek(0)
        whole = target.read().rfind(b"\n") + 1
        target.truncate(whole)
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[target.write(rest) :]
            os.fsync(target.fileno())
        except OSError:
            target.truncate(whole)
            raise


class Conversation:
    """Turns of a graph that takes a `request` and, where it has such ports, `image`, `audio` and `history`.

    Args:
        graph: The graph that answers.
        admission: What may come in.
        session: Where messages are kept; None keeps them in memory.

    Raises:
        CallerError: The graph takes no `request`, or gives no `answer`.
    """

    def __init__(self, graph: Graph, admission: Admission, session: Session | None = None) -> None:
        if "request" not in graph.inputs or "answer" not in graph.outputs:
            raise CallerError(
                f"graph {graph.name!r} can't be talked to; it needs an input `request` and an output `answer`"
            )
        self.graph = graph
        self.messages: list[SessionMessage] = []
        self.at_hand: dict[str, Value] = {}
        self._admission = admission
        self.session: Session | None = None
        if session is not None:
            self.resume(session)

    def resume(self, session: Session) -> None:
        """Goes on with the messages and attachments of a session."""
        self.messages = session.read()
        self.session = session
        self.at_hand = {}
        for message in self.messages:
            self.at_hand.update({port: part for port, part in message.parts.items() if message.role == "user"})

    def save(self, session: Session) -> None:
        """Keeps this conversation, and what follows, under a session's name.

        Raises:
            CallerError: The name is taken by another conversation.
        """
        if session.path.exists():
            raise CallerError(
                f"session {session.name!r} is there already; /resume {session.name}, or take another name"
            )
        session.add(self.messages)
        self.session = session

    def clear(self) -> None:
        """Starts anew: no messages, nothing at hand, no session."""
        self.messages, self.at_hand, self.session = [], {}, None

    def attach(self, path: str) -> Value:
        """Takes a picture or a sound into the hand, in place of the one before.

        Raises:
            CallerError: The file is neither, or the graph takes none.
        """
        if not Path(path).is_file():
            raise CallerError(f"{path!r} is not a file that is there; attach a picture or a sound")
        refusals: list[str] = []
        for port in ("image", "audio"):
            if port not in self.graph.inputs:
                continue
            try:
                part = self._admission.admit(Path(path), self.graph.inputs[port], name=port)
            except CallerError as error:
                refusals.append(str(error))
                continue
            self.at_hand[port] = part
            return part
        raise CallerError("\n".join(refusals) or f"graph {self.graph.name!r} takes no attachments")

    async def turn(self, request: str, options: RunOptions) -> Result:
        """Runs the graph on a request. The messages are kept when the turn is done, not when it fails."""
        result = await self.graph.arun(**self._inputs(request), options=options)
        if result.status == "done":
            answer = result.outputs.get("answer")
            said = answer.value if isinstance(answer, Text) else ""
            media: dict[str, Value] = {
                port: part for port, part in result.outputs.items() if isinstance(part, Image | Audio)
            }
            self._keep([SessionMessage("user", request, dict(self.at_hand)), SessionMessage("assistant", said, media)])
        return result

    def _inputs(self, request: str) -> dict[str, Value]:
        inputs: dict[str, Value] = {"request": Text(request), **self.at_hand}
        if "history" in self.graph.inputs and self.messages:
            inputs["history"] = Data([{"role": message.role, "text": message.text} for message in self.messages])
        return inputs

    def _keep(self, messages: list[SessionMessage]) -> None:
        self.messages.extend(messages)
        if self.session is not None:
            self.session.add(messages)
