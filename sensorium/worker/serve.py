"""The process of one tool: the tool works on the main thread, the socket is served on another.

The listening socket is made by the host and handed over, so that hosts can connect before Python has started. The
process ends when it was idle, with no host connected, for as long as the last host asked; when it is told to; when
`setup` fails; and when a call that nobody wants any more does not end.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec

from sensorium.errors import OperatorError
from sensorium.parts import Blob, Part, Value, decode_values, encode_values
from sensorium.spec.ports import PortType
from sensorium.worker.batch import Failure, describe, run_batch
from sensorium.worker.desk import Desk, Job
from sensorium.worker.ending import end_process
from sensorium.worker.folder import Tool, WrongFolder, load_tool
from sensorium.worker.frames import (
    CallFailed,
    Finished,
    FromWorker,
    ItemMade,
    ProgressMade,
    SetupFailed,
    Start,
    encode,
)
from sensorium.worker.values import OutputPorts, native_inputs

__all__ = ["serve"]


def serve(directory: Path, listener_fd: int) -> None:
    """Serves the tool that `directory/start.json` tells of, until the worker is to end. Never returns.

    Args:
        directory: The worker's own directory; standard output and error are its log already.
        listener_fd: A listening Unix stream socket.
    """
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    start = msgspec.json.decode((directory / "start.json").read_bytes(), type=Start)
    listener = socket.socket(fileno=listener_fd)
    listener.setblocking(False)
    process = _Process(start, listener, directory / "log")
    signal.signal(signal.SIGTERM, lambda _number, _frame: process.post(process.desk.stop))
    process.work()


class _Process:
    def __init__(self, start: Start, listener: socket.socket, log: Path) -> None:
        self._start = start
        self._loop = asyncio.new_event_loop()
        self._batches: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        self.desk = Desk(start, listener, log, self._batches.put)
        self._outputs = OutputPorts(
            {port: PortType.parse(text) for port, text in start.outputs.items()}, start.twins, start.identity
        )
        self._inputs = {port: PortType.parse(text) for port, text in start.inputs.items()}
        os.register_at_fork(after_in_child=self.desk.forsake)
        threading.Thread(target=self._serve, daemon=True, name="sensorium-desk").start()

    def post(self, what: Callable[[], None]) -> None:
        """Has something done on the desk's thread."""
        self._loop.call_soon_threadsafe(what)

    def work(self) -> None:
        tool = self._set_up()
        self.post(self.desk.ready)
        while (batch := self._batches.get()) is not None:
            teller = _Teller(batch, self.post, self.desk)
            run_batch(tool, self._outputs, [self._loader(job) for job in batch], teller)
            self.post(self.desk.batch_done)
        self._end(tool)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.desk.open())
        self._loop.run_forever()

    def _set_up(self) -> Tool:
        # A host ends a worker whose setup takes too long; this ends one whose host is gone.
        faulthandler.dump_traceback_later(self._start.setup_s + self._start.grace_s, exit=True)
        try:
            tool = load_tool(self._start.tool, Path(self._start.folder))
            tool.setup(dict(self._start.checkpoints), self._start.device)
        except BaseException as error:
            traceback.print_exc()
            self._give_up(_setup_failure(error))
        faulthandler.cancel_dump_traceback_later()
        return tool

    def _give_up(self, failure: SetupFailed) -> NoReturn:
        told = threading.Event()
        self.post(lambda: self.desk.fail(failure, told.set))
        told.wait(self._start.grace_s)
        end_process(1)

    def _loader(self, job: Job) -> Callable[[], dict[str, object]]:
        return lambda: native_inputs(decode_values(job.inputs, _Files(job.paths)), self._inputs, job.key)

    def _end(self, tool: Tool) -> None:
        faulthandler.dump_traceback_later(self._start.grace_s, exit=True)
        try:
            tool.close()
        except BaseException:
            traceback.print_exc()
        end_process(0)


def _setup_failure(error: BaseException) -> SetupFailed:
    if isinstance(error, WrongFolder):
        return SetupFailed("tool", str(error))
    if isinstance(error, ModuleNotFoundError):
        return SetupFailed(
            "operator",
            f"the module {error.name!r} is not installed for {sys.executable}; install what the tool's README asks "
            "for, or run `sensorium models pull` for a tool with an environment of its own",
        )
    return SetupFailed("tool", f"setup {describe(error)}")


class _Files:
    """Blobs of a call's inputs, by the paths that came with it."""

    def __init__(self, paths: dict[str, str]) -> None:
        self._paths = paths

    def path(self, digest: str) -> Path:
        return Path(self._paths[digest])

    def read(self, digest: str) -> bytes:
        try:
            return self.path(digest).read_bytes()
        except OSError as error:
            raise OperatorError(f"blob {digest} of an input cannot be read: {error.strerror}") from error


class _Teller:
    """Sends what becomes of a batch's calls to the hosts that made them."""

    def __init__(self, batch: list[Job], post: Callable[[Callable[[], None]], None], desk: Desk) -> None:
        self._batch = batch
        self._post = post
        self._desk = desk
        self._blobs: list[bytes] = []

    def is_cancelled(self, call: int) -> bool:
        return self._batch[call].is_cancelled

    def keep(self, data: bytes, media_type: str) -> Blob:
        self._blobs.append(data)
        return Blob(str(len(self._blobs) - 1), len(data), media_type, _Files({}))

    def progress(self, call: int, share: float, note: str) -> None:
        self._tell(call, ProgressMade(self._batch[call].number, share, note))

    def item(self, call: int, port: str, part: Part) -> None:
        self._tell(call, ItemMade(self._batch[call].number, encode_values({port: part}), self._taken()))

    def finished(self, call: int, outputs: dict[str, Value], seconds: float) -> None:
        number = self._batch[call].number
        self._tell(call, Finished(number, encode_values(outputs), self._taken(), seconds), is_last=True)

    def failed(self, call: int, failure: Failure) -> None:
        self._taken()
        if failure.cause is not None:
            traceback.print_exception(failure.cause)
        number = self._batch[call].number
        self._tell(call, CallFailed(number, failure.kind, failure.why, failure.can_retry), is_last=True)

    def _taken(self) -> list[bytes]:
        blobs, self._blobs = self._blobs, []
        return blobs

    def _tell(self, call: int, message: FromWorker, *, is_last: bool = False) -> None:
        job = self._batch[call]
        try:
            body = encode(message)
        except ValueError as error:
            body = encode(CallFailed(job.number, "tool", f"what run gave is too large to be passed on: {error}", False))
            is_last = True
        self._post(lambda: self._desk.tell(job, body, is_last=is_last))
