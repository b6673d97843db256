"""What a collection of the store takes, what it leaves, and what it survives."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from sensorium.database import SqliteDatabase
from sensorium.errors import CallerError, OperatorError
from sensorium.events import Event, NodeStarted
from sensorium.graph import RunOptions
from sensorium.parts import Image, Text, Value, encode_values
from sensorium.project.choice import choose
from sensorium.project.collection import Collected, Limit, Place, collect, store_status
from sensorium.project.holdings import Holding
from sensorium.project.session import SessionMessage
from sensorium.project.sessions import open_session
from sensorium.results import Results
from sensorium.runs import Runs
from sensorium.store import Store
from sensorium.testing import Scratch
from tests.conftest import Command
from tests.engine.door import Door, door

__all__ = ["door"]

DOOR = ""
A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
SIZES = {A: 10, B: 20, C: 30, D: 40}
DAY_S = 86_400.0
OLD = Limit(30 * DAY_S, None)
EVERYTHING = Limit(0.0, None)


def holding(run: str, ended_s: float | None, *results: str) -> Holding:
    return Holding(run, ended_s, frozenset(results))


@pytest.mark.parametrize(
    ("holdings", "roots", "before_s", "max_bytes", "runs", "blobs"),
    [
        pytest.param([], (), 0, None, (), (A, B, C, D), id="nothing refers to anything"),
        pytest.param([], (B, D), 0, None, (), (A, C), id="roots stay"),
        pytest.param([holding("x", 5, A)], (D,), 5, None, (), (B, C), id="a run that ended just then stays"),
        pytest.param([holding("x", 4, A)], (D,), 5, None, ("x",), (A, B, C), id="an older run goes"),
        pytest.param([holding("x", None, A)], (), 1e18, 0, (), (B, C, D), id="a run that goes on stays"),
        pytest.param(
            [holding("x", 4, A, B), holding("y", 9, B)], (), 5, None, ("x",), (A, C, D), id="what another refers to"
        ),
        pytest.param([holding("x", 4, A)], (A,), 5, None, ("x",), (B, C, D), id="a run goes, its root stays"),
        pytest.param(
            [holding("z", 9, C), holding("x", 7, A), holding("y", 8, B)],
            (),
            5,
            30,
            ("x", "y"),
            (A, B, D),
            id="the oldest go until it fits",
        ),
        pytest.param(
            [holding("x", 7, A), holding("y", 8), holding("z", 9, B), holding("live", None, A)],
            (),
            5,
            0,
            ("z",),
            (B, C, D),
            id="what frees nothing stays",
        ),
        pytest.param(
            [holding("x", 7, A), holding("y", 8, A)], (), 5, 5, ("x", "y"), (A, B, C, D), id="a blob of two runs"
        ),
        pytest.param([holding("x", 7, "e" * 64)], (), 5, 0, (), (A, B, C, D), id="a blob that is not there"),
        pytest.param([holding("x", 7, A)], (B, C, D), 5, 99, ("x",), (A,), id="sessions weigh too"),
        pytest.param([holding("x", 7, A)], (B, C, D), 5, 100, (), (), id="it fits"),
    ],
)
def test_what_goes(
    holdings: list[Holding],
    roots: tuple[str, ...],
    before_s: float,
    max_bytes: int | None,
    runs: tuple[str, ...],
    blobs: tuple[str, ...],
) -> None:
    choice = choose(SIZES, holdings, frozenset(roots), before_s=before_s, max_bytes=max_bytes)
    assert (choice.runs, choice.blobs) == (runs, blobs)


class Home:
    """A home with a store, results and sessions. Nobody holds the pictures that are made here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder / "store")
        self.database = SqliteDatabase(folder / "runs.sqlite")
        self.results = Results(self.database)
        self.place = Place(folder, self.store, self.database, self.results, Runs(self.database))

    def picture(self, data: bytes) -> Image:
        with self.store.in_use():
            return Image(self.store.put(data, "image/png"), 1, 1)

    def result(self, run: str, made_s: float, **values: Value) -> None:
        asyncio.run(self.results.keep(f"key of {run}", encode_values(values), run=run, node="n"))
        self.database.execute("UPDATE sensorium_results SET made = ? WHERE run = ?", (made_s, run))

    def collect(self, limit: Limit = OLD, *, now_s: float = 40 * DAY_S, dry_run: bool = False) -> Collected:
        return collect(self.place, limit, now_s=now_s, dry_run=dry_run, see=lambda step, done, total: None)

    def there(self) -> set[str]:
        return {path.name for path in self.store.root.glob("??/*")}


