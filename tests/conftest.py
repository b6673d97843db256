"""What every test has: a home of its own, no warm workers left over, and the command line in this process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sensorium.cli import main

# A runner in the background may be started with interrupts ignored, and every command would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

STRANGER = Path(__file__).parent / "project"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh `SENSORIUM_HOME`, whose workers end with the command that started them."""
    folder = tmp_path / "home"
    monkeypatch.setenv("SENSORIUM_HOME", str(folder))
    monkeypatch.setenv("SENSORIUM_KEEP_WARM_S", "0")
    monkeypatch.delenv("SENSORIUM_PROFILE", raising=False)
    monkeypatch.delenv("SENSORIUM_DATABASE", raising=False)
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)  # spans of tests go nowhere
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that belongs to no project."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def sensorium(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The command line: `sensorium("list", "--json")`."""

    def call(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["sensorium", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capfd.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return call
