"""The training of a bridge as the engine sees it: a job on the disk, and a process of its own that works on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import msgspec

import sensorium
from sensorium.errors import CallerError, OperatorError

__all__ = ["TrainingJob", "TrainingKept", "TrainingProgress", "text_files", "train", "write_whole"]

_SAID_LINES: Final = 6
_SUFFIXES: Final = (".md", ".rst", ".txt")
_READ_BYTES: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What a training is asked to do. It is kept beside its state, so that it can be resumed as it began."""

    name: str
    sender: str
    """Name of the checkpoint."""
    sender_folder: str
    """Directory of the transformers layout; so is the next."""
    receiver: str
    receiver_folder: str
    licences: list[str]
    texts: str
    """Folder with text files."""
    tap: str
    """`hidden[k]`."""
    stride: int
    hidden: int
    positions: int
    """States of the sender to learn from."""
    end_to_end: float
    """Share of the minutes that are spent with the receiver in the loop."""
    rate: float
    """Learning rate with the receiver in the loop."""
    minutes: float
    """CPU-minutes in all."""
    seed: int
    out: str
    """Folder in which the bridge's folder is made."""
    state: str
    """Folder of what is kept between two runs."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The job that was kept in a state folder.

        Raises:
            CallerError: There is none, or it is damaged.
        """
        path = folder / "job.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except OSError as error:
            raise CallerError(f"there is no training to resume in {folder}; begin it without --resume") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CallerError(f"{path} is no training ({error}); begin it again without --resume") from error

    def write(self) -> None:
        """Keeps the job in its state folder."""
        folder = Path(self.state)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "job.json", json.dumps(asdict(self), indent=2))


class TrainingKept(msgspec.Struct, frozen=True):
    """How far a training was when it was kept: `progress.json` of its state."""

    stage: str
    step: int
    positions: int
    cpu_minutes: float
    curve: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What was kept in a state folder.

        Raises:
            CallerError: It cannot be read.
        """
        path = folder / "progress.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CallerError(f"{path} does not tell how far the training is ({error}); begin it anew") from error


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """How far a training is."""

    stage: str
    """`states`, `regress`, `end-to-end`, or `done`."""
    share: float
    """Of the stage, 0 to 1."""
    step: int
    loss: float
    cpu_minutes: float
    """Spent in all, earlier runs included."""
    note: str = ""


def train(job: TrainingJob, on_progress: Callable[[TrainingProgress], None]) -> Path:
    """Trains a bridge in a process of its own, and gives the bridge's folder. An interrupt keeps what is done.

    Raises:
        OperatorError: The process failed; the message ends with its last lines.
    """
    job.write()
    said_path = Path(job.state) / "said.txt"
    with said_path.open("w+b") as said, _process(job, said) as process:
        assert process.stdout is not None
        for line in process.stdout:
            on_progress(TrainingProgress(**json.loads(line)))
        code = process.wait()
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()[-_SAID_LINES:]
    if code:
        raise OperatorError(f"training of bridge {job.name} failed with status {code}:\n" + "\n".join(lines))
    return Path(job.out) / job.name


@contextmanager
def _process(job: TrainingJob, said: Any) -> Generator[subprocess.Popen[bytes]]:
    """The process at work. It is told to keep what it has when the engine is interrupted, and waited for."""
    package = str(Path(sensorium.__file__).resolve().parent.parent)
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-m", "sensorium.latent.training", job.state],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=said,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"},
        start_new_session=True,  # an interrupt is ours to pass on
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        if process.stdout is not None:
            process.stdout.close()
        process.wait()


def write_whole(path: Path, text: str) -> None:
    """Writes a file of a training's state so that an end at any moment leaves the old one or the new one."""
    waiting = path.with_name(f".{path.name}")
    waiting.write_text(text, encoding="utf-8")
    waiting.replace(path)


def text_files(folder: str | Path) -> list[Path]:
    """The text files in a folder and below it, in order.

    Raises:
        CallerError: There are none.
    """
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix in _SUFFIXES and path.is_file())
    if not found:
        raise CallerError(f"{folder} has no text files; a bridge learns from {', '.join(_SUFFIXES)} files in a folder")
    return found
