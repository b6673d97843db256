"""Where hosts come with their calls: connections, waiting calls, cancellation, and when the worker may end.

All of it belongs to one event loop, on a thread of its own; the tool never waits for it.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from sensorium.worker.ending import end_process
from sensorium.worker.frames import (
    Attach,
    CallFailed,
    CallMessage,
    Cancel,
    CancelDone,
    Connection,
    FromWorker,
    Inspect,
    Ready,
    SetupFailed,
    Start,
    Started,
    State,
    Stop,
    decode_from_host,
    forsake,
)
from sensorium.worker.gather import Gatherer

__all__ = ["MAX_LOG_BYTES", "Desk", "Job", "trim_log"]

MAX_LOG_BYTES = 1 << 20
"""The log is cut to its last half when it is longer."""
_MAX_WAITING = 4096
"""Calls of all hosts together that may wait; further ones are turned away."""
_ORPHAN_S = 30.0
_LOG_TICK_S = 2.0


class Job:
    """A call at the desk."""

    __slots__ = ("guest", "inputs", "is_cancelled", "is_told", "key", "number", "paths")

    def __init__(self, guest: Guest, message: CallMessage) -> None:
        self.guest = guest
        self.number = message.call
        self.inputs = message.inputs
        self.paths = message.paths
        self.key = message.key
        self.is_cancelled = False
        """Read by the tool's thread between two yields."""
        self.is_told = False
        """Whether the last word about the call was sent."""


