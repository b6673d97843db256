"""A user's first project: one tool, one agent and one graph that run at once."""

from __future__ import annotations

import shutil
from pathlib import Path

from sensorium.errors import CallerError, OperatorError

__all__ = ["write_template"]

_TEMPLATE = Path(__file__).parent / "first_project"


def write_template(target: Path) -> list[Path]:
    """The files written below `target`, in order of name.

    Raises:
        CallerError: `target` is a file, or a folder that is not empty.
        OperatorError: It cannot be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CallerError(f"{target} is there already; give a new or an empty folder")
    try:
        shutil.copytree(_TEMPLATE, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    except OSError as error:
        raise OperatorError(f"{target} cannot be written: {error.strerror or error}") from error
    return sorted(path for path in target.rglob("*") if path.is_file())
