"""How a node ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sensorium.errors import SensoriumError
from sensorium.events import Figures
from sensorium.parts import Value
from sensorium.spec.checked import CheckedNode

__all__ = ["NodeOutcome", "NodeStatus", "nothing_from"]

NodeStatus = Literal["done", "failed", "skipped", "cancelled", "refused", "paused"]


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """How a node ended, and what it gave."""

    status: NodeStatus
    """`cancelled` where something that it depends on failed."""
    outputs: dict[str, Value]
    """A value for each output port; Nones where the node was skipped; empty where it gave nothing."""
    seconds: float = 0.0
    cached: bool = False
    """Whether every call was answered by a kept result."""
    why: str = ""
    """Why it was skipped, or why its stand-in answered."""
    error: SensoriumError | None = None
    """Why it failed, or why what it depends on did."""
    key: str = ""
    """Where `outputs` are kept; empty where there are none."""
    figures: Figures = field(default_factory=Figures)

    @property
    def has_outputs(self) -> bool:
        """Whether nodes that depend on this one can go on."""
        return self.status in ("done", "skipped")


def nothing_from(node: CheckedNode, why: str) -> NodeOutcome:
    """The outcome of a node that is skipped."""
    return NodeOutcome("skipped", dict.fromkeys(node.outputs), why=why)
