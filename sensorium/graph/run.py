"""One run of a graph, from its inputs to its result."""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import cast

import sensorium
from sensorium.errors import CallerError, SensoriumError
from sensorium.events import RunFinished, RunId, RunStarted, RunStatus
from sensorium.graph.control import Control
from sensorium.graph.flow import Flow
from sensorium.graph.identities import changes, identities_of
from sensorium.graph.leaf import CallContext
from sensorium.graph.lineage import Lineage
from sensorium.graph.options import RunOptions
from sensorium.graph.outcome import NodeOutcome
from sensorium.graph.record import end_of
from sensorium.graph.result import Result
from sensorium.graph.resume import require_graph, require_resumable
from sensorium.graph.services import Services
from sensorium.graph.watch import Watch, observers, reports, told
from sensorium.parts import Value, encode_values
from sensorium.runs import Beginning
from sensorium.spec.checked import Checked

__all__ = ["carry_out_run", "chosen_run_id", "new_run_id"]

_log = logging.getLogger("sensorium")

_MOST_ID_CHARS = 200
_RUN_ID = re.compile(rf"(?!-)[!-~]{{1,{_MOST_ID_CHARS}}}")


async def carry_out_run(
    checked: Checked,
    inputs: Mapping[str, Value],
    services: Services,
    options: RunOptions,
    *,
    must_go_on: bool = False,
    fork: Beginning | None = None,
) -> Result:
    """The result of one run. Cancelling cancels every call of the run and returns when they have ended.

    Args:
        checked: The graph, without faults.
        inputs: A value for each input; an optional one may be missing.
        services: What the run may use.
        options: How the run is to go.
        must_go_on: Whether the run must be known, and not have ended for good.
        fork: How the run was begun that this one is forked from, with `parent` and `forked` as this one has them.

    Raises:
        CallerError: The run goes on already, in this process or another; its id can be none; it is known as one of
            another graph; it must go on, and cannot; or it is a fork and known already, or one of a run that is known
            no more.
        SensoriumError: The run is not done, and `options.raise_on_failure`; its `result` is what could be had.
    """
    run = chosen_run_id(options)
    with services.results.going_on(run):
        record = services.runs.find(run) if options.run is not None else None
        if must_go_on and record is None:
            raise CallerError(f"run {run} was removed meanwhile; start a new run")
        if must_go_on and record is not None:
            require_resumable(record)
        known = None if record is None else require_graph(record, checked.source.spec.name).beginning()
        if fork is not None and known is not None:
            raise CallerError(f"run {run} is there already, and a fork is a new one; leave `run` out of the options")
        before = fork or known
        lineage = Lineage.read(run, before, services.runs, seed=options.seed, fresh=options.fresh)
        return await _Run(checked, lineage, services, options, before).carried_out(inputs)


@dataclass(frozen=True, slots=True)
class _Run:
    """A run that goes on here alone."""

    checked: Checked
    lineage: Lineage
    services: Services
    options: RunOptions
    before: Beginning | None
    """How it was begun in an earlier attempt, or that which it is forked from; None for a new one."""

    async def carried_out(self, inputs: Mapping[str, Value]) -> Result:
        watch, began_s = Watch(observers(self.options)), perf_counter()
        gate = asyncio.Semaphore(self.services.parallel)
        run, approver = self.lineage.run, self.options.approver
        context = CallContext(
            run,
            "",
            self.services,
            watch.see,
            gate,
            self.lineage,
            approver=approver,
            shows_plans=self.options.shows_plans,
        )
        spec = self.checked.source.spec
        identities = await identities_of(spec, self.checked.text, self.services)
        await self.services.runs.begin(run, spec.name, self._beginning(identities), encode_values(dict(inputs)))
        changed = () if self.before is None else changes(self.before.identities, identities)
        watch.see(RunStarted(run, spec.name, changed))
        flow = Flow(self.checked, inputs, context, Control().settle)
        stopped: SensoriumError | None = None
        try:
            # LangGraph takes half a second to import, which whoever runs nothing need not wait for.
            await importlib.import_module("sensorium.graph.compile").carry_out(flow, self.services.database)
        except SensoriumError as error:
            stopped = error
        except asyncio.CancelledError:
            self._end(_result(flow, watch, "cancelled", None, perf_counter() - began_s))
            watch.see(RunFinished(run, "cancelled", perf_counter() - began_s, "cancelled"))
            raise
        status, reason = _ended(flow.outcomes(), stopped)
        result = _result(flow, watch, status, reason, perf_counter() - began_s)
        self._end(result)
        watch.see(RunFinished(run, status, result.seconds, reason.kind if reason is not None else ""))
        if reason is not None and self.options.raise_on_failure:
            reason.result = result
            raise reason
        return result

    def _beginning(self, identities: dict[str, str]) -> Beginning:
        source, lineage = self.checked.source, self.lineage
        return Beginning(
            text=self.checked.text,
            path=_written(Path(source.path)) if source.path else "",
            project=None if self.services.folder is None else _written(self.services.folder),
            profile=self.services.profile_name,
            seed=lineage.seed,
            fresh=self.options.fresh,
            shows_plans=self.options.shows_plans,
            version=sensorium.__version__,
            identities=identities,
            parent=None if lineage.parent is None else lineage.parent.run,
            forked=tuple(sorted(lineage.forked)),
        )

    def _end(self, result: Result) -> None:
        try:
            self.services.runs.end(result.run, end_of(result))
        except SensoriumError as error:
            _log.warning("run %s is %s, and the book of runs does not know: %s", result.run, result.status, error)


def _written(place: Path) -> str:
    """Where a file or folder lies, as the book can keep it.

    Raises:
        CallerError: Its name is no text.
    """
    name = str(place.resolve())
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise CallerError(f"{name!r} is not UTF-8, and the book of runs keeps text alone; rename it") from error
    return name


def _result(flow: Flow, watch: Watch, status: RunStatus, reason: SensoriumError | None, seconds: float) -> Result:
    return Result(
        flow.context.run,
        flow.checked.source.spec.name,
        status,
        flow.outputs(),
        flow.checked.signature.outputs,
        tuple(reports(flow, watch)),
        seconds,
        told(reason),
        dict(watch.plans),
    )


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


def chosen_run_id(options: RunOptions) -> RunId:
    """The id that the options name, or a new one.

    Raises:
        CallerError: The id can be none: `sensorium runs` would not find it.
    """
    run = cast("object", options.run)
    if run is None:
        return new_run_id()
    if not isinstance(run, str) or not _RUN_ID.fullmatch(run) or run == "last":
        shown = repr(run) if len(repr(run)) <= _MOST_ID_CHARS else f"{repr(run)[:_MOST_ID_CHARS]}…"
        raise CallerError(
            f"{shown} is no id of a run; give up to {_MOST_ID_CHARS} letters, digits and signs of ASCII that do not "
            "begin with `-`, or leave `run` out of the options"
        )
    return RunId(run)


def new_run_id() -> RunId:
    """An id that sorts by time and that nobody can guess."""
    return RunId(f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(6)}")
