"""Sessions: what is kept comes back, whatever it holds and whatever happened to the file."""

from __future__ import annotations

import base64
import json
import multiprocessing
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sensorium.errors import CallerError, OperatorError, SensoriumError
from sensorium.events import RunId
from sensorium.graph import ErrorReport
from sensorium.parts import Audio, Image, Masks, Text, Value, encode_values
from sensorium.project.session import Session, SessionMessage
from sensorium.project.sessions import open_session, remove_sessions, session_blobs, summarise_sessions
from sensorium.project.turn import gather
from sensorium.store import Store


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return open_session(tmp_path, "talk")


def said(text: str, run: str | None = None) -> SessionMessage:
    return SessionMessage(
        role="user", text=text, parts={"request": Text(text)}, run=None if run is None else RunId(run)
    )


def test_a_text_with_every_line_separator_comes_back(session: Session) -> None:
    messages = [said("a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\r\nh"), said("again", "1")]
    session.add(messages)
    assert session.read() == messages


def test_half_a_character_in_an_error_s_message_is_kept_as_it_is(session: Session) -> None:
    error = ErrorReport("caller", "no file \udcff.png", "think")
    message = SessionMessage(role="assistant", text="", run=RunId("1"), status="failed", error=error)
    session.add([message])
    assert session.read() == [message]


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
        with pytest.raises(OperatorError, match=r"cannot be written.*; free the disk"):
            session.add([said("x" * 1000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert session.path.read_bytes() == before


NO_MESSAGES = {
    "no JSON": b"\xff",
    "no object": b"7",
    "nested without end": b"[" * 100_000,
    "no role": b'{"text": "a", "parts": "gA=="}',
    "a role that nobody has": b'{"role": "system", "text": "a", "parts": "gA=="}',
    "a text that is none": b'{"role": "user", "text": 7, "parts": "gA=="}',
    "parts that are no base64": b'{"role": "user", "text": "a", "parts": "~"}',
    "parts that are no parts": b'{"role": "user", "text": "a", "parts": "kQE="}',
    "an end that is none": b'{"role": "assistant", "text": "a", "parts": "gA==", "status": "gone"}',
}


@pytest.mark.parametrize("line", NO_MESSAGES.values(), ids=NO_MESSAGES)
def test_a_file_that_is_no_session_is_refused_by_line(session: Session, line: bytes) -> None:
    session.add([said("whole")])
    with session.path.open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(CallerError, match=r"talk\.jsonl:2: not a message.*; remove the line"):
        session.read()


def test_a_session_without_runs_is_read_as_turns_that_are_done(session: Session) -> None:
    parts = base64.b64encode(encode_values({})).decode()
    lines = [
        {"role": role, "text": text, "parts": parts}
        for role, text in (("user", "Hi"), ("assistant", "Hello."), ("user", "Bye"), ("assistant", "See you."))
    ]
    session.path.parent.mkdir()
    session.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    turns = gather(session.read(), {}).values()
    assert [(turn.request, turn.answer, turn.status) for turn in turns] == [
        ("Hi", "Hello.", "done"),
        ("Bye", "See you.", "done"),
    ]


def test_turns_of_two_processes_may_lie_between_each_other(session: Session) -> None:
    answers = [SessionMessage(role="assistant", text=f"to {run}", run=RunId(run)) for run in ("b", "a")]
    session.add([said("first", "a"), said("second", "b"), said("third", "c"), *answers])
    turns = gather(session.read(), {}).values()
    assert [(turn.request, turn.answer, turn.status) for turn in turns] == [
        ("first", "to a", "done"),
        ("second", "to b", "done"),
        ("third", "", "interrupted"),
    ]


HOSTILE_NAMES = [
    "",
    ".",
    "..",
    ".hidden",
    "a/b",
    "../talk",
    "/etc/passwd",
    "a\0b",
    "a\n",
    "a b",
    "-rf",
    "日记",
    "e\u0301",
    "x" * 65,
    "x" * 10_000,
    "\udcff",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_is_none_is_refused_in_a_few_words(tmp_path: Path, name: str) -> None:
    with pytest.raises(CallerError, match="is not a session's name; use a-z") as refused:
        open_session(tmp_path, name)
    assert len(str(refused.value)) < 500
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "7", "a.b", "a..b", "a.jsonl", "con", "x" * 64])
def test_a_name_that_is_odd_is_a_name(tmp_path: Path, name: str) -> None:
    open_session(tmp_path, name).add([said("Hi")])
    assert [summary.name for summary in summarise_sessions(tmp_path)] == [name]
    assert open_session(tmp_path, name).read() == [said("Hi")]


IN_ITS_PLACE: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to a file": lambda path: path.symlink_to(path.parent.parent / "precious"),
    "a link to nothing": lambda path: path.symlink_to(path.parent.parent / "nothing"),
}


@pytest.mark.parametrize("put", IN_ITS_PLACE.values(), ids=IN_ITS_PLACE)
def test_what_is_no_file_is_neither_read_nor_written_nor_led_by(
    session: Session, tmp_path: Path, put: Callable[[Path], object]
) -> None:
    (tmp_path / "precious").write_text("kept\n")
    session.path.parent.mkdir()
    put(session.path)
    for use in (session.read, lambda: session.add([said("Hi")]), lambda: session_blobs(tmp_path)):
        with pytest.raises(CallerError, match=r"talk\.jsonl is not a regular file; move it away"):
            use()
    (summary,) = summarise_sessions(tmp_path)
    assert "not a regular file" in (summary.trouble or "")
    assert (tmp_path / "precious").read_text() == "kept\n"
    assert not (tmp_path / "nothing").exists()


def test_removing_a_link_leaves_what_it_leads_to(session: Session, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept\n")
    session.path.parent.mkdir()
    session.path.symlink_to(tmp_path / "precious")
    remove_sessions(tmp_path, ["talk"])
    assert not session.exists()
    assert (tmp_path / "precious").read_text() == "kept\n"


def test_sessions_may_lie_on_another_disk_by_a_link_to_their_folder(session: Session, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    session.path.parent.symlink_to(tmp_path / "elsewhere")
    session.add([said("Hi")])
    assert (tmp_path / "elsewhere" / "talk.jsonl").is_file()
    assert session.read() == [said("Hi")]


def test_only_its_owner_can_read_a_session(session: Session) -> None:
    session.add([said("Hi")])
    assert session.path.stat().st_mode & 0o077 == 0
    assert session.path.parent.stat().st_mode & 0o077 == 0


@pytest.fixture
def read_only_home(tmp_path: Path) -> Iterator[Path]:
    """A home with one session, on a disk that nothing can be written to."""
    home = tmp_path / "home"
    open_session(home, "talk").add([said("Hi")])
    if os.geteuid() != 0:
        pytest.skip("only root can mount a read-only disk")
    for command in (["mount", "--bind", str(home), str(home)], ["mount", "-o", "remount,bind,ro", str(home)]):
        mounted = subprocess.run(command, capture_output=True, check=False)
        if mounted.returncode:
            pytest.skip(f"a read-only disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield home
    subprocess.run(["umount", "-l", home], check=True)


def test_a_home_that_cannot_be_written_is_read_and_the_operator_is_told(read_only_home: Path) -> None:
    session = open_session(read_only_home, "talk")
    assert session.read() == [said("Hi")]
    assert [summary.turns for summary in summarise_sessions(read_only_home)] == [1]
    for one in (session, open_session(read_only_home, "new")):
        with pytest.raises(OperatorError, match=r"cannot be written: Read-only file system; .* move SENSORIUM_HOME"):
            one.add([said("x")])
    with pytest.raises(OperatorError, match="cannot be removed: Read-only file system"):
        remove_sessions(read_only_home, ["talk"])


def add_many(folder: str, number: int) -> None:
    session = open_session(Path(folder), "talk")
    for turn in range(40):
        session.add([said("x" * (turn * 97), f"{number}-{turn}"), said("y", f"{number}-{turn}b")])


def test_two_processes_that_write_at_once_tear_no_line_and_part_no_pair(session: Session, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=add_many, args=(str(tmp_path), number)) for number in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    runs = [message.run for message in session.read()]
    assert len(runs) == 160
    assert [f"{run}b" for run in runs[::2]] == runs[1::2]
    for number in range(2):
        mine = [run for run in runs[::2] if (run or "").startswith(f"{number}-")]
        assert mine == [f"{number}-{turn}" for turn in range(40)]


def test_news_are_what_was_added_since(session: Session, tmp_path: Path) -> None:
    session.add([said("mine")])
    assert session.news() == [said("mine")]
    other = open_session(tmp_path, "talk")
    other.add([said("other's"), said("too")])
    assert session.news() == [said("other's"), said("too")]
    assert session.news() == []


def replaced(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[: len(data) // 2] + b"\n" + data)


GONE: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "replaced": replaced,
    "cut": lambda path: os.truncate(path, 10),
}


@pytest.mark.parametrize("change", GONE.values(), ids=GONE)
def test_a_session_that_is_no_longer_what_it_was_is_not_written_to(
    session: Session, change: Callable[[Path], object]
) -> None:
    session.add([said("one"), said("two")])
    session.read()
    change(session.path)
    before = session.path.read_bytes() if session.exists() else None
    for use in (session.news, lambda: session.add([said("three")])):
        with pytest.raises(CallerError, match="was removed or replaced meanwhile; keep what is here under another"):
            use()
    assert (session.path.read_bytes() if session.exists() else None) == before


def with_media(store: Store) -> dict[str, Value]:
    blobs = [store.put(name.encode(), "application/octet-stream") for name in ("picture", "sound", "mask", "other")]
    return {
        "image": Image(blobs[0], 1, 1),
        "audio": Audio(blobs[1], 1.0, 16_000),
        "masks": (Masks(blobs[2], 1, 1, 1), None, Masks(blobs[3], 1, 1, 1)),
        "text": Text("none"),
        "nothing": None,
    }


def test_every_blob_that_a_session_refers_to_is_named(tmp_path: Path) -> None:
    assert session_blobs(tmp_path) == frozenset()
    store = Store(tmp_path / "store")
    open_session(tmp_path, "one").add([SessionMessage(role="user", text="a", parts=with_media(store))])
    other = store.put(b"more", "image/png")
    open_session(tmp_path, "two").add([SessionMessage(role="assistant", text="b", parts={"image": Image(other, 1, 1)})])
    renamed = store.put(b"renamed", "image/png")
    Session(tmp_path / "sessions" / "旧 日记.jsonl", store).add(
        [SessionMessage(role="user", text="c", parts={"image": Image(renamed, 1, 1)})]
    )
    (tmp_path / "sessions" / "notes.txt").write_text("no session")
    stored = {path.name for path in (tmp_path / "store").glob("??/*")}
    assert session_blobs(tmp_path) == stored
    assert len(stored) == 6


def test_a_damaged_session_among_others_names_no_blobs_at_all(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        open_session(tmp_path, name).add([said("Hi")])
    (tmp_path / "sessions" / "b.jsonl").write_bytes(b"\0" * 10 + b"\n")
    with pytest.raises(CallerError, match=r"b\.jsonl:1: not a message"):
        session_blobs(tmp_path)


def test_a_folder_of_sessions_that_is_a_file_is_the_operator_s_to_mend(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("")
    uses: tuple[Callable[[], object], ...] = (
        lambda: session_blobs(tmp_path),
        lambda: summarise_sessions(tmp_path),
        lambda: open_session(tmp_path, "talk").add([said("Hi")]),
    )
    for use in uses:
        with pytest.raises(SensoriumError, match="cannot be") as told:
            use()
        assert told.value.exit_code == 5
