"""A tool's folder as code: `worker.py` and the modules beside it, under a private name.

The folder is never on `sys.path`, so a tool called `whisper` leaves the package whisper alone; the modules of the
folder reach each other by relative imports. No byte code is written into the folder or read from it: a file that was
edited twice within a second would otherwise run as it was.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import threading
import types
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ExtensionFileLoader, FileFinder, ModuleSpec
from importlib.machinery import SourceFileLoader as _SourceFileLoader
from pathlib import Path
from typing import Any, Protocol

__all__ = ["PACKAGE_PREFIX", "Tool", "WrongFolder", "load_tool"]

PACKAGE_PREFIX = "_sensorium_tool_"
"""How the private name of every tool's package begins."""
_METHODS = ("setup", "run", "close")
_registering = threading.Lock()
"""Tools of one process load on threads of their own, and would lose each other's finders."""


class Tool(Protocol):
    """What a tool's class is; `sensorium.worker` says what its methods do."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[dict[str, object]]) -> object: ...

    def close(self) -> None: ...


class WrongFolder(Exception):
    """The folder holds no tool; the message says why, and what would be right."""


class _Uncached(_SourceFileLoader):
    def get_code(self, fullname: str) -> types.CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


class _Finder:
    """Finds the modules of one tool's folder."""

    def __init__(self, package: str, folder: Path) -> None:
        self._prefix = package + "."
        self._kinds: list[tuple[Any, list[str]]] = [
            (ExtensionFileLoader, EXTENSION_SUFFIXES),
            (_Uncached, SOURCE_SUFFIXES),
        ]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(self._prefix):
            return None
        for folder in path or ():
            spec = FileFinder(folder, *self._kinds).find_spec(fullname)
            if spec is not None:
                return spec
        return None


def load_tool(name: str, folder: Path) -> Tool:
    """A new tool of the class in `folder/worker.py`; `setup` has not been called.

    Loading again reads the files again.

    Raises:
        WrongFolder: There is no `worker.py`, or it has not exactly one public class with the three methods.
        Exception: Whatever the module raises.
    """
    if not (folder / "worker.py").is_file():
        raise WrongFolder(f"{folder} holds no worker.py; a tool's folder holds tool.yaml, worker.py and README.md")
    module = importlib.import_module(f"{_package(name, folder)}.worker")
    tool: Tool = _public_class(module)()
    return tool


def _package(name: str, folder: Path) -> str:
    """The private package whose modules are the folder's files."""
    place = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    package = f"{PACKAGE_PREFIX}{name.replace('-', '_').replace('.', '_')}_{place}"
    root = types.ModuleType(package, f"The files of {folder}.")
    root.__path__ = [str(folder)]
    with _registering:
        for loaded in [key for key in list(sys.modules) if key == package or key.startswith(package + ".")]:
            del sys.modules[loaded]
        sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "_prefix", None) != package + "."]
        sys.modules[package] = root
        sys.meta_path.insert(0, _Finder(package, folder))
        importlib.invalidate_caches()
    return package


def _public_class(module: types.ModuleType) -> type[Any]:
    found = [
        thing
        for name, thing in vars(module).items()
        if isinstance(thing, type) and thing.__module__ == module.__name__ and not name.startswith("_")
    ]
    if len(found) != 1:
        names = ", ".join(thing.__name__ for thing in found) or "none"
        raise WrongFolder(
            f"worker.py has {len(found)} public classes ({names}); one would be right, others begin with _ or stand in "
            "a module beside it"
        )
    missing = [method for method in _METHODS if not callable(getattr(found[0], method, None))]
    if missing:
        raise WrongFolder(f"class {found[0].__name__} of worker.py has no {', '.join(missing)}; it wants all of "
                          "setup, run and close")  # fmt: skip
    return found[0]
