"""All that a graph may call: frozen data, filled by the project, read by the checker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sensorium.spec.agent import AgentSpec
from sensorium.spec.graph import GraphSpec
from sensorium.spec.ports import Signature
from sensorium.spec.tool import ToolSpec

__all__ = ["AgentEntry", "Catalogue", "GraphEntry", "Origin", "ToolEntry"]

Origin = Literal["box", "project"]


@dataclass(frozen=True, slots=True)
class ToolEntry:
    """A tool that can be called."""

    spec: ToolSpec
    folder: Path
    """The folder that holds `tool.yaml` and `worker.py`."""
    origin: Origin
    digest: str
    """SHA-256 over the folder's files: an edited tool is another tool."""


@dataclass(frozen=True, slots=True)
class AgentEntry:
    """An agent that can be called."""

    spec: AgentSpec
    prompt: str
    """The text of `prompt.md`."""
    folder: Path
    origin: Origin
    digest: str
    """SHA-256 over the folder's files."""


@dataclass(frozen=True, slots=True)
class GraphEntry:
    """A graph that can be called, by itself or as a node."""

    spec: GraphSpec
    signature: Signature
    path: Path | None
    """The file; None for a graph built in Python."""
    origin: Origin


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything by name. `box/NAME` reaches the box's where the project could shadow it."""

    tools: Mapping[str, ToolEntry] = field(default_factory=dict[str, ToolEntry])
    agents: Mapping[str, AgentEntry] = field(default_factory=dict[str, AgentEntry])
    graphs: Mapping[str, GraphEntry] = field(default_factory=dict[str, GraphEntry])
