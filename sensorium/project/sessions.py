"""All sessions of a home: what there is, and which blobs they hold on to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sensorium.errors import CallerError, OperatorError, SensoriumError
from sensorium.parts import blobs_of
from sensorium.project.session import SUFFIX, Session
from sensorium.project.turn import Turn, gather
from sensorium.store import Store

__all__ = ["SessionSummary", "open_session", "remove_sessions", "session_blobs", "summarise_sessions"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FIRST_CHARS = 60


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """A session as lists show it; the names of the fields are the keys of its JSON."""

    name: str
    turns: int
    last_used: str
    """When it was last added to: ISO 8601, UTC."""
    first_words: str
    """The beginning of the first request, on one line."""
    attachments: int
    """How many pictures and sounds the user attached."""
    bytes: int
    """Of the session's own file."""
    media_bytes: int
    """Of the media in the store that it refers to."""
    trouble: str | None
    """Why it cannot be gone on with; the figures are then of the file alone."""


def open_session(home: Path, name: str) -> Session:
    """The session of a name, new or not.

    Raises:
        CallerError: The name is none: letters of ASCII, digits, `_`, `.` and `-`, beginning with a letter or digit.
    """
    if not _NAME.fullmatch(name):
        raise CallerError(
            f"{name[:80]!r} is not a session's name; use a-z, A-Z, 0-9, _ . and -, at most 64, beginning with a letter "
            "or digit"
        )
    return _session(home, _folder(home) / f"{name}{SUFFIX}")


def summarise_sessions(home: Path) -> list[SessionSummary]:
    """Every session, the one that was used last first, those with damage too.

    Raises:
        OperatorError: The folder of sessions cannot be read.
    """
    found = (_summary(home, path) for path in _files(home))
    there = [summary for summary in found if summary is not None]
    return sorted(there, key=lambda summary: (summary.last_used, summary.name), reverse=True)


def remove_sessions(home: Path, names: list[str]) -> dict[str, int]:
    """Removes sessions, all that are named or, where one of them is not there, none.

    Whatever lies among them goes by its own name, though no session could be opened by it.

    Returns:
        Bytes freed, by name. Media stay in the store until it is collected.

    Raises:
        CallerError: There is no such session.
        OperatorError: One cannot be removed.
    """
    sizes = {path.name.removesuffix(SUFFIX): _size_of(path) for path in _files(home)}
    missing = [name for name in names if name not in sizes]
    if missing:
        raise CallerError(f"there is no session {missing[0][:80]!r}; `sensorium sessions list` shows what there is")
    for name in dict.fromkeys(names):
        _session(home, _folder(home) / f"{name}{SUFFIX}").remove()
    return {name: sizes[name] for name in names}


def session_blobs(home: Path) -> frozenset[str]:
    """Digest of every blob that some session refers to: what a collection of the store must leave where it is.

    A blob that a running turn has just made is in no session yet; its conversation holds it, see `Store.in_use`.

    Raises:
        CallerError: A session is damaged, or is no regular file, so that nobody knows what it refers to.
        OperatorError: A session, or the folder of them, cannot be read.
    """
    return frozenset(digest for path in _files(home) for digest in _session(home, path).blobs())


def _session(home: Path, path: Path) -> Session:
    return Session(path, Store(home / "store"))


def _folder(home: Path) -> Path:
    return home / "sessions"


def _files(home: Path) -> Iterator[Path]:
    """Whatever may be a session, whoever gave it its name."""
    folder = _folder(home)
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        raise OperatorError(
            f"the sessions in {folder} cannot be listed: {error.strerror or error}; give the right to read it"
        ) from error
    yield from (folder / name for name in names if name.endswith(SUFFIX))


def _size_of(path: Path) -> int:
    """In bytes; 0 where the file went meanwhile."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _summary(home: Path, path: Path) -> SessionSummary | None:
    """A session for lists; None where it went meanwhile."""
    turns, trouble = _turns(home, path)
    try:
        state = path.lstat()
    except FileNotFoundError:
        return None
    given = {blob for turn in turns for blob in blobs_of(turn.at_hand)}
    made = {blob for turn in turns for blob in blobs_of(turn.media)}
    return SessionSummary(
        name=path.name.removesuffix(SUFFIX),
        turns=len(turns),
        last_used=datetime.fromtimestamp(state.st_mtime, UTC).isoformat(timespec="seconds"),
        first_words=_first_words(turns),
        attachments=len(given),
        bytes=state.st_size,
        media_bytes=sum(blob.size_bytes for blob in given | made),
        trouble=trouble,
    )


def _turns(home: Path, path: Path) -> tuple[list[Turn], str | None]:
    """The turns; none, and why, of a session that cannot be gone on with."""
    try:
        return list(gather(open_session(home, path.name.removesuffix(SUFFIX)).read(), {}).values()), None
    except SensoriumError as error:
        return [], str(error)


def _first_words(turns: list[Turn]) -> str:
    words = " ".join(turns[0].request.split()) if turns else ""
    return words if len(words) <= _FIRST_CHARS else f"{words[: _FIRST_CHARS - 1]}…"