@pytest.fixture
def place(tmp_path: Path) -> Home:
    return Home(tmp_path / "place")


def test_results_and_sessions_keep_their_blobs_and_the_rest_goes(place: Home) -> None:
    old, new, said, nobodys = (place.picture(name) for name in (b"old", b"new", b"said", b"nobody's"))
    place.result("old", 9 * DAY_S, out=old, words=Text("hey"))
    place.result("new", 11 * DAY_S, out=(new, None))
    open_session(place.folder, "talk").add([SessionMessage(role="user", text="a", parts={"image": said})])
    collected = place.collect()
    assert place.there() == {new.blob.digest, said.blob.digest}
    assert (collected.runs, collected.results, collected.blobs) == (["old"], 1, 2)
    assert collected.freed_bytes == old.blob.size_bytes + nobodys.blob.size_bytes
    assert place.database.execute("SELECT run FROM sensorium_results") == [("new",)]
    assert new.blob.read() == b"new"


def test_a_dry_run_says_what_would_go_and_lets_it_stay(place: Home) -> None:
    old, nobodys = place.picture(b"old"), place.picture(b"nobody's")
    place.result("old", 0.0, out=old)
    (place.store.root / ".new-x").write_bytes(b"half")
    would = place.collect(dry_run=True)
    assert place.there() == {old.blob.digest, nobodys.blob.digest}
    assert (place.store.root / ".new-x").exists()
    assert place.database.execute("SELECT count(*) FROM sensorium_results") == [(1,)]
    did = place.collect()
    assert (would.runs, would.blobs, would.freed_bytes, would.leftovers, would.left_bytes) == (
        did.runs,
        did.blobs,
        did.freed_bytes,
        did.leftovers,
        did.left_bytes,
    )
    assert place.there() == set()


def test_the_oldest_go_until_the_store_fits(place: Home) -> None:
    pictures = [place.picture(bytes([number]) * 1000) for number in range(4)]
    for number, made in enumerate(pictures):
        place.result(f"run {number}", 20 * DAY_S + number, out=made)
    collected = place.collect(Limit(30 * DAY_S, 2500))
    assert collected.runs == ["run 0", "run 1"]
    assert place.there() == {made.blob.digest for made in pictures[2:]}


def test_a_result_that_nobody_can_read_keeps_nothing_and_stops_nothing(place: Home) -> None:
    place.picture(b"nobody's")
    place.result("new", 39 * DAY_S, out=Text("hey"))
    place.database.execute("UPDATE sensorium_results SET value = ?", (b"\xc1 no values",))
    assert place.collect().blobs == 1


def test_a_damaged_session_stops_the_collection(place: Home) -> None:
    held = place.picture(b"said")
    open_session(place.folder, "talk").add([SessionMessage(role="user", text="a", parts={"image": held})])
    (place.folder / "sessions" / "talk.jsonl").write_bytes(b"\0\n")
    with pytest.raises(CallerError, match=r"not collected, .*talk\.jsonl:1"):
        place.collect(EVERYTHING)
    assert place.there() == {held.blob.digest}
    status = store_status(place.place, max_days=30, max_gb=None, see=lambda step, done, total: None)
    assert status.trouble is not None
    assert "talk.jsonl:1" in status.trouble


def test_an_empty_store_has_nothing_to_free(place: Home) -> None:
    collected = place.collect(Limit(0.0, 0))
    assert (collected.blobs, collected.runs, collected.freed_bytes, collected.left_bytes) == (0, [], 0, 0)


def test_what_no_store_has_put_there_is_listed_and_left(place: Home, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / A).write_bytes(b"precious")
    place.picture(b"nobody's")
    root = place.store.root
    (root / "aa").symlink_to(outside)
    (root / "bb").mkdir()
    (root / "bb" / B).mkdir()
    (root / "bb" / ("b" * 63 + "0")).symlink_to(outside / A)
    (root / "bb" / A).write_bytes(b"under another's shelf")
    (root / "bb" / "notes").write_bytes(b"notes")
    (root / ".new-link").symlink_to(outside / A)
    os.mkfifo(root / "bb" / ("b" * 63 + "1"))
    (root / "notes.txt").write_text("notes")
    collected = place.collect(EVERYTHING)
    foreign = [".new-link", "aa", *(f"bb/{name}" for name in sorted(os.listdir(root / "bb"))), "notes.txt"]
    assert collected.foreign == foreign
    assert len(os.listdir(root / "bb")) == 5
    assert (outside / A).read_bytes() == b"precious"
    assert (collected.blobs, collected.left_blobs) == (1, 0)


