"""What one call of a node gave, and what is told of how it ended."""

from __future__ import annotations

from typing import NamedTuple

from sensorium.errors import SensoriumError
from sensorium.events import NodeFailed, NodeFinished
from sensorium.graph.leaf import CallContext
from sensorium.parts import Value
from sensorium.spec.checked import CheckedNode

__all__ = ["Answer", "callee_of", "tell_end", "tell_failure"]


class Answer(NamedTuple):
    """What one call of a node gave, its rounds, tries and stand-in included."""

    outputs: dict[str, Value]
    cached: bool
    """Whether every call was answered by a kept result."""
    instead: str = ""
    """Why its stand-in answered."""
    key: str = ""
    """Where the outputs are kept; empty where they are not one call's."""


def callee_of(node: CheckedNode) -> str:
    """`tool see`, `agent assistant` or `graph ask`."""
    return f"{node.kind} {node.callee}"


def tell_failure(error: SensoriumError, node: CheckedNode, context: CallContext, seconds: float) -> None:
    """Tells whoever watches that a node, or an element of it, failed; the error says where."""
    error.node = error.node or context.node
    figures = context.tally.figures({})
    context.emit(NodeFailed(context.run, context.node, callee_of(node), error.kind, str(error), seconds, figures))


def tell_end(
    answer: Answer, outputs: dict[str, Value], node: CheckedNode, context: CallContext, seconds: float
) -> None:
    """Tells whoever watches that a node, or an element of it, gave `outputs`."""
    figures = context.tally.figures(outputs)
    callee = callee_of(node)
    context.emit(
        NodeFinished(context.run, context.node, callee, outputs, seconds, answer.cached, answer.instead, figures)
    )
