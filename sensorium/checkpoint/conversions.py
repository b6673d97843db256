"""Conversions of checkpoints by name. Each runs once, in a process of its own that may import what it likes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sensorium
from sensorium.errors import AuthorError, OperatorError

__all__ = ["CONVERSIONS", "Conversion", "conversion", "run_conversion"]

_LOOK_S = 0.5
_LIMIT_S = 3600.0
_SAID_LINES = 6


@dataclass(frozen=True, slots=True)
class Conversion:
    """How files become other files."""

    name: str
    version: int
    """Part of the identity of what it makes: raised when the result changes."""
    module: str
    """Module with `convert(source, target)`: reads the directory `source`, writes new files into `target`."""
    growth: float
    """Bytes written for each byte read, at most."""

    @property
    def identity(self) -> str:
        """Stands in digests."""
        return f"{self.name} {self.version}"


CONVERSIONS = {
    made.name: made
    for made in (
        Conversion("pickle-to-safetensors", 1, "sensorium.checkpoint.convert_pickle", 1.1),
        Conversion("gguf-to-transformers", 1, "sensorium.checkpoint.convert_gguf", 4.0),
        Conversion("ctranslate2-to-openai-whisper", 1, "sensorium.checkpoint.convert_whisper", 1.1),
    )
}


def conversion(name: str) -> Conversion:
    """The conversion of that name.

    Raises:
        AuthorError: There is none.
    """
    if name not in CONVERSIONS:
        raise AuthorError(f"conversion {name!r} is unknown; conversions: {', '.join(CONVERSIONS)}")
    return CONVERSIONS[name]


def run_conversion(wanted: Conversion, source: Path, target: Path, on_tick: Callable[[], None]) -> None:
    """Runs a conversion in a process of its own and returns when its files lie in `target`.

    Args:
        wanted: The conversion.
        source: Directory of verified files.
        target: An empty directory.
        on_tick: Called now and then while the process works; what it raises ends the process.

    Raises:
        OperatorError: The process failed or took an hour; the message ends with its last lines.
    """
    package = str(Path(sensorium.__file__).resolve().parent.parent)
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-m", "sensorium.checkpoint.convert", wanted.name, str(source), str(target)]
    said_path = target.with_name(f"{target.name}.said")
    with said_path.open("w+b") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"},
            start_new_session=True,  # an interrupt is ours to pass on
        )
        try:
            code = _wait(process, wanted, on_tick)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            said_path.unlink()
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()[-_SAID_LINES:]
    if code:
        raise OperatorError(f"conversion {wanted.name} of {source} failed with status {code}:\n" + "\n".join(lines))


def _wait(process: subprocess.Popen[bytes], wanted: Conversion, on_tick: Callable[[], None]) -> int:
    for _ in range(int(_LIMIT_S / _LOOK_S)):
        try:
            return process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            on_tick()
    raise OperatorError(f"conversion {wanted.name} is not done after {_LIMIT_S:.0f} seconds; it was ended")
