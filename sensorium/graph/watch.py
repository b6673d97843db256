"""What a run's events tell of its nodes, and who else sees them."""

from __future__ import annotations

import importlib
import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from sensorium.errors import SensoriumError
from sensorium.events import Event, NodeFailed, NodeFinished, NodeSkipped, PlanMade, WireCrossed
from sensorium.graph.flow import Flow
from sensorium.graph.options import RunOptions
from sensorium.graph.outcome import NodeOutcome, NodeStatus
from sensorium.graph.result import Crossed, ErrorReport, NodeReport

__all__ = ["Watch", "observers", "reports", "told"]

_log = logging.getLogger("sensorium")

_WITHIN = re.compile(r"[^\[]+/[^\[]+")
"""Path of a node within a graph that a node calls, and of no item of an `each`."""

_ITEM = re.compile(r"\[\d+\]$")
"""What stands behind a node's path in that of an item of its `each`."""


def observers(options: RunOptions) -> Sequence[Callable[[Event], None]]:
    """Who sees the run's events: who was named, and OpenTelemetry where a program has it and has configured it."""
    named = () if options.on_event is None else (options.on_event,)
    if "opentelemetry.trace" not in sys.modules:
        return named
    try:
        spans = importlib.import_module("sensorium.graph.spans").spans_of_run()
    except Exception:
        _log.warning("OpenTelemetry cannot watch the run; the run goes on", exc_info=True)
        return named
    return named if spans is None else (*named, spans.see)


class Watch:
    """Passes events on, and remembers how nodes within called graphs ended, how latents came in, and plans."""

    def __init__(self, observers: Sequence[Callable[[Event], None]]) -> None:
        self._observers = observers
        self.within: dict[str, NodeReport] = {}
        self.plans: dict[str, str] = {}
        """What agents called, as the text of a graph file, by path of their node."""
        self._crossed: dict[str, dict[str, Crossed]] = {}

    def see(self, event: Event) -> None:
        """Takes one event. An observer that fails does not fail the run."""
        if isinstance(event, NodeFinished | NodeFailed | NodeSkipped) and _WITHIN.fullmatch(event.node):
            self.within[event.node] = replace(_report_of(event), crossed=self.crossed(event.node))
        if isinstance(event, WireCrossed):
            self._count(event)
        if isinstance(event, PlanMade) and not event.faults:
            self.plans[event.node] = event.plan
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                _log.warning("whoever watches the run failed; the run goes on", exc_info=True)

    def crossed(self, node: str) -> dict[str, Crossed]:
        """How latents came into a node, by port."""
        return self._crossed.setdefault(node, {})

    def _count(self, event: WireCrossed) -> None:
        crossed = self.crossed(_ITEM.sub("", event.node))
        before = crossed[event.port].num_bytes if event.port in crossed else 0
        crossed[event.port] = Crossed(event.rung, event.why, before + event.num_bytes)


def _report_of(event: NodeFinished | NodeFailed | NodeSkipped) -> NodeReport:
    match event:
        case NodeFinished(callee=callee, figures=figures):
            kind, _, name = callee.partition(" ")
            return NodeReport(
                event.node, kind, name, "done", event.seconds, event.cached, event.instead, figures=figures
            )
        case NodeFailed(callee=callee):
            kind, _, name = callee.partition(" ")
            told = ErrorReport(event.kind, event.message, event.node)
            status: NodeStatus = (
                "paused" if event.kind == "paused" else "refused" if event.kind == "refused" else "failed"
            )
            return NodeReport(
                event.node, kind, name, status, event.seconds, cached=False, error=told, figures=event.figures
            )
        case NodeSkipped():
            return NodeReport(event.node, "", "", "skipped", 0.0, cached=False, why=event.why)


def reports(flow: Flow, watch: Watch) -> Iterator[NodeReport]:
    """How each node ended, those of a called graph after their node."""
    ended = flow.outcomes()
    for name, node in flow.checked.nodes.items():
        outcome = ended.get(name, NodeOutcome("cancelled", {}))
        own_error = outcome.error if outcome.status != "cancelled" else None
        yield NodeReport(
            name,
            node.kind,
            node.callee,
            outcome.status,
            outcome.seconds,
            outcome.cached,
            outcome.why,
            told(own_error),
            outcome.figures,
            watch.crossed(name),
        )
        yield from (report for path, report in watch.within.items() if path.startswith(f"{name}/"))


def told(error: SensoriumError | None) -> ErrorReport | None:
    """The error as a result has it."""
    return None if error is None else ErrorReport(error.kind, str(error), error.node)
