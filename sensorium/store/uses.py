"""Who is at work in a store, and which of its blobs they hold on to.

A blob is collected when nothing that is kept refers to it. Between the moment when a process makes or finds a blob and
the moment when a result, a run or a session that refers to it is on the disk, only that process knows. So it writes the
blob's digest into a file of its own, a *use*, which it keeps locked: whoever collects reads the uses too.

No blob that is in use is lost, and no clock has a say in it, however it jumps:

- A process holds a blob *before* it looks whether the blob is there. Digests are written under the shared gate, blobs
  are removed under the exclusive one by somebody who has just read all uses. So either the digest was read, and the
  blob stays; or it is written after the blob was removed, and the process finds it missing and makes it anew.
- A use that ends while a collection goes on leaves its file: what it held counts until that collection is over, since
  the collection may have read what is kept before the user wrote it there. A use that had ended when the collection
  began counts for nothing: what its user had to write was written.
- The kernel unlocks the use of a process that dies, at whatever point. Its file goes with the next collection.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
import threading
import weakref
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path

__all__ = ["Busy", "Sweep", "Uses"]

FOLDER = ".uses"
_PREFIX = "use-"
_PRIVATE = 0o700
_AT_ONCE = 16
"""Blobs that are removed while nobody can hold one: few, so that runs hardly wait."""
_HELD = re.compile(rb"^[0-9a-f]{64}$", re.MULTILINE)


class Busy(Exception):
    """Somebody else collects already."""


class _Use:
    """Holds on to blobs until it ends, or its process does. Its file is made with the first blob."""

    def __init__(self, folder: Path) -> None:
        self.held: set[str] = set()
        self._folder = folder
        self._path = ""
        self._handle = -1

    def hold(self, digest: str) -> None:
        """Writes a digest down; the shared gate is held."""
        if self._handle < 0:
            self._handle, self._path = tempfile.mkstemp(prefix=_PREFIX, dir=self._folder)
            fcntl.flock(self._handle, fcntl.LOCK_EX)
        line = b"\n%b\n" % digest.encode()  # what a full disk took of the line before ends here
        while line:
            line = line[os.write(self._handle, line) :]
        self.held.add(digest)

    def end(self) -> None:
        """Lets go."""
        if self._handle < 0:
            return
        with contextlib.suppress(OSError), _locked(self._folder / "collection", fcntl.LOCK_SH | fcntl.LOCK_NB):
            os.unlink(self._path)
        os.close(self._handle)
        self._handle = -1


class Uses:
    """The uses of one store. Safe to use from many threads and processes at once. Methods raise `OSError`.

    Args:
        store: The store's directory; made, readable by its owner alone, when something is held.
    """

    def __init__(self, store: Path) -> None:
        self._folder = store / FOLDER
        self._lock = threading.Lock()
        self._scopes: list[_Use] = []
        self._lasting = _Use(self._folder)
        weakref.finalize(self, self._lasting.end)

    @contextlib.contextmanager
    def scope(self) -> Generator[None]:
        """Keeps what is held while the block runs until the block ends."""
        use = _Use(self._folder)
        with self._lock:
            self._scopes.append(use)
        try:
            yield
        finally:
            with self._lock:
                self._scopes.remove(use)
            use.end()

    def hold(self, digest: str) -> None:
        """Has no collection take a blob before the scopes that are open now have ended; without any, while this lives.

        Whether the blob is there must be looked up afterwards.
        """
        with self._lock:
            wanting = [use for use in self._scopes or [self._lasting] if digest not in use.held]
            if wanting:
                with self.gate():
                    for use in wanting:
                        use.hold(digest)

    @contextlib.contextmanager
    def gate(self) -> Generator[None]:
        """Keeps collections from removing anything while the block runs, which must be short."""
        self._make_folder()
        with _locked(self._folder / "gate", fcntl.LOCK_SH):
            yield

    @contextlib.contextmanager
    def sweep(self) -> Generator[Sweep]:
        """The store for one collection, which must read what is kept within the block.

        Raises:
            Busy: Somebody else collects already.
            OSError: The store cannot be written.
        """
        self._make_folder()
        with contextlib.ExitStack() as locks:
            try:
                locks.enter_context(_locked(self._folder / "collector", fcntl.LOCK_EX | fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise Busy from error
            locks.enter_context(_locked(self._folder / "collection", fcntl.LOCK_EX))
            yield Sweep(self._folder)

    def _make_folder(self) -> None:
        self._folder.parent.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        self._folder.mkdir(mode=_PRIVATE, exist_ok=True)

    def look(self) -> tuple[int, frozenset[str]]:
        """How many uses go on, and what they hold, for people: it may be otherwise a moment later."""
        going = [path for path in _files(self._folder) if not _is_free(path, fcntl.LOCK_SH)]
        return len(going), frozenset(digest for path in going for digest in _read(path))


class Sweep:
    """A collection's hands: it removes what nobody holds. Methods raise `OSError`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with _locked(folder / "gate", fcntl.LOCK_EX):
            for path in _files(folder):
                if _is_free(path, fcntl.LOCK_EX):
                    path.unlink()
        self.num_at_work = len(_files(folder))
        """Uses that went on when the collection began."""

    def held(self) -> frozenset[str]:
        """Everything that somebody has held since the collection began."""
        return frozenset(digest for path in _files(self._folder) for digest in _read(path))

    def remove(self, blobs: Mapping[str, Path]) -> Generator[str]:
        """Removes blobs that nobody holds; the digest of each when it is gone."""
        names = list(blobs)
        for start in range(0, len(names), _AT_ONCE):
            gone: list[str] = []
            with _locked(self._folder / "gate", fcntl.LOCK_EX):
                held = self.held()
                for digest in names[start : start + _AT_ONCE]:
                    if digest not in held:
                        blobs[digest].unlink(missing_ok=True)
                        gone.append(digest)
            yield from gone

    def free_leftovers(self, paths: Iterable[Path]) -> list[Path]:
        """Files among `paths` that nobody writes any more."""
        with _locked(self._folder / "gate", fcntl.LOCK_EX):
            return [path for path in paths if _is_free(path, fcntl.LOCK_EX)]

    def remove_leftovers(self, paths: Iterable[Path]) -> Generator[Path]:
        """Removes files that nobody writes any more; each when it is gone."""
        for path in paths:
            with _locked(self._folder / "gate", fcntl.LOCK_EX):
                is_free = _is_free(path, fcntl.LOCK_EX)
                if is_free:
                    path.unlink(missing_ok=True)
            if is_free:
                yield path


@contextlib.contextmanager
def _locked(path: Path, lock: int) -> Generator[None]:
    """Holds the lock of a file, which is made where it is absent."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, lock)
        yield
    finally:
        os.close(handle)


def _files(folder: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    return [folder / name for name in names if name.startswith(_PREFIX)]


def _is_free(path: Path, lock: int) -> bool:
    """Whether nobody has locked a file; a file that is gone is nobody's any more, and so not free."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, lock | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def _read(path: Path) -> list[str]:
    try:
        return [digest.decode() for digest in _HELD.findall(path.read_bytes())]
    except FileNotFoundError:
        return []
