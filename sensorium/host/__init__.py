"""Where tools live. A tool is bound (`Binding`), loaded, and called; whoever calls does not see where it lives."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensorium.host.inline import InlineHost as InlineHost
    from sensorium.host.worker import WorkerHost as WorkerHost

_HOMES = {"InlineHost": "sensorium.host.inline", "WorkerHost": "sensorium.host.worker"}

__all__ = ["InlineHost", "WorkerHost"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sensorium.host' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(home), name)
