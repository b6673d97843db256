"""What lies in a store's directory: blobs, and what else. Links are never followed, strangers' files never touched."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sensorium.store.uses import FOLDER

__all__ = ["Shelves", "look_through"]

_SHELF = re.compile(r"[0-9a-f]{2}")
_BLOB = re.compile(r"[0-9a-f]{64}")
_DAMAGED = re.compile(r"[0-9a-f]{64}\.damaged")
_LEFTOVER = ".new-"


@dataclass(slots=True)
class Shelves:
    """Names of files are relative to the store's directory; sizes are in bytes."""

    blobs: dict[str, int] = field(default_factory=dict[str, int])
    """Size by digest."""
    damaged: dict[str, int] = field(default_factory=dict[str, int])
    """Size by name of blobs that were put aside since their bytes were not what their digest says."""
    leftovers: dict[str, int] = field(default_factory=dict[str, int])
    """Size by name of files that are being written, or were when their process died."""
    foreign: list[str] = field(default_factory=list[str])
    """Names of what no store has put here."""


def look_through(root: Path, see: Callable[[int], None]) -> Shelves:
    """What lies in a store's directory; nothing where there is none.

    Args:
        root: The directory.
        see: Is told how many blobs were found so far.

    Raises:
        OSError: It cannot be read.
    """
    found = Shelves()
    for entry in _entries(Path(root)):
        if entry.name == FOLDER and entry.is_dir(follow_symlinks=False):
            continue
        if _SHELF.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            _look_into(entry, found)
            see(len(found.blobs))
        elif entry.name.startswith(_LEFTOVER) and entry.is_file(follow_symlinks=False):
            found.leftovers[entry.name] = _size(entry)
        else:
            found.foreign.append(entry.name)
    return found


def _look_into(shelf: os.DirEntry[str], found: Shelves) -> None:
    for entry in _entries(Path(shelf.path)):
        is_ours = entry.name.startswith(shelf.name) and entry.is_file(follow_symlinks=False)
        if is_ours and _BLOB.fullmatch(entry.name):
            found.blobs[entry.name] = _size(entry)
        elif is_ours and _DAMAGED.fullmatch(entry.name):
            found.damaged[f"{shelf.name}/{entry.name}"] = _size(entry)
        else:
            found.foreign.append(f"{shelf.name}/{entry.name}")


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return


def _size(entry: os.DirEntry[str]) -> int:
    """In bytes; 0 where the file went meanwhile."""
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0
