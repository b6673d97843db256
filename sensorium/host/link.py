"""A connection to one worker's process, shared by all calls of a host to it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from sensorium.host.process import Found, end_lost, exit_words, kill
from sensorium.worker.frames import (
    Attach,
    CallFailed,
    CallMessage,
    Cancel,
    CancelDone,
    Connection,
    Finished,
    Inspect,
    ItemMade,
    ProgressMade,
    Ready,
    SetupFailed,
    Started,
    State,
    Stop,
    decode_from_worker,
    encode,
)

__all__ = ["Link", "Lost", "Outcome", "Sent", "SetupProblem"]

_KILL_MARGIN_S = 1.0


class Lost(Exception):
    """The process is gone; the message says how it ended."""


class SetupProblem(Exception):
    """The worker says that its tool cannot be loaded."""

    def __init__(self, failure: SetupFailed) -> None:
        super().__init__(failure.why)
        self.failure = failure


Outcome: TypeAlias = Started | ProgressMade | ItemMade | Finished | CallFailed | CancelDone | Lost


@dataclass(slots=True, eq=False)
class Sent:
    """A call that was sent."""

    number: int
    outcomes: asyncio.Queue[Outcome] = field(default_factory=asyncio.Queue[Outcome])
    """What became of it, as it comes."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the worker has nothing more to say of it."""
    has_started: bool = False
    """Whether the tool's `run` has it, or had it."""


class Link:
    """Belongs to the event loop that it was made in.

    Args:
        found: The process, and a connection to it, which this takes over.
        most: Most calls that may be with the worker at once; further ones wait for a slot.
        grace_s: How long a cancelled call may go on before the process is killed.
    """

    def __init__(self, found: Found, *, most: int, grace_s: float) -> None:
        loop = asyncio.get_running_loop()
        self.pid = found.state.pid
        self.directory: Path = found.directory
        self.slots = asyncio.Semaphore(most)
        self.ready: asyncio.Future[None] = loop.create_future()
        """Done when `setup` is; `SetupProblem` or `Lost` where it fails."""
        self.ended: asyncio.Future[str] = loop.create_future()
        """Done when the process is gone: how it ended."""
        self.loop = loop
        self._found = found
        self._grace_s = grace_s
        self._calls: dict[int, Sent] = {}
        self._numbers = itertools.count()
        self._states: list[asyncio.Future[State]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._why_killed = ""
        self._is_lost = False
        self._is_leaving = False
        self._is_closing = False
        self._connection = Connection(self._hear, self._lose)
        self.ready.add_done_callback(_retrieve)

    async def open(self) -> None:
        """Begins to listen to the worker."""
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self._connection, sock=self._found.sock)

    @property
    def is_open(self) -> bool:
        """Whether calls can be sent."""
        return self._connection.is_open and not self._is_lost

    def attach(self, keep_warm_s: float) -> None:
        """Tells the worker that calls will come."""
        self._connection.say(Attach(keep_warm_s))

    def send(self, inputs: bytes, paths: dict[str, str], key: str) -> Sent:
        """Sends a call. A slot must have been taken for it; it is given back when the call is over.

        Raises:
            ValueError: The inputs are larger than a message may be; the slot is given back.
        """
        sent = Sent(next(self._numbers))
        try:
            body = encode(CallMessage(sent.number, inputs, paths, key))
        except ValueError:
            self.slots.release()
            raise
        self._calls[sent.number] = sent
        if self.is_open:
            self._connection.send(body)
        else:
            self._over(sent, Lost("its process ended"))
        return sent

    def cancel(self, sent: Sent) -> None:
        """Drops a call; the process is killed where the call does not end within the grace time."""
        if not sent.over.is_set():
            self._connection.say(Cancel(sent.number))
            self._own(self._wait_or_kill(sent))

    async def inspect(self) -> State:
        """How the worker is.

        Raises:
            Lost: The process is gone.
        """
        if not self.is_open:
            raise Lost("its process ended")
        answer: asyncio.Future[State] = asyncio.get_running_loop().create_future()
        self._states.append(answer)
        self._connection.say(Inspect())
        return await answer

    def stop(self, *, when_idle: bool) -> None:
        """Tells the worker to end."""
        self._connection.say(Stop(when_idle))

    async def kill(self, why: str) -> None:
        """Ends the process at once."""
        if not self.ended.done():
            self._why_killed = why
            await asyncio.to_thread(kill, self.pid)

    async def close(self, *, wait_s: float = 0.0) -> None:
        """Lets go of the worker, after cancelled calls are over.

        Args:
            wait_s: How long to wait for the process to end; for one that nothing keeps.
        """
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._is_closing = True
        self._is_leaving = wait_s <= 0
        self._connection.finish()
        if wait_s > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.ended), wait_s)
        self._connection.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def abandon(self) -> None:
        """Lets go of the worker at once, from another event loop than the link's own, which may have ended."""
        self._is_closing = self._is_leaving = True
        if self.loop.is_closed():
            self._found.sock.close()
        else:
            self.loop.call_soon_threadsafe(self._connection.close)

    def _hear(self, body: bytearray) -> None:
        message = decode_from_worker(body)
        match message:
            case Ready():
                if not self.ready.done():
                    self.ready.set_result(None)
            case SetupFailed():
                if not self.ready.done():
                    self.ready.set_exception(SetupProblem(message))
            case State():
                for answer in self._states:
                    if not answer.done():
                        answer.set_result(message)
                self._states.clear()
            case _:
                self._pass_on(message)

    def _pass_on(self, message: Started | ProgressMade | ItemMade | Finished | CallFailed | CancelDone) -> None:
        sent = self._calls.get(message.call)
        if sent is None:
            return
        if isinstance(message, Started):
            sent.has_started = True
        if isinstance(message, Finished | CallFailed | CancelDone):
            self._over(sent, message)
        else:
            sent.outcomes.put_nowait(message)

    def _over(self, sent: Sent, outcome: Outcome) -> None:
        self._calls.pop(sent.number, None)
        sent.outcomes.put_nowait(outcome)
        sent.over.set()
        self.slots.release()

    def _lose(self) -> None:
        self._is_lost = True
        self._own(self._settle_loss())

    async def _settle_loss(self) -> None:
        words = "" if self._is_leaving else await asyncio.to_thread(exit_words, self.pid)
        if not self._is_closing:
            await asyncio.to_thread(end_lost, self.pid, self.directory)
        lost = Lost(f"{words}: {self._why_killed}" if self._why_killed else words)
        self._connection.close()
        if not self.ended.done():
            self.ended.set_result(words)
        if not self.ready.done():
            self.ready.set_exception(lost)
        for sent in list(self._calls.values()):
            self._over(sent, lost)
        for answer in self._states:
            if not answer.done():
                answer.set_exception(lost)

    async def _wait_or_kill(self, sent: Sent) -> None:
        # The worker ends itself after the grace time, unless the tool keeps it from hearing of the cancellation.
        try:
            await asyncio.wait_for(sent.over.wait(), self._grace_s + _KILL_MARGIN_S)
        except TimeoutError:
            await self.kill("a cancelled call did not end in time")

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _retrieve(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()