class Guest:
    """A connected host."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.jobs: dict[int, Job] = {}
        self.is_attached = False
        self.connection = Connection(self._hear, self._lost, self._came)

    def say(self, message: FromWorker) -> None:
        self.connection.say(message)

    def _came(self) -> None:
        self._desk.greet(self)

    def _hear(self, body: bytearray) -> None:
        self._desk.hear(self, decode_from_host(body))

    def _lost(self) -> None:
        self._desk.lose(self)


class Desk:
    """Serves hosts on behalf of a tool.

    Args:
        start: What the worker was told.
        listener: A listening socket, not blocking.
        log: The file that standard output and error go to.
        hand_out: Takes a batch for the tool; None when the tool is to close.
    """

    def __init__(
        self, start: Start, listener: socket.socket, log: Path, hand_out: Callable[[list[Job] | None], None]
    ) -> None:
        self._start = start
        self._listener = listener
        self._address = str(listener.getsockname())
        self._log = log
        self._hand_out = hand_out
        self._gatherer: Gatherer[Job] = Gatherer(start.batch_max, start.wait_s, self._begin)
        self._guests: set[Guest] = set()
        self._keep_warm_s = _ORPHAN_S
        self._is_ready = False
        self._is_ending = False
        self._end_when_idle = False
        self._last_words: tuple[SetupFailed, Callable[[], None]] | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._last_call_s = time.monotonic()
        self._calls = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begins to serve."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Guest(self).connection, sock=self._listener)
        self._trim_log()
        self._settle()

    def ready(self) -> None:
        """`setup` is done."""
        self._is_ready = True
        for guest in self._guests:
            guest.say(Ready())
        self._gatherer.open()
        self._settle()

    def fail(self, failure: SetupFailed, told: Callable[[], None]) -> None:
        """`setup` failed: tells the hosts, or else the first that comes, and then calls `told`."""
        self._is_ending = True
        self._last_words = (failure, told)
        for guest in list(self._guests):
            self._part_with(guest)

    def greet(self, guest: Guest) -> None:
        """A host has connected."""
        self._guests.add(guest)
        if self._last_words is not None:
            self._part_with(guest)
        elif self._is_ready:
            guest.say(Ready())

    def stop(self) -> None:
        """The worker is to end now; calls that wait are turned away, those that run are cancelled."""
        for job in self._gatherer.drain():
            self._tell_last(job, CallFailed(job.number, "tool", "the worker was told to stop", True))
        for job in self._gatherer.running:
            self._cancel(job)
        self._end()

    def batch_done(self) -> None:
        """The tool is through with the batch."""
        if not self._is_ending:
            faulthandler.cancel_dump_traceback_later()
        for job in self._gatherer.running:
            self._tell_last(job, CancelDone(job.number))
        self._last_call_s = time.monotonic()
        self._gatherer.done()
        self._settle()

    def tell(self, job: Job, body: bytes, *, is_last: bool) -> None:
        """Passes on what became of a call, unless its last word was sent."""
        if job.is_told:
            return
        if is_last:
            self._forget(job)
        job.guest.connection.send(body)

    def hear(self, guest: Guest, message: Attach | CallMessage | Cancel | Inspect | Stop) -> None:
        """What a host says."""
        match message:
            case CallMessage():
                self._take(Job(guest, message))
            case Cancel():
                if message.call in guest.jobs:
                    self._cancel(guest.jobs[message.call])
            case Attach():
                guest.is_attached = True
                self._keep_warm_s = message.keep_warm_s
            case Inspect():
                guest.say(self._state())
            case Stop():
                self._stop_as_told(when_idle=message.when_idle)
        self._settle()

    def forsake(self) -> None:
        """In a process that the tool forked off: lets go of every socket, so that hosts notice the worker's end."""
        forsake(self._address)

    def lose(self, guest: Guest) -> None:
        """A host is gone, and its calls with it. While the tool is still being loaded, nobody else wants it then.

        Where it was the last, and nothing keeps the worker warm, the end of the process tells it that the worker is
        gone too.
        """
        self._guests.discard(guest)
        for job in list(guest.jobs.values()):
            self._cancel(job)
        if guest.is_attached and not self._is_ready and not self._has_host:
            self._end()
        if not guest.is_attached or self._keep_warm_s > 0 or self._has_host:
            guest.connection.close()
        self._settle()

    @property
    def _has_host(self) -> bool:
        return any(guest.is_attached for guest in self._guests)

    def _part_with(self, guest: Guest) -> None:
        assert self._last_words is not None
        failure, told = self._last_words
        guest.say(failure)
        guest.connection.close()
        asyncio.get_running_loop().call_soon(told)

    def _take(self, job: Job) -> None:
        if self._is_ending:
            return  # The end of the process tells the host, which makes the call elsewhere.
        if self._gatherer.num_waiting >= _MAX_WAITING:
            job.guest.say(CallFailed(job.number, "tool", f"{_MAX_WAITING} calls wait already", True))
            return
        job.guest.jobs[job.number] = job
        self._calls += 1
        self._gatherer.add(job)

    def _begin(self, batch: list[Job]) -> None:
        for job in batch:
            job.guest.say(Started(job.number))
        self._hand_out(batch)

    def _cancel(self, job: Job) -> None:
        """A waiting call is dropped at once; so is one whose batch goes on for others.

        The last one of a batch is over when the batch is, and the process ends where that takes too long.
        """
        job.is_cancelled = True
        if self._gatherer.remove(job) or not all(other.is_cancelled for other in self._gatherer.running):
            self._tell_last(job, CancelDone(job.number))
            return
        # Tells in the log where the tool was, and works where the tool never lets another thread run.
        faulthandler.dump_traceback_later(self._start.grace_s, exit=True)

    def _tell_last(self, job: Job, message: FromWorker) -> None:
        if not job.is_told:
            self._forget(job)
            job.guest.say(message)

    def _forget(self, job: Job) -> None:
        job.is_told = True
        job.guest.jobs.pop(job.number, None)

    def _state(self) -> State:
        idle_s = time.monotonic() - self._last_call_s if self._gatherer.is_idle else 0.0
        return State(self._is_ready, idle_s, self._calls)

    def _stop_as_told(self, *, when_idle: bool) -> None:
        if not when_idle:
            self.stop()
        else:
            self._end_when_idle = True

    def _settle(self) -> None:
        """Sets or clears the timer after which an idle worker ends."""
        if self._is_ending:
            return
        if self._end_when_idle and self._gatherer.is_idle and self._is_ready:
            self._end()
            return
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if self._gatherer.is_idle and not self._has_host:
            self._idle_timer = asyncio.get_running_loop().call_later(self._keep_warm_s, self._end)

    def _end(self) -> None:
        if self._is_ending:
            return
        self._is_ending = True
        if self._server is not None:
            self._server.close()
        if not self._is_ready:
            end_process(0)
        self._hand_out(None)

    def _trim_log(self) -> None:
        asyncio.get_running_loop().call_later(_LOG_TICK_S, self._trim_log)
        trim_log(self._log, MAX_LOG_BYTES)


def trim_log(log: Path, most_bytes: int) -> None:
    """Cuts a log that is longer than `most_bytes` to the last half of that.

    Whoever appends to it goes on at its end.
    """
    try:
        if log.stat().st_size <= most_bytes:
            return
        with log.open("r+b") as file:
            file.seek(-most_bytes // 2, os.SEEK_END)
            tail = file.read(most_bytes)
            file.truncate(0)
        with log.open("ab") as file:
            file.write(tail)
    except OSError:
        return
