"""Runs that go on after they stopped, and runs that begin in the midst of others."""

from __future__ import annotations

from typing import cast

from sensorium.errors import CallerError
from sensorium.graph.record import read_values
from sensorium.parts import Value, blobs_of
from sensorium.runs import RunRecord
from sensorium.spec.checked import Checked
from sensorium.spec.nearest import meant
from sensorium.store import Store

__all__ = ["forked_nodes", "recorded_inputs", "require_graph", "require_resumable"]


def require_graph(record: RunRecord, graph: str) -> RunRecord:
    """What the book says of a run of a graph.

    Raises:
        CallerError: It is one of another graph.
    """
    if record.graph != graph:
        raise CallerError(
            f"run {record.run} is one of graph {record.graph!r}, not of {graph!r}; load that one, or leave `run` "
            "out of the options"
        )
    return record


def require_resumable(record: RunRecord) -> RunRecord:
    """What the book says of a run that can go on.

    Raises:
        CallerError: It has ended for good.
    """
    if record.status in ("done", "refused"):
        ended = "is done" if record.status == "done" else "was refused by a person"
        raise CallerError(
            f"run {record.run} {ended}, and nothing is left to go on with; `sensorium runs fork {record.run} --from "
            "NODE` runs NODE and what follows it again"
        )
    return record


def recorded_inputs(record: RunRecord, store: Store) -> dict[str, Value]:
    """The inputs that a run was begun with, whose media now stay in the store.

    Raises:
        CallerError: They are damaged, of another version, or their media are gone from the store.
        OperatorError: The disk takes no note that the media are in use.
    """
    inputs = read_values(record, record.inputs, store)
    for name, value in inputs.items():
        if not all(store.hold(blob.digest) for blob in blobs_of({name: value})):
            raise CallerError(f"what run {record.run} took as {name} is gone from the store; start a new run with it")
    return inputs


def forked_nodes(checked: Checked, node: str) -> frozenset[str]:
    """A node, and all that depend on it.

    Raises:
        CallerError: The graph has no such node.
    """
    if not isinstance(cast("object", node), str):
        raise CallerError(f"a node's name is text, and this is a {type(node).__name__}")
    if node not in checked.nodes:
        outer = node.partition("/")[0].partition("[")[0]
        right = (
            f"{node} lies within {outer}: fork from {outer}"
            if outer in checked.nodes
            else meant(node, checked.nodes, "its nodes are")
        )
        raise CallerError(f"graph {checked.source.spec.name!r} has no node {node!r}; {right}")
    forked = {node}
    for name in checked.order:
        if forked.intersection(checked.nodes[name].dependencies):
            forked.add(name)
    return frozenset(forked)
