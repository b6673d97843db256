"""Where the box, the project and Sensorium's home lie, and what a folder's digest is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import sensorium
from sensorium.errors import CallerError, OperatorError

__all__ = ["box_folder", "find_project", "folder_digest", "home_folder", "members"]

PROJECT_FILE = "sensorium.yaml"

_CACHES = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


def box_folder() -> Path:
    """The folder of the box: within an installed package, or the checkout that an editable install points at.

    Raises:
        OperatorError: The installation is incomplete.
    """
    package = Path(sensorium.__file__).resolve().parent
    for folder in (package / "_box", package.parent):
        if (folder / PROJECT_FILE).is_file() and (folder / "tools").is_dir():
            return folder
    raise OperatorError(f"the box is missing from {package}; install sensorium again")


def home_folder() -> Path:
    """`SENSORIUM_HOME`, or `~/.sensorium`: checkpoints, store, environments, runs. Made where it is absent.

    Raises:
        OperatorError: It cannot be made or written.
    """
    home = Path(os.environ.get("SENSORIUM_HOME") or Path.home() / ".sensorium").expanduser().absolute()
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OperatorError(
            f"{home} cannot be made ({error.strerror}); set SENSORIUM_HOME to a folder that can be written"
        ) from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise OperatorError(f"{home} cannot be written; set SENSORIUM_HOME to a folder that can be")
    return home


def find_project(start: Path | None) -> Path | None:
    """The nearest folder at or above the working directory with `sensorium.yaml` or `graphs/`; None without one.

    Args:
        start: A folder that is the project itself, instead of looking upwards.

    Raises:
        CallerError: `start` is no folder.
    """
    if start is not None:
        if not start.is_dir():
            raise CallerError(f"project {start} is not a folder; give the folder that holds {PROJECT_FILE}")
        return start.resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).is_file() or (folder / "graphs").is_dir():
            return folder
    return None


def members(folder: Path, kind: str, marker: str) -> Iterator[Path]:
    """Folders below `folder/kind` that hold a file `marker`, in order of name."""
    base = folder / kind
    if base.is_dir():
        yield from (path for path in sorted(base.iterdir()) if (path / marker).is_file())


def folder_digest(folder: Path) -> str:
    """SHA-256 over names and bytes of a folder's files; caches and hidden files don't count."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if path.is_file() and not any(part in _CACHES or part.startswith(".") for part in inner.parts):
            name, data = str(inner).encode(), path.read_bytes()
            total.update(b"%d:%b%d:" % (len(name), name, len(data)))
            total.update(data)
    return total.hexdigest()
