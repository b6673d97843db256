"""The pieces of the README that are marked to be run."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"

_SNIPPET = re.compile(r"<!-- snippet: (?P<name>\S+) -->\n```\w+\n(?P<text>.*?)```", re.DOTALL)


def snippet(name: str) -> str:
    found = {match["name"]: match["text"] for match in _SNIPPET.finditer(README.read_text(encoding="utf-8"))}
    return found[name]