def test_a_damaged_blob_is_never_served_is_listed_and_goes(place: Home) -> None:
    made = place.picture(b"whole")
    place.result("new", 39 * DAY_S, out=made)
    place.store.path(made.blob.digest).write_bytes(b"hole!")
    with pytest.raises(OperatorError, match="is damaged"):
        made.blob.read()
    aside = f"{made.blob.digest[:2]}/{made.blob.digest}.damaged"
    status = store_status(place.place, max_days=30, max_gb=None, see=lambda step, done, total: None)
    assert status.damaged == [aside]
    assert place.collect().damaged == [aside]
    assert place.there() == set()


# Those at work


WORK = """
import sys
from pathlib import Path
from sensorium.store import Store

store = Store(Path(sys.argv[1]))
found = store.hold(sys.argv[2])
made = store.put(b"just made", "text/plain")
print(found, made.digest, flush=True)
sys.stdin.readline()
made.read()
print(store.read(sys.argv[2]).decode(), flush=True)
sys.stdin.readline()
"""
WRITE = """
import sys
from pathlib import Path
from sensorium.store import Store

Store(Path(sys.argv[1])).put_file(Path(sys.argv[2]), "text/plain")
"""
COLLECT = """
import os, signal, sys
from pathlib import Path
from sensorium.database import SqliteDatabase
from sensorium.project.collection import Limit, Place, collect
from sensorium.results import Results
from sensorium.runs import Runs
from sensorium.store import Store

home, step = Path(sys.argv[1]), sys.argv[2]
database = SqliteDatabase(home / "runs.sqlite")


def die(name, done, total):
    if name == step:
        os.kill(os.getpid(), signal.SIGKILL)

place = Place(home, Store(home / "store"), database, Results(database), Runs(database))
collect(place, Limit(0.0, None), now_s=1e10, dry_run=False, see=die)
"""


@contextmanager
def working(*arguments: object) -> Generator[subprocess.Popen[str]]:
    """A process of its own, which ends with the block."""
    command = [sys.executable, "-c", *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def told(child: subprocess.Popen[str]) -> list[str]:
    assert child.stdout is not None
    return child.stdout.readline().split()


def let_go_on(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


@pytest.mark.parametrize("now_s", [-1e10, 0.0, 1e12], ids=["the clock jumped back", "it stands", "it jumped on"])
def test_what_another_process_found_or_made_stays_while_it_is_at_work(place: Home, now_s: float) -> None:
    found, nobodys = place.picture(b"found"), place.picture(b"nobody's")
    with working(WORK, place.store.root, found.blob.digest) as child:
        was_there, made = told(child)
        assert was_there == "True"
        for digest in (made, found.blob.digest):  # as old as files can look
            os.utime(place.store.path(digest), (0, 0))
        collected = place.collect(Limit(0.0, 0), now_s=now_s)
        assert place.there() == {made, found.blob.digest}
        assert (collected.num_at_work, collected.blobs) == (1, 1)
        assert nobodys.blob.digest not in place.there()
        let_go_on(child)
        assert told(child) == ["found"]
    assert place.collect(Limit(0.0, 0), now_s=now_s).num_at_work == 0  # killed, it holds nothing
    assert place.there() == set()


def test_a_use_that_ends_during_a_collection_still_counts(place: Home) -> None:
    """As that of a run which wrote its result after the collection had read all results."""
    with place.store.uses.sweep() as sweep:
        made = place.picture(b"made and written down")
        assert made.blob.digest in sweep.held()
        path = place.store.path(made.blob.digest)
        assert list(sweep.remove({made.blob.digest: path})) == []
    place.collect(EVERYTHING)
    assert place.there() == set()


def test_what_is_made_outside_of_any_block_stays_while_its_store_lives(place: Home) -> None:
    other = Store(place.store.root)
    blob = other.put(b"held", "text/plain")
    place.collect(EVERYTHING)
    assert blob.read() == b"held"
    del other, blob
    place.collect(EVERYTHING)
    assert place.there() == set()


def test_blocks_within_and_beside_each_other_each_keep_what_was_held_during_them(place: Home) -> None:
    store = place.store
    with store.in_use():
        with store.in_use():
            blob = store.put(b"inner", "text/plain")
        place.collect(EVERYTHING)
        assert blob.read() == b"inner"
    place.collect(EVERYTHING)
    assert not store.hold(blob.digest)


def test_a_second_collection_at_the_same_time_is_told_so(place: Home) -> None:
    with place.store.uses.sweep(), pytest.raises(OperatorError, match="somebody else collects"):
        place.collect()


class Paint:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"image": PIL.Image.new("RGB", (8, 8), call["colour"])} for call in batch]

    def close(self) -> None: ...


