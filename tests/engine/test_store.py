from __future__ import annotations

import errno
import os
import resource
import stat
from pathlib import Path

import pytest

from sensorium.errors import OperatorError
from sensorium.store import Store


def test_what_is_put_can_be_read_under_its_digest(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    blob = store.put(b"hello", "text/plain")
    assert (blob.size_bytes, blob.media_type, blob.read()) == (5, "text/plain", b"hello")
    assert store.hold(blob.digest)
    assert store.path(blob.digest).read_bytes() == b"hello"


def test_equal_bytes_lie_once_whether_they_come_from_memory_or_a_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3_000_001))
    from_file = store.put_file(source, "application/octet-stream")
    from_memory = store.put(source.read_bytes(), "application/octet-stream")
    assert from_file == from_memory
    assert from_file.size_bytes == 3_000_001
    assert len(list(store.root.glob("??/*"))) == 1


def test_the_directory_is_its_owners_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    blob = store.put(b"secret", "text/plain")
    for place in (store.root, store.path(blob.digest).parent):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_damaged_bytes_are_reported_and_never_served_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    blob = store.put(b"hello", "text/plain")
    store.path(blob.digest).write_bytes(b"jello")
    with pytest.raises(OperatorError, match="is damaged"):
        blob.read()
    assert not store.hold(blob.digest)
    store.put(b"hello", "text/plain")
    assert blob.read() == b"hello"


def test_a_blob_cut_short_is_written_anew(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    blob = store.put(b"hello", "text/plain")
    store.path(blob.digest).write_bytes(b"hel")
    assert store.put(b"hello", "text/plain").read() == b"hello"


def test_a_missing_blob_is_an_operators_matter(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="is missing"):
        Store(tmp_path).read("0" * 64)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "0" * 63])
def test_only_digests_reach_the_disk(tmp_path: Path, digest: str) -> None:
    with pytest.raises(OperatorError, match="not a blob's digest"):
        Store(tmp_path).path(digest)


@pytest.mark.parametrize(
    ("number", "says"), [(errno.ENOSPC, "is full"), (errno.EROFS, "cannot be written"), (errno.EACCES, "cannot be")]
)
def test_a_disk_that_takes_nothing_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    store = Store(tmp_path / "store")

    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OperatorError, match=says):
        store.put(b"hello", "text/plain")
    assert [path.name for path in store.root.iterdir()] == [".uses"]


def test_a_disk_that_takes_only_a_beginning_is_told_of_and_keeps_nothing(tmp_path: Path) -> None:
    """The process may write files of ten bytes, so that what is left in buffers fails once more when they close."""
    store = Store(tmp_path / "store")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OperatorError, match="cannot be written"):
            store.put(b"hello" * 10, "text/plain")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in store.root.iterdir()] == [".uses"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="nowhere"):
        Store(tmp_path / "store").put_file(tmp_path / "nowhere", "image/png")
