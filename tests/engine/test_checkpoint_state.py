"""What is here, what it is, and what happens when somebody meddles with it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sensorium.checkpoint import Checkpoints
from sensorium.errors import AuthorError, CallerError, OperatorError
from sensorium.spec.manifest import Manifest

FILES = {"weights.bin": b"w" * 1000, "sub/config.json": b"{}"}


def manifest(folder: Path, files: dict[str, bytes] = FILES, **more: Any) -> Manifest:
    """A checkpoint whose files lie in a local directory, made here."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    listed = [
        {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()
    ]
    return Manifest.model_validate(
        {"about": "Test.", "licence": "MIT", "files": listed, "places": [{"path": str(folder)}], **more}
    )


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "home", {"tiny-v1.5": manifest(tmp_path / "own")})


def test_a_checkpoint_is_absent_until_it_is_pulled_and_after_it_is_removed(checkpoints: Checkpoints) -> None:
    assert checkpoints.state("tiny-v1.5").state == "absent"
    with pytest.raises(OperatorError, match=r"`sensorium models pull tiny-v1\.5`"):
        checkpoints.directory("tiny-v1.5")
    directory = checkpoints.pull("tiny-v1.5")
    assert checkpoints.state("tiny-v1.5").state == "present"
    assert {name: (directory / name).read_bytes() for name in FILES} == FILES
    assert checkpoints.remove("tiny-v1.5") >= 1002
    assert checkpoints.state("tiny-v1.5").state == "absent"
    assert not directory.exists()


def test_the_directory_is_named_after_the_checkpoint_and_its_digest(checkpoints: Checkpoints) -> None:
    digest = checkpoints.digest("tiny-v1.5")
    assert checkpoints.pull("tiny-v1.5").name == f"tiny-v1.5-{digest[:12]}"
    assert len(digest) == 64


def test_the_digest_follows_the_bytes_and_the_conversion_and_nothing_else(tmp_path: Path) -> None:
    same = manifest(tmp_path / "a")
    manifests = {
        "one": same,
        "elsewhere": manifest(tmp_path / "b", licence="Apache-2.0"),
        "other-bytes": manifest(tmp_path / "c", {**FILES, "weights.bin": b"W" * 1000}),
        "other-name": manifest(tmp_path / "d", {"model.bin": FILES["weights.bin"], "sub/config.json": b"{}"}),
        "converted": manifest(tmp_path / "e", convert="pickle-to-safetensors"),
        "made": Manifest(about="Test.", licence="MIT", of="one", convert="gguf-to-transformers"),
        "made-of-other": Manifest(about="Test.", licence="MIT", of="other-bytes", convert="gguf-to-transformers"),
    }
    checkpoints = Checkpoints(tmp_path / "home", manifests)
    digests = {name: checkpoints.digest(name) for name in manifests}
    assert digests["one"] == digests["elsewhere"]
    assert len(set(digests.values())) == len(manifests) - 1


def test_an_unknown_name_is_answered_with_the_nearest(checkpoints: Checkpoints) -> None:
    for ask in (checkpoints.directory, checkpoints.pull, checkpoints.digest, checkpoints.state, checkpoints.remove):
        with pytest.raises(CallerError, match=r"did you mean 'tiny-v1\.5'\?"):
            ask("tinny-v1.5")


def test_a_checkpoint_made_of_itself_is_the_authors_fault(tmp_path: Path) -> None:
    loop = {
        name: Manifest(about="Test.", licence="MIT", of=other, convert="gguf-to-transformers")
        for name, other in (("a", "b"), ("b", "a"))
    }
    with pytest.raises(AuthorError, match="made from itself"):
        Checkpoints(tmp_path, loop).pull("a")


def remove_directory(directory: Path) -> None:
    shutil.rmtree(directory)


def remove_file(directory: Path) -> None:
    (directory / "weights.bin").unlink()


def cut_file(directory: Path) -> None:
    os.truncate(directory / "weights.bin", 10)


def change_file(directory: Path) -> None:
    path = directory / "weights.bin"
    path.write_bytes(b"W" * 1000)
    os.utime(path, ns=(1, 1))


def remove_record(directory: Path) -> None:
    (directory / ".sensorium.json").unlink()


def spoil_record(directory: Path) -> None:
    (directory / ".sensorium.json").write_text('{"files": 3')


