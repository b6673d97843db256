"""What one call of a node gave, and what is told of how it ended."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from sensorium.errors import SensoriumError
from sensorium.events import NodeFailed, NodeFinished, ToolCalled
from sensorium.graph.leaf import CallContext
from sensorium.graph.outcome import NodeOutcome
from sensorium.graph.tally import num_bytes
from sensorium.parts import Value, blobs_of
from sensorium.spec.checked import CheckedNode

__all__ = ["Answer", "callee_of", "tell_call", "tell_end", "tell_failure"]


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


def tell_call(context: CallContext, node: CheckedNode, outcome: NodeOutcome) -> None:
    """Tells whoever watches that an agent's call ended which is a node of its own; nothing of one that did not begin.

    Args:
        context: Where the agent's own node is.
        node: What it called.
        outcome: How that ended.
    """
    if outcome.status not in ("done", "failed", "refused"):
        return
    error = outcome.error
    told = ToolCalled(
        context.run,
        context.node,
        node.callee,
        "done" if error is None else "failed",
        outcome.outputs,
        seconds=outcome.seconds,
        cached=outcome.cached,
        bytes_in=outcome.figures.bytes_in,
        bytes_out=num_bytes(blobs_of(outcome.outputs)),
        is_node=True,
    )
    context.emit(told if error is None else replace(told, message=str(error), kind=error.kind))