class Wait:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        open(DOOR).close()
        return [{"width": call["image"].width} for call in batch]

    def close(self) -> None: ...


async def test_a_run_that_goes_on_loses_nothing_that_it_made_or_found(tmp_path: Path, door: Door) -> None:
    project = Scratch(tmp_path / "place")
    project.tool("paint", Paint, inputs={"colour": "text"}, outputs={"image": "image"}, header="import PIL.Image")
    header = f"DOOR = {str(door.path)!r}"
    project.tool("wait", Wait, inputs={"image": "image"}, outputs={"width": "number"}, header=header)
    painting = project.graph("""
        name: painting
        inputs: {colour: text}
        nodes: {paint: {tool: paint, with: {colour: $colour}}}
        outputs: {image: $paint.image}
    """)
    graph = project.graph("""
        name: waiting
        inputs: {given: image}
        nodes:
          old: {tool: paint, with: {colour: red}}
          new: {tool: paint, with: {colour: blue}}
          wait: {tool: wait, with: {image: $old.image}}
          again: {tool: wait, with: {image: $new.image}}
        outputs: {given: $given, old: $old.image, new: $new.image, width: $wait.width, other: $again.width}
    """)
    await painting.arun(colour="red")
    waits = asyncio.Event()
    begun: set[str] = set()

    def see(event: Event) -> None:
        if isinstance(event, NodeStarted):
            begun.add(event.node)
            if {"wait", "again"} <= begun:
                waits.set()

    given = PIL.Image.new("RGB", (4, 4))
    running = asyncio.create_task(graph.arun(given=given, options=RunOptions(on_event=see)))
    await waits.wait()
    store = Store(tmp_path / "place" / "store")
    place = Place(tmp_path / "place", store, project.database, project.results, project.runs)
    collected = await asyncio.to_thread(collect, place, Limit(0.0, 0), now_s=1e12, dry_run=False, see=see_nothing)
    assert (collected.blobs, collected.left_blobs) == (0, 3)
    assert collected.num_at_work > 0
    live = [result.run for result in project.results.read(lambda done, total: None)]
    assert len(live) == 1, "what the ended run made goes; what the run that goes on made stays, to be found again"
    door.open()
    result = await running
    for name in ("given", "old", "new"):
        result[name].open()
    assert result.status == "done"
    await project.close()


# Those who were killed


def test_a_writer_that_is_killed_leaves_no_blob_and_what_it_left_goes(place: Home, tmp_path: Path) -> None:
    source = tmp_path / "source"
    os.mkfifo(source)
    with working(WRITE, place.store.root, source) as child, source.open("wb", buffering=0) as pipe:
        for _ in range(64):  # more than a pipe and the writer's buffers hold, so that half a file is on the disk
            pipe.write(b"x" * 65536)
        assert [path.name[:5] for path in place.store.root.glob(".new-*")] == [".new-"]
        assert place.collect(EVERYTHING).leftovers == []  # it is being written
        child.kill()
        child.wait()
    assert place.there() == set()
    assert len(place.collect(EVERYTHING).leftovers) == 1
    assert list(place.store.root.glob(".new-*")) == []


