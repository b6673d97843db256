"""The checkpoints of a home: what is here, where it lies, what it is, and how it gets here."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from sensorium.checkpoint.conversions import conversion
from sensorium.checkpoint.hub import Hub
from sensorium.checkpoint.pull import Listener, Pull, PullProgress
from sensorium.checkpoint.record import Record
from sensorium.disk import tree_bytes
from sensorium.errors import AuthorError, CallerError, OperatorError
from sensorium.spec.manifest import Manifest, WheelPlace
from sensorium.spec.nearest import meant

__all__ = ["CheckpointState", "Checkpoints", "Needs"]

_SHORT = 12
_MARGIN_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class CheckpointState:
    """What is on the disk of a checkpoint."""

    state: Literal["absent", "partial", "present", "damaged"]
    """`partial` is a pull that was interrupted; the next one goes on from there."""
    disk_bytes: int
    trouble: str = ""
    """What is damaged."""


class Needs(NamedTuple):
    """What a pull will take."""

    download_bytes: int
    """At most: wheels are packed, and what is here already is not fetched again."""
    disk_bytes: int
    """Free bytes wanted at the worst moment: files, what conversions write, and wheels until they are unpacked."""


def _ignore(progress: PullProgress) -> None:
    pass


class Checkpoints:
    """Weights under `home/checkpoints/NAME-DIGEST/`, as the manifests describe them.

    May be used by many processes at once: a directory appears whole, and two pulls of one checkpoint wait for each
    other.

    Args:
        home: `SENSORIUM_HOME`.
        manifests: By name.
        base: Where relative paths of local places begin: the project's folder.
    """

    def __init__(self, home: Path, manifests: Mapping[str, Manifest], *, base: Path | None = None) -> None:
        self._home = home
        self._manifests = manifests
        self._base = base or Path.cwd()

    @property
    def names(self) -> tuple[str, ...]:
        """All that have a manifest."""
        return tuple(self._manifests)

    def manifest(self, name: str) -> Manifest:
        """The manifest of that name.

        Raises:
            CallerError: There is none.
        """
        if name not in self._manifests:
            raise CallerError(f"checkpoint {name!r} is unknown; {meant(name, self._manifests)}")
        return self._manifests[name]

    def lineage(self, name: str) -> list[str]:
        """The checkpoint, after those that it is converted from.

        Raises:
            CallerError: One of them has no manifest.
            AuthorError: A checkpoint is converted from itself.
        """
        chain = [name]
        while (origin := self.manifest(chain[0]).of) is not None:
            if origin in chain:
                raise AuthorError(f"checkpoint {name!r} is made from itself: {' of '.join([origin, *chain])}")
            chain.insert(0, origin)
        return chain

    def digest(self, name: str) -> str:
        """Identity of the weights: SHA-256 over the names and digests of the files and what is made of them.

        It follows from the manifest, whether or not the checkpoint is here.

        Raises:
            CallerError: There is no such checkpoint.
            AuthorError: Its conversion is unknown.
        """
        digest = ""
        for link in self.lineage(name):
            manifest = self.manifest(link)
            lines = [f"{file.name} {file.sha256}" for file in sorted(manifest.files or [], key=lambda file: file.name)]
            if manifest.of is not None:
                lines.append(f"of {digest}")
            if manifest.convert is not None:
                lines.append(f"convert {conversion(manifest.convert).identity}")
            digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        return digest

    # What is here

    def state(self, name: str) -> CheckpointState:
        """Whether the checkpoint is here. Looks at sizes and times; a file is read only where those changed."""
        path = self._path(name)
        if path.is_dir():
            trouble = _damage(path)
            return CheckpointState("damaged" if trouble else "present", tree_bytes(path), trouble)
        unfinished = tree_bytes(self._partial(name))
        return CheckpointState("partial" if unfinished else "absent", unfinished)

    def directory(self, name: str) -> Path:
        """The directory with the files under the manifest's names, and those that its conversion made.

        Raises:
            OperatorError: It is absent or damaged; the message names the command that gets it.
            CallerError: There is no such checkpoint.
        """
        path = self._path(name)
        if not path.is_dir():
            raise OperatorError(f"checkpoint {name!r} is not here; `sensorium models pull {name}` gets it")
        if trouble := _damage(path):
            raise OperatorError(
                f"checkpoint {name!r} is damaged: {trouble} in {path}; `sensorium models pull {name}` gets it again"
            )
        return path

    def verify(self, name: str) -> list[str]:
        """What is wrong with the files, read and hashed whole; empty when nothing is.

        Raises:
            OperatorError: The checkpoint is not here.
        """
        path = self._path(name)
        if not path.is_dir():
            raise OperatorError(f"checkpoint {name!r} is not here; `sensorium models pull {name}` gets it")
        record = Record.read(path)
        return ["its record is missing"] if record is None else record.damage(path, full=True)

    def needs(self, names: Iterable[str]) -> Needs:
        """What pulling these would take, those that they are made from included."""
        download = lasting = passing = 0
        for name in dict.fromkeys(link for asked in names for link in self.lineage(asked)):
            if self.state(name).state == "present":
                continue
            manifest = self.manifest(name)
            missing = max(0, manifest.size_bytes - tree_bytes(self._partial(name) / "ready"))
            download += missing
            lasting += missing + self._made_bytes(name)
            if any(isinstance(place, WheelPlace) for place in manifest.places):
                passing = max(passing, missing)
        return Needs(download, lasting + passing)

    def _made_bytes(self, name: str) -> int:
        manifest = self.manifest(name)
        if manifest.convert is None:
            return 0
        read = manifest.size_bytes
        if manifest.of is not None:
            read = self.manifest(manifest.of).size_bytes + self._made_bytes(manifest.of)
        return int(read * conversion(manifest.convert).growth)

    # What comes and goes

    def pull(self, name: str, on_progress: Listener = _ignore, *, offline: bool = False) -> Path:
        """The checkpoint's directory, fetched and converted first where it is not here or damaged.

        An interrupt leaves it resumable: the next pull goes on from there.

        Args:
            name: The checkpoint.
            on_progress: Told how far the pull is; also by `note` which place is asked, and why one was passed over.
            offline: Whether only local directories may be asked; so does `SENSORIUM_OFFLINE=1`.

        Raises:
            OperatorError: No place gives the right bytes, the disk is short or full, or the conversion fails.
            CallerError: There is no such checkpoint.
        """
        digest, origin = self.digest(name), self.manifest(name).of
        if self.state(name).state == "present":
            return self._path(name)
        source = None if origin is None else self.pull(origin, on_progress, offline=offline)
        with self._lock(name, on_progress):
            if self.state(name).state != "present":
                self._require_space(name)
                is_offline = offline or os.environ.get("SENSORIUM_OFFLINE", "0") not in ("", "0")
                Pull(
                    name=name,
                    manifest=self.manifest(name),
                    digest=digest,
                    partial=self._partial(name),
                    target=self._path(name),
                    base=self._base,
                    hub=self._hub,
                    is_offline=is_offline,
                    listener=on_progress,
                    source=source,
                ).run()
        on_progress(PullProgress(name, "done"))
        return self._path(name)

    def remove(self, name: str) -> int:
        """Removes the checkpoint, unfinished pulls of it, and versions of earlier manifests; gives the bytes freed.

        Raises:
            OperatorError: It is being pulled, or cannot be removed.
            CallerError: There is no such checkpoint.
        """
        self.manifest(name)
        freed = 0
        with self._lock(name, None):
            mine = re.compile(re.escape(name) + rf"-[0-9a-f]{{{_SHORT}}}")
            for folder in (self._home / "checkpoints", self._home / "partial"):
                for path in sorted(folder.iterdir()) if folder.is_dir() else []:
                    if mine.fullmatch(path.name):
                        freed += tree_bytes(path)
                        _discard(path)
        return freed

    def _path(self, name: str) -> Path:
        return self._home / "checkpoints" / f"{name}-{self.digest(name)[:_SHORT]}"

    def _partial(self, name: str) -> Path:
        return self._home / "partial" / self._path(name).name

    @cached_property
    def _hub(self) -> Hub:
        return Hub()

    def _require_space(self, name: str) -> None:
        wanted = self.needs([name]).disk_bytes + _MARGIN_BYTES
        free = shutil.disk_usage(self._home).free
        kept = sum(tree_bytes(path) for path in self._partial(name).glob("*") if path.name != "ready")
        if free + kept < wanted:
            raise OperatorError(
                f"checkpoint {name!r} wants {_gigabytes(wanted)} of disk and {self._home} has {_gigabytes(free)} free: "
                f"{_gigabytes(wanted - free - kept)} are missing; make room, or set SENSORIUM_HOME to a larger disk"
            )

    @contextmanager
    def _lock(self, name: str, on_progress: Listener | None) -> Generator[None]:
        """Held by one process at a time; with `on_progress` a second one waits, without it is refused."""
        folder = self._home / "partial" / ".locks"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / name, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise OperatorError(f"{folder} cannot be written ({error.strerror})") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if on_progress is None:
                    raise OperatorError(f"checkpoint {name!r} is being pulled by another process") from error
                on_progress(PullProgress(name, "wait", note="another process is pulling it"))
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _damage(path: Path) -> str:
    record = Record.read(path)
    return "its record is missing" if record is None else "; ".join(record.damage(path))


def _discard(path: Path) -> None:
    """Takes the name away first, so that nobody finds half a directory."""
    leaving = path.with_name(f".removed-{os.getpid()}-{path.name}")
    try:
        path.replace(leaving)
        shutil.rmtree(leaving)
    except OSError as error:
        raise OperatorError(f"{error.filename or path} cannot be removed ({error.strerror})") from error


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
