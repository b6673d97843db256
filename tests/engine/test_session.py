"""Sessions: what is kept comes back, whatever it holds and whatever happened to the file."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from sensorium.errors import CallerError, OperatorError
from sensorium.parts import Text
from sensorium.project.session import Session, SessionMessage
from sensorium.store import Store


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path / "sessions", "talk", Store(tmp_path / "store"))


def said(text: str) -> SessionMessage:
    return SessionMessage("user", text, {"request": Text(text)})


def test_a_text_with_every_line_separator_comes_back(session: Session) -> None:
    messages = [said("a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\r\nh"), said("again")]
    session.add(messages)
    assert session.read() == messages


def test_a_line_that_a_killed_process_left_half_written_is_dropped(session: Session) -> None:
    session.add([said("whole")])
    with session.path.open("ab") as file:
        file.write(b'{"role": "user", "te')
    assert session.read() == [said("whole")]
    session.add([said("next")])
    assert session.read() == [said("whole"), said("next")]


def test_a_disk_that_is_full_leaves_the_session_as_it_was(session: Session) -> None:
    session.add([said("whole")])
    before = session.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))
    try:
        with pytest.raises(OperatorError, match="cannot be written"):
            session.add([said("x" * 1000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert session.path.read_bytes() == before


def test_a_file_that_is_no_session_is_refused_by_line(session: Session) -> None:
    session.path.parent.mkdir()
    session.path.write_bytes(b"\xff\n")
    with pytest.raises(CallerError, match=r"talk\.jsonl:1: not a message"):
        session.read()
