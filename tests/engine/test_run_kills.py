"""Runs whose processes are killed again and again, by the command that `benchmarks/kills.py` is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 16
SEED = 4
PATIENCE_S = 300.0
COMMAND = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.slow
def test_killed_runs_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    words = ["--kills", str(KILLS), "--seed", str(SEED), "--results", str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, COMMAND, *words], env=environment, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads((tmp_path / "kills.json").read_text())
    killed, *wrong = [figure["value"] for figure in told["figures"]]
    assert killed >= KILLS
    assert wrong == [0, 0, 0]
