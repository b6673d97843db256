"""Sensorium: typed graphs of language models and specialist models.

The names below load on first use, so that `import sensorium` costs next to nothing and a worker's process can import
`sensorium.worker` without the engine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensorium.errors import SensoriumError as SensoriumError
    from sensorium.graph import Graph as Graph
    from sensorium.graph import Question as Question
    from sensorium.graph import Result as Result
    from sensorium.graph import RunOptions as RunOptions
    from sensorium.graph import Verdict as Verdict
    from sensorium.project import Project as Project
    from sensorium.project import examine as examine
    from sensorium.project import load as load

__version__ = "0.1.0"

_HOMES = {
    "Graph": "sensorium.graph",
    "Project": "sensorium.project",
    "Question": "sensorium.graph",
    "Result": "sensorium.graph",
    "RunOptions": "sensorium.graph",
    "SensoriumError": "sensorium.errors",
    "Verdict": "sensorium.graph",
    "examine": "sensorium.project",
    "load": "sensorium.project",
}

__all__ = [
    "Graph",
    "Project",
    "Question",
    "Result",
    "RunOptions",
    "SensoriumError",
    "Verdict",
    "__version__",
    "examine",
    "load",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sensorium' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
