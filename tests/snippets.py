"""The pieces of the README that are marked to be run."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"

_SNIPPET = re.compile(r"<!-- snippet: (?P<name>\S+) -->\n```\w+\n(?P<text>.*?)```", re.DOTALL)


def snippet(name: str, path: Path = README) -> str:
    found = {match["name"]: match["text"] for match in _SNIPPET.finditer(path.read_text(encoding="utf-8"))}
    return found[name]
