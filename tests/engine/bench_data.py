"""A small data set in the TaskBench format: a post office that reads, writes and says letters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["LINKS", "SAMPLES", "TOOLS", "write_bench"]

TOOLS: list[dict[str, Any]] = [
    {"id": "Letter Scanner", "desc": "Takes a picture of a letter.", "input-type": ["text"], "output-type": ["image"]},
    {"id": "Letter Reader", "desc": "Reads a picture's words.", "input-type": ["image"], "output-type": ["text"]},
    {"id": "Letter Writer", "desc": "Writes a letter anew.", "input-type": ["text"], "output-type": ["text"]},
    {"id": "Letter-to-Voice (slow)", "desc": "Says words.", "input-type": ["text"], "output-type": ["audio"]},
]

LINKS: list[dict[str, str]] = [
    {"source": "Letter Scanner", "target": "Letter Reader"},
    {"source": "Letter Reader", "target": "Letter Writer"},
    {"source": "Letter Reader", "target": "Letter-to-Voice (slow)"},
    {"source": "Letter Writer", "target": "Letter-to-Voice (slow)"},
]


def sample(name: str, request: str, tools: Sequence[str], links: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    return {
        "id": name,
        "user_request": request,
        "task_nodes": [{"task": tool} for tool in tools],
        "task_links": [{"source": source, "target": target} for source, target in links],
    }


SAMPLES: list[dict[str, Any]] = [
    sample("read", "Which words stand in note.png?", ["Letter Reader"]),
    sample(
        "say",
        "Say what stands in note.png.",
        ["Letter-to-Voice (slow)", "Letter Reader"],
        [("Letter Reader", "Letter-to-Voice (slow)")],
    ),
    sample(
        "both",
        "Write note.png anew, and say it too.",
        ["Letter Reader", "Letter Writer", "Letter-to-Voice (slow)"],
        [("Letter Reader", "Letter Writer"), ("Letter Reader", "Letter-to-Voice (slow)")],
    ),
]


def write_bench(
    folder: Path,
    *,
    samples: Sequence[Mapping[str, Any]] = SAMPLES,
    tools: Sequence[Mapping[str, Any]] = TOOLS,
    links: Sequence[Mapping[str, str]] | None = LINKS,
) -> Path:
    """Writes the three files; without links two."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{json.dumps(sample, ensure_ascii=False)}\n" for sample in samples)
    (folder / "data.json").write_text(lines, encoding="utf-8")
    (folder / "tool_desc.json").write_text(json.dumps({"nodes": list(tools)}), encoding="utf-8")
    if links is not None:
        (folder / "graph_desc.json").write_text(json.dumps({"links": list(links)}), encoding="utf-8")
    return folder
