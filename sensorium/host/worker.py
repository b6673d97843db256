"""Tools in processes of their own, which outlive the command that started them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

import psutil

from sensorium.errors import SensoriumError, ToolError
from sensorium.host.attempt import Attempt, Clock
from sensorium.host.contract import Binding, BlobStore, HostEvent, Progress, WorkerState
from sensorium.host.failure import failure_error
from sensorium.host.inputs import check_inputs
from sensorium.host.link import Link, Lost, Sent, SetupProblem
from sensorium.host.loading import loading_words
from sensorium.host.places import check_places
from sensorium.host.process import Found, ProcessState, connect, find_or_start, known, last_words, place_of
from sensorium.parts import Value, blobs_of, encode_values

__all__ = ["WorkerHost"]

_TRIES = 3
_INSPECT_S = 2.0


_Spot: TypeAlias = tuple[Path, asyncio.AbstractEventLoop]
"""A worker's directory, and the event loop whose connection it is: a connection serves no other loop."""


class _Call(NamedTuple):
    """A call as a worker hears it."""

    body: bytes
    paths: dict[str, str]
    key: str


class WorkerHost:
    """One process for each tool as it is bound. Commands that bind it alike share the process.

    `sensorium.host.contract.Host` says what the methods do.

    A worker that is there already is used although its checkpoint's directory was removed since: only `load`, and the
    first call, look for the directory.

    Args:
        home: `SENSORIUM_HOME`.
        store: Where the media that tools make go.
        grace_s: How long a cancelled call may go on before its process is ended.
        queue_size: Most calls of this host that may be with one worker; further ones wait for their turn.
        tell_load_s: How long a call waits for its tool to load before it says so.
    """

    def __init__(
        self,
        home: Path,
        store: BlobStore,
        *,
        grace_s: float = 5.0,
        queue_size: int = 256,
        tell_load_s: float = 2.0,
    ) -> None:
        self._home = home.absolute()
        self._store = store
        self._grace_s = grace_s
        self._queue_size = queue_size
        self._tell_load_s = tell_load_s
        self._links: dict[_Spot, Link] = {}
        self._opening: dict[_Spot, asyncio.Task[Link]] = {}
        self._bindings: dict[Path, Binding] = {}

    async def load(self, binding: Binding) -> None:
        """Makes the tool ready for calls."""
        check_places(binding)
        await self._link(binding)

    async def call(
        self, binding: Binding, inputs: Mapping[str, Value], *, key: str, deadline_s: float | None = None
    ) -> AsyncIterator[HostEvent]:
        """Events of one call; the last is `Done`. A call whose worker ended before it began is sent once more."""
        clock = Clock(binding, deadline_s)
        checked = check_inputs(binding.spec, inputs)
        paths = {blob.digest: str(blob.path.absolute()) for blob in blobs_of(checked)}
        message = _Call(encode_values(checked), paths, key if binding.spec.effects else "")
        if not await self._is_soon_loaded(binding, clock):
            yield Progress(0.0, await asyncio.to_thread(loading_words, binding), is_loading=True)
            with contextlib.suppress(Lost):  # the call itself finds out, and tries again
                await clock.hold(self._link(binding), "was not loaded")
            yield Progress(0.0, is_loading=True)
        for is_last_try in (False, True):
            attempt = Attempt(binding, self._store, clock)
            try:
                async with contextlib.aclosing(attempt.events(lambda: self._begin(binding, message, clock))) as events:
                    async for event in events:
                        yield event
                return
            except Lost as lost:
                if attempt.has_started or is_last_try:
                    raise self._lost_error(binding, lost, "run") from None

    async def unload(self, binding: Binding) -> None:
        """Ends the tool's worker, if it has one."""
        await self._stop_in(place_of(self._home, binding))

    async def health(self, binding: Binding) -> bool:
        """Whether the tool is loaded and answers."""
        directory = place_of(self._home, binding)
        for found, state in known(self._home, binding.spec.name):
            if found == directory:
                answer = await self._inspect(found, state)
                return answer is not None and answer.is_ready
        return False

    async def stats(self) -> list[WorkerState]:
        """The workers under this home, whoever started them."""
        return [state async for _, state in self._living()]

    async def stop(self, identity: str | None = None) -> list[WorkerState]:
        """Ends the workers of one binding's identity, or all under this home; calls that they have fail.

        Returns:
            The workers that were ended.
        """
        ended = [(place, state) async for place, state in self._living() if identity in (None, state.identity)]
        await asyncio.gather(*(self._stop_in(place) for place, _ in ended))
        return [state for _, state in ended]

    async def close(self) -> None:
        """Lets go of every worker; those that are to stay warm stay."""
        loop = asyncio.get_running_loop()
        opening = [task for (_, owner), task in self._opening.items() if owner is loop]
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        links, self._links = self._links, {}
        for (_, owner), link in links.items():
            if owner is not loop:
                link.abandon()
        ours = [(place, link) for (place, owner), link in links.items() if owner is loop]
        await asyncio.gather(*(link.close(wait_s=self._wait_s(place)) for place, link in ours))

    def _wait_s(self, place: Path) -> float:
        return self._grace_s if self._bindings[place].keep_warm_s == 0 else 0.0

    async def _is_soon_loaded(self, binding: Binding, clock: Clock) -> bool:
        """Whether the tool is loaded before its call is to say that it waits for that."""
        try:
            async with asyncio.timeout(self._tell_load_s):
                await clock.hold(self._link(binding), "was not loaded")
        except TimeoutError:
            return False
        except Lost:
            return True  # likewise
        return True

    async def _begin(self, binding: Binding, message: _Call, clock: Clock) -> tuple[Link, Sent]:
        link = await clock.hold(self._link(binding), "was not loaded")
        await clock.hold(link.slots.acquire(), "was still waiting for its turn")
        try:
            return link, link.send(message.body, message.paths, message.key)
        except ValueError as error:
            raise failure_error(binding.spec, "caller", f"its inputs are too large: {error}") from None

    async def _link(self, binding: Binding) -> Link:
        self._forget_closed_loops()
        place = place_of(self._home, binding)
        spot = (place, asyncio.get_running_loop())
        link = self._links.get(spot)
        if link is not None and link.is_open:
            return link
        if spot not in self._opening:
            check_places(binding)
            task = asyncio.get_running_loop().create_task(self._open(binding, place))
            self._opening[spot] = task
            task.add_done_callback(lambda done: self._opened(spot, done))
        return await asyncio.shield(self._opening[spot])

    def _opened(self, spot: _Spot, task: asyncio.Task[Link]) -> None:
        self._opening.pop(spot, None)
        if not task.cancelled() and task.exception() is None:
            self._links[spot] = task.result()

    def _forget_closed_loops(self) -> None:
        for spot in [spot for spot in self._links if spot[1].is_closed()]:
            self._links.pop(spot).abandon()

    async def _open(self, binding: Binding, place: Path) -> Link:
        self._bindings[place] = binding
        for _ in range(_TRIES):
            found = await self._find(binding)
            link = await self._linked(found)
            link.attach(binding.keep_warm_s)
            try:
                async with asyncio.timeout(binding.setup_s):
                    await asyncio.shield(link.ready)
            except Lost as lost:
                await link.close()
                if found.is_new:
                    raise self._lost_error(binding, lost, "setup") from None
                continue  # It ended as we came; now there is none.
            except BaseException as error:
                raise await self._setup_error(binding, link, error) from None
            if found.is_new:
                await self._retire_others(found.state)
            return link
        raise ToolError(f"tool {binding.spec.name}: its worker ended {_TRIES} times as it was found", can_retry=True)

    async def _setup_error(self, binding: Binding, link: Link, error: BaseException) -> BaseException:
        if isinstance(error, SetupProblem):
            await link.close()
            words = last_words(self._home, link.directory)
            return failure_error(binding.spec, error.failure.kind, f"{error.failure.why}; {words}")
        if isinstance(error, TimeoutError):
            await link.kill("setup took too long")
            await link.close()
            return ToolError(
                f"tool {binding.spec.name}: setup took longer than {binding.setup_s:g} s; allow more time (setup_s of "
                f"the profile's limits), or look where it hangs: {last_words(self._home, link.directory)}"
            )
        await link.close(wait_s=self._grace_s)  # a worker whose tool nobody waits for any more ends in setup
        return error

    def _lost_error(self, binding: Binding, lost: Lost, doing: str) -> SensoriumError:
        words = last_words(self._home, place_of(self._home, binding))
        return failure_error(binding.spec, "tool", f"{lost} in {doing}; {words}", can_retry=True)

    async def _find(self, binding: Binding) -> Found:
        search = asyncio.ensure_future(asyncio.to_thread(find_or_start, self._home, binding, self._grace_s))
        try:
            return await asyncio.shield(search)
        except asyncio.CancelledError:
            search.add_done_callback(_let_go)
            raise

    async def _linked(self, found: Found) -> Link:
        link = Link(found, most=self._queue_size, grace_s=self._grace_s)
        await link.open()
        return link

    async def _retire_others(self, own: ProcessState) -> None:
        """Has workers of the same folder end once they are idle, where the folder was another, or the engine."""
        for place, state in known(self._home, own.tool):
            if state.folder == own.folder and (state.folder_digest, state.engine) != (own.folder_digest, own.engine):
                async with self._visit(place, state) as link:
                    if link is not None:
                        link.stop(when_idle=True)
                        await self._heard(link)

    async def _heard(self, link: Link) -> None:
        """Waits until the worker has read what was said: leaving at once would take it away."""
        with contextlib.suppress(TimeoutError, Lost):
            await asyncio.wait_for(link.inspect(), _INSPECT_S)

    async def _living(self) -> AsyncIterator[tuple[Path, WorkerState]]:
        for place, state in await asyncio.to_thread(known, self._home):
            worker = await self._inspect(place, state)
            if worker is not None:
                yield place, worker.state

    async def _inspect(self, place: Path, state: ProcessState) -> _Inspected | None:
        """What a worker says of itself; None where no process lives. One that does not answer is busy."""
        async with self._visit(place, state) as link:
            if link is None:
                return None
            is_ready, idle_s, calls = False, 0.0, 0
            with contextlib.suppress(TimeoutError, Lost):
                said = await asyncio.wait_for(link.inspect(), _INSPECT_S)
                is_ready, idle_s, calls = said.is_ready, said.idle_s, said.calls
            memory = await asyncio.to_thread(_memory_bytes, state.pid)
            known_as = (state.tool, state.identity, state.pid, state.device, state.started_s)
            return _Inspected(is_ready, WorkerState(*known_as, idle_s, calls, memory))

    async def _stop_in(self, place: Path) -> None:
        """Ends the process that lives in a directory, by force where it does not end by itself."""
        states = dict(await asyncio.to_thread(known, self._home))
        if place not in states:
            return
        async with self._visit(place, states[place]) as link:
            if link is not None:
                link.stop(when_idle=False)
                try:
                    await asyncio.wait_for(asyncio.shield(link.ended), self._grace_s + 1)
                except TimeoutError:
                    await link.kill("it was told to stop")
                    await asyncio.wait_for(asyncio.shield(link.ended), self._grace_s)

    @contextlib.asynccontextmanager
    async def _visit(self, place: Path, state: ProcessState) -> AsyncGenerator[Link | None]:
        """A connection for a moment, which does not keep the worker; None where no process lives."""
        sock = await asyncio.to_thread(connect, place)
        if sock is None:
            yield None
            return
        link = await self._linked(Found(sock, state, place, is_new=False))
        try:
            yield link
        finally:
            await link.close()


class _Inspected:
    def __init__(self, is_ready: bool, state: WorkerState) -> None:
        self.is_ready = is_ready
        self.state = state


def _let_go(search: asyncio.Future[Found]) -> None:
    if not search.cancelled() and search.exception() is None:
        search.result().sock.close()


def _memory_bytes(pid: int) -> int:
    """Resident bytes of a process and those that it started."""
    try:
        process = psutil.Process(pid)
        return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0
