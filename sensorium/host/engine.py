"""The few modules that a worker's process needs, set apart.

An interpreter of a tool's own environment sees these alone, and nothing else of the engine's environment; it brings
numpy, Pillow and msgspec itself.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import sensorium
from sensorium.errors import OperatorError

__all__ = ["engine_digest", "package_parent", "staged_engine"]

_PACKAGE = Path(sensorium.__file__).resolve().parent
_MODULES = ("__init__.py", "errors.py", "media.py", "parts.py", "spec/__init__.py", "spec/nearest.py", "spec/ports.py")


def package_parent() -> Path:
    """The directory from which `import sensorium` is this very engine."""
    return _PACKAGE.parent


@functools.cache
def engine_digest() -> str:
    """SHA-256 over the modules that a worker's process runs: another digest, another worker."""
    total = hashlib.sha256()
    for name in _names():
        data = (_PACKAGE / name).read_bytes()
        total.update(b"%b:%d:" % (name.encode(), len(data)))
        total.update(data)
    return total.hexdigest()


def staged_engine(home: Path) -> Path:
    """A directory for `PYTHONPATH` that holds those modules as the package `sensorium`; made where it is absent.

    Raises:
        OperatorError: It cannot be written.
    """
    place = home / "engine" / engine_digest()[:20]
    if place.is_dir():
        return place
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
        try:
            for name in _names():
                target = temporary / "sensorium" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(_PACKAGE / name, target)
            os.rename(temporary, place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        if not place.is_dir():
            raise OperatorError(
                f"{place} cannot be made: {error.strerror or error}; free the disk or its rights"
            ) from error
    return place


def _names() -> list[str]:
    return [*_MODULES, *(f"worker/{path.name}" for path in sorted((_PACKAGE / "worker").glob("*.py")))]
