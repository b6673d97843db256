"""A graph that can be run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec

from sensorium.admit import Admission
from sensorium.errors import CallerError
from sensorium.events import Event
from sensorium.graph.draw import draw
from sensorium.graph.edge import carry_out_here
from sensorium.graph.options import RunOptions
from sensorium.graph.record import result_of
from sensorium.graph.result import Result
from sensorium.graph.resume import forked_nodes, recorded_inputs, require_graph, require_resumable
from sensorium.graph.run import carry_out_run
from sensorium.graph.services import Services
from sensorium.parts import Value
from sensorium.runs import RunRecord
from sensorium.spec.checked import Checked
from sensorium.spec.graph import GraphSpec
from sensorium.spec.nearest import meant
from sensorium.spec.ports import PortType
from sensorium.spec.read import GraphSource

__all__ = ["Graph"]

_PLAIN = RunOptions()


class Graph:
    """A checked graph with everything that its runs need.

    Inputs are given by name, as `sensorium.admit.Admission.admit` takes them: text as `str`, pictures and sound by path
    and so on. Names that are no Python names, or are taken, come in a mapping: `graph.run({"options": "…"})`.

    Args:
        source: The graph as it is written.
        checked: The same as the checker read it.
        services: What runs may use.

    Raises:
        AuthorError: The graph has faults.
    """

    def __init__(self, source: GraphSource, checked: Checked, services: Services) -> None:
        self.source = source
        self.checked = checked.require()
        self._services = services

    @property
    def name(self) -> str:
        """The graph's name."""
        return self.spec.name

    @property
    def spec(self) -> GraphSpec:
        """The graph as it is declared."""
        return self.source.spec

    @property
    def inputs(self) -> Mapping[str, PortType]:
        """What goes in, by name."""
        return self.checked.signature.inputs

    @property
    def outputs(self) -> Mapping[str, PortType]:
        """What comes out, by name."""
        return self.checked.signature.outputs

    def to_yaml(self) -> str:
        """The graph as the text of a graph file."""
        return self.checked.text

    def mermaid(self, result: Result | None = None) -> str:
        """The graph as a mermaid flowchart; with a result, how each node ended and how long it took."""
        return draw(self.checked, result)

    def run(
        self, inputs: Mapping[str, object] | None = None, /, *, options: RunOptions = _PLAIN, **named: object
    ) -> Result:
        """What a run gives, waited for; also where an event loop runs already.

        Raises:
            CallerError: An input is missing, unknown, or not of its type; nothing was begun.
            SensoriumError: The run is not done, unless `options` say not to raise; its `result` is what could be had.
        """
        return carry_out_here(self.arun(inputs, options=options, **named))

    async def arun(
        self, inputs: Mapping[str, object] | None = None, /, *, options: RunOptions = _PLAIN, **named: object
    ) -> Result:
        """What a run gives. Cancelling it cancels every call of the run.

        Raises:
            CallerError: As `run`.
            SensoriumError: As `run`.
        """
        with self._services.store.in_use():
            admitted = await self._admitted({**(inputs or {}), **named})
            return await carry_out_run(self.checked, admitted, self._services, options)

    def result(self, run: str) -> Result:
        """What a run of this graph gave when it ended.

        Args:
            run: Its id, the beginning of it, or `last`.

        Raises:
            CallerError: There is no such run, it is one of another graph, or has not ended.
        """
        return result_of(self._record(run), self._services.store)

    def resume(self, run: str, *, options: RunOptions = _PLAIN) -> Result:
        """What a run gives that stopped before its end, waited for; see `aresume`."""
        return carry_out_here(self.aresume(run, options=options))

    async def aresume(self, run: str, *, options: RunOptions = _PLAIN) -> Result:
        """What a run of this graph gives that stopped before its end, with the inputs and the seed that it had.

        Calls that were completed are not made again, and what a person answered is not asked again. What has changed
        since (the graph, a tool, a checkpoint) stands in `RunStarted.changes`; calls that this touches are made anew.

        Args:
            run: Its id, the beginning of it, or `last`.
            options: How it is to go on. Its id, its seed, and whether it is fresh, were said when it began.

        Raises:
            CallerError: There is no such run, it has ended for good, goes on already, is one of another graph, or its
                inputs no longer fit; or it is a fork of a run that is kept no more.
            SensoriumError: As `run`.
        """
        services = self._services
        with services.store.in_use():
            record = require_resumable(self._record(run))
            beginning = record.beginning()
            inputs = await self._admitted(recorded_inputs(record, services.store))
            shows_plans = options.shows_plans or beginning.shows_plans
            how = replace(options, run=record.run, seed=beginning.seed, fresh=beginning.fresh, shows_plans=shows_plans)
            return await carry_out_run(self.checked, inputs, services, how, must_go_on=True)

    def fork(self, run: str, node: str, *, options: RunOptions = _PLAIN) -> Result:
        """What a new run gives that keeps everything of another before `node`, waited for; see `afork`."""
        return carry_out_here(self.afork(run, node, options=options))

    async def afork(self, run: str, node: str, *, options: RunOptions = _PLAIN) -> Result:
        """What a new run gives that has the inputs of another, and runs `node` and what follows it again.

        Every other node keeps what it gave; one that never came to its end is called as in the other run.

        Args:
            run: Id of the other run, the beginning of it, or `last`.
            node: Name of a node of the graph.
            options: How the new run is to go. A seed that it names is that of `node` and what follows it, which find
                nothing of before in any case.

        Raises:
            CallerError: There is no such run or node, the run still goes on, is one of another graph, or was forked
                from one that was removed; or the options name a run that is there.
            SensoriumError: As `run`.
        """
        services = self._services
        with services.store.in_use():
            record = self._record(run)
            if services.results.is_going_on(record.run):
                raise CallerError(f"run {record.run} goes on; fork it when it has ended")
            beginning, forked = record.beginning(), forked_nodes(self.checked, node)
            inputs = await self._admitted(recorded_inputs(record, services.store))
            seed = beginning.seed if options.seed is None else options.seed
            begun = msgspec.structs.replace(beginning, parent=record.run, forked=tuple(sorted(forked)))
            how = replace(options, seed=seed, fresh=True, shows_plans=options.shows_plans or beginning.shows_plans)
            return await carry_out_run(self.checked, inputs, services, how, fork=begun)

    def _record(self, run: str) -> RunRecord:
        return require_graph(self._services.runs.require(run), self.name)

    async def stream(
        self, inputs: Mapping[str, object] | None = None, /, *, options: RunOptions = _PLAIN, **named: object
    ) -> AsyncGenerator[Event]:
        """Events of a run as they happen; the last is `RunFinished`. Closing it cancels the run.

        Raises:
            CallerError: As `run`.
            SensoriumError: As `run`, after the last event.
        """
        queue: asyncio.Queue[Event | None] = asyncio.Queue()

        def see(event: Event) -> None:
            queue.put_nowait(event)
            if options.on_event is not None:
                options.on_event(event)

        running = asyncio.ensure_future(self.arun(inputs, options=replace(options, on_event=see), **named))
        running.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
            running.result()
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await running

    def batch(
        self, many: Sequence[Mapping[str, object]], *, parallel: int = 4, options: RunOptions = _PLAIN
    ) -> list[Result]:
        """A result for each of many sets of inputs, in order, waited for; see `abatch`."""
        return carry_out_here(self.abatch(many, parallel=parallel, options=options))

    async def abatch(
        self, many: Sequence[Mapping[str, object]], *, parallel: int = 4, options: RunOptions = _PLAIN
    ) -> list[Result]:
        """A result for each of many sets of inputs, in order. A run that fails raises nothing: its result says so.

        Args:
            many: Inputs of each run.
            parallel: Most runs at once.
            options: How each run is to go.

        Raises:
            CallerError: Inputs of one of them do not fit; nothing was begun.
        """
        if options.run is not None:
            raise CallerError("a batch is many runs and cannot go on with one; leave `run` out of the options")
        gate = asyncio.Semaphore(parallel)
        quiet = replace(options, raise_on_failure=False)

        async def one(inputs: dict[str, Value]) -> Result:
            async with gate:
                return await carry_out_run(self.checked, inputs, self._services, quiet)

        with self._services.store.in_use():
            admitted = [await self._admitted(inputs) for inputs in many]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(inputs)) for inputs in admitted]
        return [task.result() for task in tasks]

    async def _admitted(self, given: Mapping[str, Any]) -> dict[str, Value]:
        """The inputs as parts, read in a thread since pictures and sound take their time."""
        for name in given:
            if name not in self.inputs:
                right = meant(name, self.inputs, "the inputs are") or "it has no inputs"
                raise CallerError(f"graph {self.name!r} has no input {name!r}; {right}")
        missing = [name for name, kind in self.inputs.items() if given.get(name) is None and not kind.is_optional]
        if missing:
            wanted = ", ".join(f"{name} ({self.inputs[name]})" for name in missing)
            raise CallerError(f"graph {self.name!r} lacks {wanted}; give {'them' if len(missing) > 1 else 'it'}")
        return await asyncio.to_thread(self._admit, given)

    def _admit(self, given: Mapping[str, Any]) -> dict[str, Value]:
        admission = Admission(self._services.store)
        return {name: admission.admit(value, self.inputs[name], name=name) for name, value in given.items()}

    def __repr__(self) -> str:
        takes = ", ".join(f"{name}: {kind}" for name, kind in self.inputs.items())
        gives = ", ".join(f"{name}: {kind}" for name, kind in self.outputs.items())
        return f"<Graph {self.name} ({takes}) -> ({gives})>"
