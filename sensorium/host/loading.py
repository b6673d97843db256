"""What a tool loads, for whoever waits for it."""

from __future__ import annotations

from sensorium.disk import tree_bytes
from sensorium.host.contract import Binding

__all__ = ["loading_words"]


def loading_words(binding: Binding) -> str:
    """The tool, its checkpoints and what they take on the disk, as in `loading see: minilm-l6-9e21d3d71721, 91 MB`."""
    if not binding.checkpoints:
        return f"loading {binding.spec.name}"
    names = ", ".join(path.name for path in binding.checkpoints.values())
    count = sum(tree_bytes(path) for path in set(binding.checkpoints.values()))
    return f"loading {binding.spec.name}: {names}, {count / 1e6:,.0f} MB"
