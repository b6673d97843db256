"""Virtual environments of tools that want their own: one for each set of requirements, under `SENSORIUM_HOME/envs`.

An environment counts as made when it holds `.complete`, which is written last: one that was interrupted is made anew.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from sensorium.errors import OperatorError
from sensorium.host.cpu_torch import CPU_INDEX, cpu_torch
from sensorium.host.lock import locked

__all__ = ["Environments"]

_ENGINE_NEEDS = ("numpy", "pillow", "msgspec")
_NAMED = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*==", re.MULTILINE)
_LAST_LINES = 15
_LOCK_S = 3600.0


class Environments:
    """Environments under one home. Blocking; safe to use from many processes at once.

    Args:
        home: `SENSORIUM_HOME`.
    """

    def __init__(self, home: Path) -> None:
        self._root = home.absolute() / "envs"

    def place(self, requirements: Path) -> Path:
        """The directory of the environment, whether it was made or not: the same requirements, the same directory.

        Raises:
            OperatorError: The requirements cannot be read.
        """
        texts = _texts(requirements)
        parts = [sys.version.split()[0], *_pins(texts), *texts]
        return self._root / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]

    def python(self, requirements: Path) -> Path:
        """The environment's interpreter.

        Raises:
            OperatorError: It was not made; or the requirements cannot be read.
        """
        place = self.place(requirements)
        if not (place / ".complete").is_file():
            tool = requirements.parent.name
            raise OperatorError(
                f"the environment that {requirements} asks for was not made; run `sensorium models pull {tool}`"
            )
        return _python(place)

    def make(self, requirements: Path, on_progress: Callable[[str], None] = lambda _line: None) -> Path:
        """The environment's interpreter; the environment is made where it is absent.

        What the requirements name is installed by pip under the user's own settings; before it, without their
        dependencies, the packages of the file beside it whose name ends in `.no-deps.txt`. What the engine itself
        needs there comes at the version that is installed here, unless the requirements name another.

        Args:
            requirements: A requirements file.
            on_progress: Called with each line that pip says.

        Raises:
            OperatorError: It cannot be made; the message ends with pip's last lines.
        """
        place = self.place(requirements)
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            trouble = f"another command has been making {place} for {_LOCK_S / 3600:g} h; end it"
            with locked(place.with_suffix(".lock"), _LOCK_S, trouble):
                if not (place / ".complete").is_file():
                    _make(place, requirements, on_progress)
        except OSError as error:
            raise OperatorError(
                f"the environment for {requirements} cannot be made in {place}: {error.strerror or error}; look at the "
                "disk and its rights"
            ) from error
        return _python(place)


def _python(place: Path) -> Path:
    return place / "bin" / "python"


def _files(requirements: Path) -> list[Path]:
    """The files that say what is installed, in order; the one without dependencies need not be there."""
    no_deps = requirements.with_name(f"{requirements.stem}.no-deps.txt")
    return [no_deps, requirements] if no_deps.is_file() else [requirements]


def _texts(requirements: Path) -> list[str]:
    """What stands in the files.

    Raises:
        OperatorError: One cannot be read.
    """
    texts: list[str] = []
    for path in _files(requirements):
        try:
            texts.append(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise OperatorError(f"requirements {path} cannot be read: {error}") from error
    return texts


def _pins(texts: list[str]) -> list[str]:
    """What the engine's own modules need, as it is installed here, where the requirements do not name it themselves."""
    named = {name.lower() for text in texts for name in _NAMED.findall(text)}
    return [f"{name}=={importlib.metadata.version(name)}" for name in _ENGINE_NEEDS if name not in named]


def _make(place: Path, requirements: Path, on_progress: Callable[[str], None]) -> None:
    shutil.rmtree(place, ignore_errors=True)
    try:
        on_progress(f"making an environment for {requirements}")
        _say(
            [sys.executable, "-m", "venv", *(["--without-pip"] if _has_pip() else []), str(place)],
            requirements,
            on_progress,
        )
        _take_settings(place)
        pip = [*_pip(place), "install", "--disable-pip-version-check", "--progress-bar", "off"]
        texts = _texts(requirements)
        for wanted in cpu_torch(texts):
            _say([*pip, "--no-deps", "--index-url", CPU_INDEX, wanted], requirements, on_progress)
        for path in _files(requirements):
            own = [] if path == requirements else ["--no-deps"]
            needed = _pins(texts) if path == requirements else []
            _say([*pip, *own, "-r", str(path), *needed], requirements, on_progress)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    (place / ".complete").touch()


def _has_pip() -> bool:
    return importlib.util.find_spec("pip") is not None


def _pip(place: Path) -> list[str]:
    """Our own pip where we have one, which spares the environment a pip of its own."""
    if _has_pip():
        return [sys.executable, "-m", "pip", "--python", str(_python(place))]
    return [str(_python(place)), "-m", "pip"]


def _take_settings(place: Path) -> None:
    """Settings of pip that stand in our own environment hold in the new one too."""
    ours = Path(sys.prefix) / "pip.conf"
    if ours.is_file():
        shutil.copyfile(ours, place / "pip.conf")


def _say(command: list[str], requirements: Path, on_progress: Callable[[str], None]) -> None:
    """Runs a command, passing on each line that it says."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                last.append(line.rstrip())
                on_progress(line.rstrip())
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
    if child.returncode != 0:
        lines = "\n".join(f"  {line}" for line in last)
        raise OperatorError(
            f"the environment for {requirements} cannot be made: {' '.join(command[1:3])} ended with exit code "
            f"{child.returncode}; look at the network and the requirements. Its last lines:\n{lines}"
        )
