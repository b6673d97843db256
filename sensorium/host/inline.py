"""Tools in this process, each on a thread of its own: for light tools, and for tests."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sensorium.errors import OperatorError, SensoriumError, ToolError
from sensorium.host.attempt import Clock
from sensorium.host.contract import Binding, BlobStore, Done, HostEvent, Item, Progress, WorkerState
from sensorium.host.failure import failure_error
from sensorium.host.inputs import check_inputs
from sensorium.host.places import check_places
from sensorium.parts import Blob, Part, Value
from sensorium.spec.ports import PortType
from sensorium.worker.batch import Failure, describe, run_batch
from sensorium.worker.folder import Tool, WrongFolder, load_tool
from sensorium.worker.gather import Gatherer
from sensorium.worker.values import OutputPorts, native_inputs

__all__ = ["InlineHost"]


@dataclass(frozen=True, slots=True)
class _Started:
    """The tool has the call now."""


_Outcome: TypeAlias = Progress | Item | Done | _Started | SensoriumError


@dataclass(slots=True, eq=False)
class _Job:
    inputs: dict[str, Value]
    key: str
    outcomes: asyncio.Queue[_Outcome] = field(default_factory=asyncio.Queue[_Outcome])
    is_cancelled: bool = False


_Spot: TypeAlias = tuple[str, str, asyncio.AbstractEventLoop]
"""Identity and device of a tool, and the event loop whose calls it serves."""


class InlineHost:
    """Runs tools in this process, under the same contract as `WorkerHost`, with these differences.

    A tool that hangs cannot be ended: its caller gets `DeadlineError` in time, and later calls wait for the tool. A
    tool that ends its process ends this one. What a tool prints goes where this process prints. A tool that wants an
    interpreter or environment variables of its own is refused.

    Args:
        store: Where the media that tools make go.
        queue_size: Most calls that may be with one tool; further ones wait for their turn.
    """

    def __init__(self, store: BlobStore, *, queue_size: int = 256) -> None:
        self._store = store
        self._queue_size = queue_size
        self._tools: dict[_Spot, _Bench] = {}

    async def load(self, binding: Binding) -> None:
        """Makes the tool ready for calls."""
        await self._bench(binding)

    async def call(
        self, binding: Binding, inputs: Mapping[str, Value], *, key: str, deadline_s: float | None = None
    ) -> AsyncIterator[HostEvent]:
        """Events of one call; the last is `Done`."""
        clock = Clock(binding, deadline_s)
        checked = check_inputs(binding.spec, inputs)
        bench = await clock.hold(self._bench(binding), "was not loaded")
        async with contextlib.aclosing(bench.events(checked, key if binding.spec.effects else "", clock)) as events:
            async for event in events:
                yield event

    async def unload(self, binding: Binding) -> None:
        """Closes the tool, once it is through with what it does."""
        bench = self._tools.pop(_spot(binding), None)
        if bench is not None:
            await bench.close()

    async def health(self, binding: Binding) -> bool:
        """Whether the tool is loaded."""
        bench = self._tools.get(_spot(binding))
        return bench is not None and bench.is_ready

    async def stats(self) -> list[WorkerState]:
        """The tools that are loaded."""
        return [bench.state() for bench in self._tools.values()]

    async def close(self) -> None:
        """Closes every tool; one that hangs is left behind."""
        benches, self._tools = self._tools, {}
        for (_, _, loop), bench in benches.items():
            if loop is asyncio.get_running_loop():
                await bench.close()
            else:
                bench.abandon()

    async def _bench(self, binding: Binding) -> _Bench:
        place = _spot(binding)
        if place not in self._tools:
            _refuse_what_needs_a_process(binding)
            check_places(binding)
            self._tools[place] = _Bench(binding, self._store, self._queue_size)
        bench = self._tools[place]
        try:
            async with asyncio.timeout(binding.setup_s):
                await asyncio.shield(bench.ready)
        except TimeoutError:
            self._tools.pop(place, None)
            raise ToolError(
                f"tool {binding.spec.name}: setup took longer than {binding.setup_s:g} s; allow more time (setup_s of "
                "the profile's limits), or look where it hangs"
            ) from None
        except SensoriumError:
            self._tools.pop(place, None)
            raise
        return bench


class _Bench:
    """One tool, its thread, and the calls that wait for it."""

    def __init__(self, binding: Binding, store: BlobStore, queue_size: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._binding = binding
        self._store = store
        self._slots = asyncio.Semaphore(queue_size)
        self._batches: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        batch = binding.spec.batch
        self._gatherer: Gatherer[_Job] = Gatherer(batch.max, batch.wait_ms / 1000, self._begin)
        self._calls = 0
        self._began_s = time.time()
        self._last_call_s = time.monotonic()
        self._closed = asyncio.Event()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        threading.Thread(target=self._work, daemon=True, name=f"sensorium-{binding.spec.name}").start()

    @property
    def is_ready(self) -> bool:
        """Whether `setup` is done."""
        return self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None

    def state(self) -> WorkerState:
        """As `models ps` shows it."""
        binding = self._binding
        idle_s = time.monotonic() - self._last_call_s if self._gatherer.is_idle else 0.0
        return WorkerState(
            binding.spec.name, binding.identity, None, binding.device, self._began_s, idle_s, self._calls, 0
        )

    async def events(self, inputs: dict[str, Value], key: str, clock: Clock) -> AsyncGenerator[HostEvent, None]:
        """What becomes of one call."""
        await clock.hold(self._slots.acquire(), "was still waiting for its turn")
        job = _Job(inputs, key)
        self._calls += 1
        self._gatherer.add(job)
        doing = "was still waiting for its turn"
        try:
            while True:
                outcome = await clock.hold(job.outcomes.get(), doing)
                if isinstance(outcome, SensoriumError):
                    raise outcome
                if isinstance(outcome, _Started):
                    clock.start()
                    doing = "was still running"
                    continue
                yield outcome
                if isinstance(outcome, Done):
                    return
        finally:
            job.is_cancelled = True
            self._gatherer.remove(job)
            self._slots.release()

    async def close(self) -> None:
        """Has the tool close when it is through; waits for it unless it is at work."""
        is_busy = not self._gatherer.is_idle or not self.ready.done()
        for job in (*self._gatherer.drain(), *self._gatherer.running):
            job.is_cancelled = True
        self._batches.put(None)
        if not is_busy:
            await self._closed.wait()

    def abandon(self) -> None:
        """Has the tool close when it is through, from another event loop than its own, which may have ended."""
        self._batches.put(None)

    def _begin(self, batch: list[_Job]) -> None:
        for job in batch:
            job.outcomes.put_nowait(_Started())
        self._batches.put(batch)

    def _done(self) -> None:
        self._last_call_s = time.monotonic()
        self._gatherer.done()

    def _post(self, what: Callable[..., object], *arguments: Any) -> None:
        # The loop is gone where the host was left while the tool was at work; then nobody listens.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *arguments)

    def _work(self) -> None:
        binding = self._binding
        try:
            tool = load_tool(binding.spec.name, binding.folder)
            tool.setup({role: str(path) for role, path in binding.checkpoints.items()}, binding.device)
        except BaseException as error:
            self._post(self._fail_setup, _setup_error(binding, error))
            return
        self._post(self._open)
        self._serve(tool)
        try:
            tool.close()
        finally:
            self._post(self._closed.set)

    def _serve(self, tool: Tool) -> None:
        signature = self._binding.spec.signature
        outputs = OutputPorts(signature.outputs, self._binding.spec.twins, self._binding.weights)
        while (batch := self._batches.get()) is not None:
            run_batch(
                tool,
                outputs,
                [_loader(job, signature.inputs) for job in batch],
                _Teller(self._binding, self._store, batch, self._post),
            )
            self._post(self._done)

    def _open(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)
        self._gatherer.open()

    def _fail_setup(self, error: SensoriumError) -> None:
        self._closed.set()
        if not self.ready.done():
            self.ready.set_exception(error)
            self.ready.exception()


class _Teller:
    """Hands what becomes of a batch's calls to the tasks that made them."""

    def __init__(self, binding: Binding, store: BlobStore, batch: list[_Job], post: Callable[..., None]) -> None:
        self._binding = binding
        self._store = store
        self._batch = batch
        self._post = post

    def is_cancelled(self, call: int) -> bool:
        return self._batch[call].is_cancelled

    def keep(self, data: bytes, media_type: str) -> Blob:
        return self._store.put(data, media_type)

    def progress(self, call: int, share: float, note: str) -> None:
        self._tell(call, Progress(share, note))

    def item(self, call: int, port: str, part: Part) -> None:
        self._tell(call, Item(port, part))

    def finished(self, call: int, outputs: dict[str, Value], seconds: float) -> None:
        self._tell(call, Done(outputs, seconds))

    def failed(self, call: int, failure: Failure) -> None:
        error = failure_error(self._binding.spec, failure.kind, failure.why, can_retry=failure.can_retry)
        error.__cause__ = failure.cause
        self._tell(call, error)

    def _tell(self, call: int, outcome: _Outcome) -> None:
        self._post(self._batch[call].outcomes.put_nowait, outcome)


def _spot(binding: Binding) -> _Spot:
    return binding.identity, binding.device, asyncio.get_running_loop()


def _loader(job: _Job, ports: Mapping[str, PortType]) -> Callable[[], dict[str, object]]:
    return lambda: native_inputs(job.inputs, ports, job.key)


def _setup_error(binding: Binding, error: BaseException) -> SensoriumError:
    if isinstance(error, WrongFolder):
        found = failure_error(binding.spec, "tool", str(error))
    elif isinstance(error, ModuleNotFoundError):
        why = f"the module {error.name!r} is not installed; install what the tool's README asks for"
        found = failure_error(binding.spec, "operator", why)
    else:
        found = failure_error(binding.spec, "tool", f"setup {describe(error)}")
    found.__cause__ = error
    return found


def _refuse_what_needs_a_process(binding: Binding) -> None:
    for what, is_wanted in (("an interpreter", binding.python is not None), ("settings", bool(binding.settings))):
        if is_wanted:
            raise OperatorError(
                f"tool {binding.spec.name} wants {what} of its own, which a tool in this process cannot have; set "
                "host: worker for it in the profile"
            )