@pytest.mark.parametrize(
    ("meddle", "state", "says"),
    [
        (remove_directory, "absent", "is not here"),
        (remove_file, "damaged", "weights.bin is missing"),
        (cut_file, "damaged", "10 bytes instead of 1,000"),
        (change_file, "damaged", "instead of"),
        (remove_record, "damaged", "record is missing"),
        (spoil_record, "damaged", "record is missing"),
    ],
)
def test_what_was_taken_away_or_changed_is_said_and_pulled_again(
    checkpoints: Checkpoints, meddle: Callable[[Path], None], state: str, says: str
) -> None:
    directory = checkpoints.pull("tiny-v1.5")
    meddle(directory)
    assert checkpoints.state("tiny-v1.5").state == state
    with pytest.raises(OperatorError, match=says):
        checkpoints.directory("tiny-v1.5")
    assert checkpoints.pull("tiny-v1.5") == directory
    assert (directory / "weights.bin").read_bytes() == FILES["weights.bin"]
    assert checkpoints.state("tiny-v1.5").state == "present"


def test_a_change_that_keeps_size_and_time_is_found_by_reading_everything(checkpoints: Checkpoints) -> None:
    path = checkpoints.pull("tiny-v1.5") / "weights.bin"
    times = path.stat()
    path.write_bytes(b"W" * 1000)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert checkpoints.directory("tiny-v1.5")
    assert "weights.bin has sha256" in checkpoints.verify("tiny-v1.5")[0]


def test_a_home_that_was_copied_is_as_good_as_the_first(tmp_path: Path, checkpoints: Checkpoints) -> None:
    directory = checkpoints.pull("tiny-v1.5")
    for path in directory.rglob("*"):
        os.utime(path, ns=(1, 1))
    assert checkpoints.directory("tiny-v1.5") == directory
    assert checkpoints.verify("tiny-v1.5") == []


def test_what_a_pull_needs_is_counted_once_and_without_what_is_here(tmp_path: Path) -> None:
    manifests = {
        "base": manifest(tmp_path / "own"),
        "made": Manifest(about="Test.", licence="MIT", of="base", convert="gguf-to-transformers"),
    }
    checkpoints = Checkpoints(tmp_path / "home", manifests)
    assert checkpoints.needs(["made", "base"]) == (1002, 1002 + 4 * 1002)
    checkpoints.pull("base")
    assert checkpoints.needs(["made", "base"]) == (0, 4 * 1002)
    assert checkpoints.needs([]) == (0, 0)


def test_removing_takes_versions_of_earlier_manifests_and_leaves_neighbours(tmp_path: Path) -> None:
    first = Checkpoints(tmp_path / "home", {"tiny": manifest(tmp_path / "a"), "tiny-two": manifest(tmp_path / "a")})
    first.pull("tiny")
    first.pull("tiny-two")
    second = Checkpoints(tmp_path / "home", {"tiny": manifest(tmp_path / "b", {"weights.bin": b"new"})})
    second.pull("tiny")
    second.remove("tiny")
    assert [path.name[:9] for path in (tmp_path / "home" / "checkpoints").iterdir()] == ["tiny-two-"]


def test_a_home_that_cannot_be_written_is_the_operators_matter(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(OperatorError, match="home"):
        Checkpoints(tmp_path / "home", {"tiny": manifest(tmp_path / "own")}).pull("tiny")


HARMFUL: list[dict[str, Any]] = [
    {"files": [{"name": "../evil", "sha256": "0" * 64, "bytes": 1}]},
    {"files": [{"name": "/etc/evil", "sha256": "0" * 64, "bytes": 1}]},
    {"files": [{"name": "a/../../evil", "sha256": "0" * 64, "bytes": 1}]},
    {"files": [{"name": ".sensorium.json", "sha256": "0" * 64, "bytes": 1}]},
    {"files": [{"name": "a", "sha256": "0" * 63, "bytes": 1}]},
    {"files": [{"name": "a", "sha256": "0" * 64, "bytes": -1}]},
    {"places": [{"wheel": "--index-url=https://elsewhere", "version": "1", "members": {}}]},
    {"places": [{"wheel": "evil @ https://elsewhere", "version": "1", "members": {}}]},
    {"places": [{"wheel": "fine", "version": "1 --pre", "members": {}}]},
    {"places": [{"wheel": "fine", "version": "1", "members": {"not-a-file": "x"}}]},
    {"places": [{"hub": "acme/tiny", "revision": "../../other"}]},
    {"places": []},
    {"of": "other", "convert": "gguf-to-transformers"},
]


@pytest.mark.parametrize("change", HARMFUL)
def test_a_manifest_that_could_do_harm_or_mean_nothing_is_refused(change: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "about": "Test.",
        "licence": "MIT",
        "files": [{"name": "a", "sha256": "0" * 64, "bytes": 1}],
        "places": [{"path": "/somewhere"}],
    }
    Manifest.model_validate(good)
    with pytest.raises(ValidationError):
        Manifest.model_validate({**good, **change})
