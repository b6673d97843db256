"""The key of an installation."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sensorium.errors import OperatorError
from sensorium.latent.frame import frame_key

RACER = """
import sys
from pathlib import Path
from sensorium.latent.frame import frame_key

print("ready", flush=True)
sys.stdin.readline()
print(frame_key(Path(sys.argv[1])).hex())
"""


def test_a_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    key = frame_key(home)
    assert len(key) == 32
    assert frame_key(home) == key
    assert (home / "frames.key").read_bytes() == key
    assert stat.S_IMODE((home / "frames.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert [path.name for path in home.iterdir()] == ["frames.key"]
    assert frame_key(tmp_path / "another") != key


def test_processes_that_ask_at_once_get_one_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACER, str(tmp_path / "home")]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    keys = {racer.communicate(timeout=60)[0] for racer in racers}
    assert keys == {frame_key(tmp_path / "home").hex() + "\n"}
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["frames.key"]


@pytest.mark.parametrize("size", [0, 31, 33, 1 << 20])
def test_a_key_of_another_length_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "frames.key"
    path.write_bytes(bytes(size))
    path.chmod(0o600)
    with pytest.raises(OperatorError, match=f"has {size:,} bytes, a key 32; remove it, and a new one is made"):
        frame_key(tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_a_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    frame_key(tmp_path)
    (tmp_path / "frames.key").chmod(mode)
    with pytest.raises(OperatorError, match=f"has mode {mode:04o}, which lets others at it; remove it"):
        frame_key(tmp_path)


def test_what_is_no_file_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "frames.key"
    (tmp_path / "elsewhere").write_bytes(bytes(32))
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OperatorError, match="cannot be had: Too many levels of symbolic links"):
        frame_key(tmp_path)
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OperatorError, match="cannot be had"):
        frame_key(tmp_path)
    assert not (tmp_path / "nowhere").exists()
    path.unlink()
    path.mkdir()
    with pytest.raises(OperatorError, match="is no file of yours; remove it"):
        frame_key(tmp_path)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(OperatorError, match="is no file of yours"):
        frame_key(tmp_path)


def test_a_home_that_is_no_folder_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(OperatorError, match=r"cannot be had: .* look at the disk and its rights"):
        frame_key(tmp_path / "home")
