"""One run of a graph, from its inputs to its result."""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from time import perf_counter

from sensorium.errors import SensoriumError
from sensorium.events import (
    Event,
    NodeFailed,
    NodeFinished,
    NodeSkipped,
    RunFinished,
    RunId,
    RunStarted,
    RunStatus,
    WireCrossed,
)
from sensorium.graph.control import Control
from sensorium.graph.flow import Flow
from sensorium.graph.leaf import CallContext
from sensorium.graph.options import RunOptions
from sensorium.graph.outcome import NodeOutcome, NodeStatus
from sensorium.graph.result import ErrorReport, NodeReport, Result
from sensorium.graph.services import Services
from sensorium.parts import Value
from sensorium.spec.checked import Checked

__all__ = ["carry_out_run", "new_run_id"]

_log = logging.getLogger("sensorium")

_WITHIN = re.compile(r"[^\[]+/[^\[]+")
"""Path of a node within a graph that a node calls, and of no item of an `each`."""

_ITEM = re.compile(r"\[\d+\]$")
"""What stands behind a node's path in that of an item of its `each`."""


async def carry_out_run(
    checked: Checked, inputs: Mapping[str, Value], services: Services, options: RunOptions
) -> Result:
    """The result of one run. Cancelling cancels every call of the run and returns when they have ended.

    Args:
        checked: The graph, without faults.
        inputs: A value for each input; an optional one may be missing.
        services: What the run may use.
        options: How the run is to go.

    Raises:
        CallerError: The run goes on already, in this process or another.
        SensoriumError: The run is not done, and `options.raise_on_failure`; its `result` is what could be had.
    """
    run = options.run or new_run_id()
    with services.results.going_on(run):
        return await _carry_out(run, checked, inputs, services, options)


async def _carry_out(
    run: RunId, checked: Checked, inputs: Mapping[str, Value], services: Services, options: RunOptions
) -> Result:
    watch = _Watch(_observers(options))
    gate = asyncio.Semaphore(services.parallel)
    context = CallContext(run, "", services, watch.see, gate, options.seed, options.fresh, approver=options.approver)
    began_s = perf_counter()
    watch.see(RunStarted(run, checked.source.spec.name))
    flow = Flow(checked, inputs, context, Control().settle)
    stopped: SensoriumError | None = None
    try:
        # LangGraph takes half a second to import, which whoever runs nothing need not wait for.
        await importlib.import_module("sensorium.graph.compile").carry_out(flow, services.database)
    except SensoriumError as error:
        stopped = error
    except asyncio.CancelledError:
        watch.see(RunFinished(run, "cancelled", perf_counter() - began_s, "cancelled"))
        raise
    status, reason = _ended(flow.outcomes(), stopped)
    result = _result(flow, watch, status, reason, perf_counter() - began_s)
    watch.see(RunFinished(run, status, result.seconds, reason.kind if reason is not None else ""))
    if reason is not None and options.raise_on_failure:
        reason.result = result
        raise reason
    return result


def _result(flow: Flow, watch: _Watch, status: RunStatus, reason: SensoriumError | None, seconds: float) -> Result:
    return Result(
        flow.context.run,
        flow.checked.source.spec.name,
        status,
        flow.outputs(),
        flow.checked.signature.outputs,
        tuple(_reports(flow, watch)),
        seconds,
        _told(reason),
    )


def _observers(options: RunOptions) -> Sequence[Callable[[Event], None]]:
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


class _Watch:
    """Passes events on, and remembers how nodes within called graphs ended and how latents came in."""

    def __init__(self, observers: Sequence[Callable[[Event], None]]) -> None:
        self._observers = observers
        self.within: dict[str, NodeReport] = {}
        self._rungs: dict[str, dict[str, str]] = {}

    def see(self, event: Event) -> None:
        """Takes one event. An observer that fails does not fail the run."""
        if isinstance(event, NodeFinished | NodeFailed | NodeSkipped) and _WITHIN.fullmatch(event.node):
            self.within[event.node] = replace(_report_of(event), rungs=self.rungs(event.node))
        if isinstance(event, WireCrossed):
            self.rungs(_ITEM.sub("", event.node))[event.port] = event.rung
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                _log.warning("whoever watches the run failed; the run goes on", exc_info=True)

    def rungs(self, node: str) -> dict[str, str]:
        """By which rung latents came into a node, by port."""
        return self._rungs.setdefault(node, {})


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


def _reports(flow: Flow, watch: _Watch) -> Iterator[NodeReport]:
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
            _told(own_error),
            outcome.figures,
            watch.rungs(name),
        )
        yield from (report for path, report in watch.within.items() if path.startswith(f"{name}/"))


def _ended(
    outcomes: Mapping[str, NodeOutcome], stopped: SensoriumError | None
) -> tuple[RunStatus, SensoriumError | None]:
    """How the run ended, and the first error that made it so; failures count before refusals and pauses."""
    if stopped is not None:
        return "failed", stopped
    for status in ("failed", "refused", "paused"):
        for outcome in outcomes.values():
            if outcome.status == status:
                return status, outcome.error
    return "done", None


def _told(error: SensoriumError | None) -> ErrorReport | None:
    return None if error is None else ErrorReport(error.kind, str(error), error.node)


def new_run_id() -> RunId:
    """An id that sorts by time and that nobody can guess."""
    return RunId(f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(6)}")
