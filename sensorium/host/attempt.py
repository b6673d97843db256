"""One call to a worker, from when it is sent until nothing more is wanted of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from sensorium.host.contract import Binding, BlobStore, Done, HostEvent, Item, Progress
from sensorium.host.failure import deadline_error, failure_error
from sensorium.host.link import Link, Lost, Sent
from sensorium.host.outputs import settle
from sensorium.worker.frames import CallFailed, CancelDone, Finished, ItemMade, ProgressMade, Started

__all__ = ["Attempt", "Clock"]

T = TypeVar("T")


class Clock:
    """The deadline of a call. Where the caller gives none, it runs from when the tool has the call."""

    def __init__(self, binding: Binding, deadline_s: float | None) -> None:
        self._binding = binding
        self._seconds = binding.call_s if deadline_s is None else deadline_s
        self._due = None if deadline_s is None else asyncio.get_running_loop().time() + deadline_s

    def start(self) -> None:
        """The tool has the call now."""
        if self._due is None:
            self._due = asyncio.get_running_loop().time() + self._seconds

    async def hold(self, work: Awaitable[T], doing: str) -> T:
        """The result of `work`.

        Raises:
            DeadlineError: The deadline passed.
        """
        limit = asyncio.timeout_at(self._due)
        try:
            async with limit:
                return await work
        except TimeoutError:
            if not limit.expired():
                raise
            raise deadline_error(self._binding.spec, self._seconds, doing) from None


class Attempt:
    """A call that is sent to a worker once."""

    def __init__(self, binding: Binding, store: BlobStore, clock: Clock) -> None:
        self._binding = binding
        self._store = store
        self._clock = clock
        self._sent: Sent | None = None

    @property
    def has_started(self) -> bool:
        """Whether the tool may have done something."""
        return self._sent is not None and self._sent.has_started

    async def events(self, begin: Callable[[], Awaitable[tuple[Link, Sent]]]) -> AsyncGenerator[HostEvent, None]:
        """What becomes of the call; left early, the call is cancelled.

        Args:
            begin: Sends the call.

        Raises:
            Lost: The worker ended.
        """
        link, self._sent = await begin()
        try:
            while True:
                doing = "was still running" if self._sent.has_started else "was still waiting for its turn"
                outcome = await self._clock.hold(self._sent.outcomes.get(), doing)
                match outcome:
                    case Started():
                        self._clock.start()
                    case ProgressMade():
                        yield Progress(outcome.share, outcome.note)
                    case ItemMade():
                        values = await settle(outcome.values, outcome.blobs, self._store)
                        for port, part in values.items():
                            assert part is not None
                            assert not isinstance(part, tuple)
                            yield Item(port, part)
                    case Finished():
                        yield Done(await settle(outcome.values, outcome.blobs, self._store), outcome.seconds)
                        return
                    case CallFailed():
                        raise failure_error(self._binding.spec, outcome.kind, outcome.why, can_retry=outcome.can_retry)
                    case CancelDone():
                        raise Lost("its worker dropped the call")
                    case Lost():
                        raise outcome
        finally:
            link.cancel(self._sent)
