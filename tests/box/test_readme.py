"""The README's twenty lines, as written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from skimage.data import data_dir

from tests.snippets import snippet

pytestmark = pytest.mark.models


def test_the_twenty_lines_run(elsewhere: Path) -> None:
    shutil.copy(Path(data_dir) / "chelsea.png", elsewhere / "cat.png")
    shutil.copy(Path(data_dir) / "coffee.png", elsewhere / "cup.png")
    done = subprocess.run(
        [sys.executable, "-c", snippet("twenty")], capture_output=True, text=True, cwd=elsewhere, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "1 (1, 300, 451)" in done.stdout
    assert "RunFinished" in done.stdout
    assert (elsewhere / "mask.png").is_file()
