"""What a tool loads, for whoever waits for it."""

from __future__ import annotations

from pathlib import Path

from sensorium.host.contract import Binding

__all__ = ["loading_words"]


def loading_words(binding: Binding) -> str:
    """The tool, its checkpoints and what they take on the disk, as in `loading see: minilm-l6-9e21d3d71721, 91 MB`."""
    if not binding.checkpoints:
        return f"loading {binding.spec.name}"
    names = ", ".join(path.name for path in binding.checkpoints.values())
    count = sum(_size_bytes(path) for path in set(binding.checkpoints.values()))
    return f"loading {binding.spec.name}: {names}, {count / 1e6:,.0f} MB"


def _size_bytes(path: Path) -> int:
    """Of a directory's files, as far as they can be seen."""
    try:
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    except OSError:
        return 0
