"""English prose for measuring with, read from the docstrings of installed packages, and kept nowhere."""

from __future__ import annotations

import ast
import importlib.util
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Prose", "prose"]

ROLE = re.compile(r":[a-z:]+:(?=`)|`")
"""What marks a name in a docstring."""
WORDS_OF_A_PARAGRAPH = 12
LETTERS = 0.95
"""Which share of a paragraph's characters are letters, spaces and the signs that prose has."""
SKIPPED = {"externals", "idlelib", "lib2to3", "site-packages", "test", "testing", "tests", "_lib", "_vendor", "vendor"}
"""Folders of tests and of what other packages have too."""
MARKED = re.compile(r">>>|\.\.|::|__|--|https?:|[{}<>|\\=*]")
"""What stands in code, tables, formulae and markup."""


@dataclass(frozen=True, slots=True)
class Prose:
    """The paragraphs of prose of one docstring, joined by spaces."""

    source: str
    """The package, the file inside it and the name of what is documented."""
    text: str


def prose(package: str, *, characters: int) -> Iterator[Prose]:
    """The prose of each of a package's docstrings that has enough of it, in the order of the files' names.

    The package is read, not imported. `stdlib` means Python's own library.
    """
    folder = _folder(package)
    seen = set[str]()
    for path in sorted(folder.rglob("*.py")):
        inside = path.relative_to(folder)
        if SKIPPED & set(inside.parts):
            continue
        for name, docstring in _docstrings(path):
            text = _text(docstring)
            if len(text) >= characters and text[:80] not in seen:
                seen.add(text[:80])
                yield Prose(f"{package}/{inside}:{name}", text)


def _folder(package: str) -> Path:
    if package == "stdlib":
        return Path(sysconfig.get_paths()["stdlib"])
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"{package} is not installed; pip install -e '.[box,dev]' installs what is measured with")
    return Path(found.origin).parent


def _docstrings(path: Path) -> Iterator[tuple[str, str]]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield getattr(node, "name", "module"), docstring


def _text(docstring: str) -> str:
    """The paragraphs of prose, joined; names stand in them without their marks."""
    blocks = (" ".join(block.split()) for block in re.split(r"\n\s*\n", docstring))
    return " ".join(text for text in (ROLE.sub("", block) for block in blocks) if _is_prose(text))


def _is_prose(text: str) -> bool:
    plain = sum(1 for sign in text if sign.isalpha() or sign in " ,.;:'\"()-")
    return (
        len(text.split()) >= WORDS_OF_A_PARAGRAPH
        and text[0].isupper()
        and text[-1] in ".!?"
        and not MARKED.search(text)
        and plain >= LETTERS * len(text)
    )