@pytest.mark.parametrize("step", ["blobs", "results", "removed"])
def test_a_collection_that_is_killed_leaves_what_is_kept_whole_and_the_next_goes_on(place: Home, step: str) -> None:
    said = place.picture(b"said")
    open_session(place.folder, "talk").add([SessionMessage(role="user", text="a", parts={"image": said})])
    made = {f"run {number}": place.picture(b"%d" % number) for number in range(40)}
    for number, (run, picture) in enumerate(made.items()):
        place.result(run, float(number), out=picture)
    with working(COLLECT, place.folder, step) as child:
        assert child.wait() == -signal.SIGKILL
    assert said.blob.read() == b"said"
    for (run,) in place.database.execute("SELECT run FROM sensorium_results"):
        assert made[run].blob.read() == run.split()[1].encode()
    place.collect(EVERYTHING, now_s=1e10)
    assert place.there() == {said.blob.digest}
    assert place.database.execute("SELECT count(*) FROM sensorium_results") == [(0,)]


def test_the_database_gives_the_disk_back(place: Home) -> None:
    for number in range(200):
        place.result(f"run {number}", 0.0, out=Text("x" * 20_000))
    before = place.database.path.stat().st_size
    assert place.collect().results == 200
    assert place.database.path.stat().st_size < before / 10


# The command


def test_the_command_tells_who_holds_what_and_frees_what_nobody_does(sensorium: Command, home: Path) -> None:
    made = Home(home)
    kept, nobodys = made.picture(b"kept"), made.picture(b"nobody's")
    made.result("old", 0.0, out=kept)
    open_session(home, "talk").add([SessionMessage(role="user", text="a", parts={"image": kept})])
    status = json.loads(sensorium("store", "status", "--json").out)
    assert (status["blobs"], status["path"]) == (2, str(home / "store"))
    held = {name: held["blobs"] for name, held in status["held_by"].items()}
    assert held == {"results": 1, "sessions": 1, "at_work": 0, "nobody": 1}
    assert "nobody" in sensorium("store", "status").out
    assert json.loads(sensorium("store", "gc", "--dry-run", "--older-than", 1, "--json").out)["blobs"] == 1
    freed = json.loads(sensorium("store", "gc", "--older-than", 1, "--json").out)
    assert (freed["runs"], freed["blobs"], freed["freed_bytes"]) == (["old"], 1, nobodys.blob.size_bytes)
    assert "0.0 kB freed" in sensorium("store", "gc", "--max-gb", 0).out
    assert made.there() == {kept.blob.digest}


def test_limits_come_from_the_profile(sensorium: Command, home: Path, elsewhere: Path) -> None:
    (elsewhere / "sensorium.yaml").write_text(
        "sensorium: 1\nname: small\nprofile: p\nprofiles: {p: {limits: {store_days: 36500, store_gb: 0}}}\n"
    )
    made = Home(home)
    made.result("old", 0.0, out=made.picture(b"old"))
    status = json.loads(sensorium("store", "status", "--json").out)
    assert (status["max_days"], status["max_gb"]) == (36500, 0)
    assert json.loads(sensorium("store", "gc", "--json", "--max-gb", 1).out)["runs"] == []
    assert json.loads(sensorium("store", "gc", "--json").out)["runs"] == ["old"]


@pytest.mark.parametrize("days", ["-1", "many"])
def test_a_limit_that_is_none_is_refused(sensorium: Command, days: str) -> None:
    assert sensorium("store", "gc", "--older-than", days).code == 2


def test_a_damaged_session_has_the_command_refuse(sensorium: Command, home: Path) -> None:
    (home / "sessions").mkdir(parents=True)
    (home / "sessions" / "talk.jsonl").write_bytes(b"\0\n")
    ended = sensorium("store", "gc")
    assert (ended.code, "talk.jsonl:1" in ended.err) == (2, True)
    assert "cannot be collected" in sensorium("store", "status").out


def refuse_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def refuse(path: str | Path, flags: int, mode: int = 0o777, **more: int) -> int:
        if ".uses" in str(path) and flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opened(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", refuse)


def refuse_removal(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "unlink", refuse)


@pytest.mark.parametrize("make_read_only", [refuse_locks, refuse_removal])
def test_a_store_that_cannot_be_written_is_the_operators_to_mend(
    sensorium: Command,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_read_only: Callable[[pytest.MonkeyPatch], None],
) -> None:
    made = Home(home)
    made.picture(b"nobody's")
    make_read_only(monkeypatch)
    assert sensorium("store", "status").code == 0
    ended = sensorium("store", "gc")
    assert (ended.code, "cannot be collected: Read-only file system" in ended.err) == (5, True)


def see_nothing(step: str, done: int, total: int | None) -> None:
    """Is told, and tells nobody."""
