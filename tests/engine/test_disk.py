"""How much lies on the disk."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from sensorium.disk import tree_bytes


def test_files_below_a_folder_count(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "one").write_bytes(b"1234")
    (tmp_path / "a" / "b" / "two").write_bytes(b"12345")
    assert tree_bytes(tmp_path) == 9
    assert tree_bytes(tmp_path / "nowhere") == 0


def test_folders_that_come_and_go_meanwhile_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "stays").write_bytes(b"1234")
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            for number in range(20):
                (tmp_path / f"unpack-{number}" / "inner").mkdir(parents=True)
            for number in range(20):
                shutil.rmtree(tmp_path / f"unpack-{number}")

    busy = threading.Thread(target=churn)
    busy.start()
    try:
        assert {tree_bytes(tmp_path) for _ in range(500)} == {4}
    finally:
        done.set()
        busy.join()
