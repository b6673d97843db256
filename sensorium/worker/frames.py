"""What a host and a worker say to each other: length-prefixed MessagePack on a Unix stream socket.

A frame is 8 bytes, the length of its body (little-endian), then the body: one message. Values travel as
`sensorium.parts` writes them. Media of inputs stand by the path of their blob; media of outputs travel as bytes, and a
part's blob is named by its index among them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

__all__ = [
    "MAX_FRAME_BYTES",
    "Attach",
    "CallFailed",
    "CallMessage",
    "Cancel",
    "CancelDone",
    "Connection",
    "FailureKind",
    "Finished",
    "FromHost",
    "FromWorker",
    "Inspect",
    "ItemMade",
    "ProgressMade",
    "Ready",
    "SetupFailed",
    "Start",
    "Started",
    "State",
    "Stop",
    "decode_from_host",
    "decode_from_worker",
    "encode",
    "forsake",
]

MAX_FRAME_BYTES = 1 << 30
"""Most bytes of one message."""
_MAX_UNSENT_BYTES = 2 << 30
_JOIN_BELOW_BYTES = 1 << 16
_PREFIX = struct.Struct("<Q")

FailureKind = Literal["tool", "caller", "language", "latent", "operator"]
"""Who must act."""


class _Message(msgspec.Struct, frozen=True, tag_field="say"):
    pass


class Start(msgspec.Struct, frozen=True):
    """What a worker's process is told when it starts, in a file."""

    tool: str
    folder: str
    """The folder that holds `worker.py`."""
    checkpoints: dict[str, str]
    device: str
    inputs: dict[str, str]
    """Type of each input port, as it is written in files."""
    outputs: dict[str, str]
    """Type of each output port."""
    twins: dict[str, str]
    """The text output that stands in for a latent output."""
    identity: str
    """Stands in the latents that the tool makes."""
    batch_max: int
    wait_s: float
    setup_s: float
    grace_s: float
    """How long a cancelled call may go on before the process ends itself."""


class Attach(_Message, frozen=True, tag="attach"):
    """A host is here, and will make calls."""

    keep_warm_s: float


class CallMessage(_Message, frozen=True, tag="call"):
    """A call."""

    call: int
    """The host's number of the call."""
    inputs: bytes
    """As `parts.encode_values` writes them."""
    paths: dict[str, str]
    """File of each blob."""
    key: str = ""
    """What a tool that acts on the world knows the call again by; empty for any other tool."""


class Cancel(_Message, frozen=True, tag="cancel"):
    """A call's result is no longer wanted."""

    call: int


class Inspect(_Message, frozen=True, tag="inspect"):
    """Asks how the worker is."""


class Stop(_Message, frozen=True, tag="stop"):
    """The worker is to end."""

    when_idle: bool
    """Whether it first finishes the calls that it has."""


class Ready(_Message, frozen=True, tag="ready"):
    """`setup` is done."""


class SetupFailed(_Message, frozen=True, tag="setup_failed"):
    """The worker's last words: the tool cannot be loaded."""

    kind: FailureKind
    why: str


class Started(_Message, frozen=True, tag="started"):
    """A call is in the batch that goes to `run` now. On the wire before `run` is entered."""

    call: int


class ProgressMade(_Message, frozen=True, tag="progress"):
    """A call has come this far."""

    call: int
    share: float
    note: str


class ItemMade(_Message, frozen=True, tag="item"):
    """One element of a list output."""

    call: int
    values: bytes
    """The element under the name of its port."""
    blobs: list[bytes]


class Finished(_Message, frozen=True, tag="finished"):
    """A call's outputs."""

    call: int
    values: bytes
    blobs: list[bytes]
    seconds: float


class CallFailed(_Message, frozen=True, tag="failed"):
    """A call failed."""

    call: int
    kind: FailureKind
    why: str
    can_retry: bool


class CancelDone(_Message, frozen=True, tag="cancelled"):
    """A cancelled call is over."""

    call: int


class State(_Message, frozen=True, tag="state"):
    """How the worker is."""

    is_ready: bool
    idle_s: float
    """Seconds since the last call ended; 0 while one runs."""
    calls: int
    """Calls that were taken since the start."""


FromHost: TypeAlias = Attach | CallMessage | Cancel | Inspect | Stop
FromWorker: TypeAlias = (
    Ready | SetupFailed | Started | ProgressMade | ItemMade | Finished | CallFailed | CancelDone | State
)

_encoder = msgspec.msgpack.Encoder()
_from_host: msgspec.msgpack.Decoder[FromHost] = msgspec.msgpack.Decoder(FromHost)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def encode(message: FromHost | FromWorker) -> bytes:
    """A frame's body.

    Raises:
        ValueError: It would be larger than a frame may be.
    """
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError(f"{len(body):,} bytes where a message has at most {MAX_FRAME_BYTES:,}")
    return body


def decode_from_host(body: bytearray) -> FromHost:
    """What a host said.

    Raises:
        msgspec.MsgspecError: It is no such message.
    """
    return _from_host.decode(body)


def decode_from_worker(body: bytearray) -> FromWorker:
    """What a worker said.

    Raises:
        msgspec.MsgspecError: It is no such message.
    """
    return _from_worker.decode(body)


def forsake(address: str) -> None:
    """Has every socket of this process that is bound to `address` stand for nothing; other processes keep theirs.

    Whatever was accepted there is bound to it, whether or not anybody has taken it in hand since.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for handle in [int(name) for name in os.listdir("/dev/fd")]:
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(handle).st_mode) and _address_of(handle) == address:
                os.dup2(nothing, handle)
    os.close(nothing)


def _address_of(handle: int) -> object:
    borrowed = socket.socket(fileno=handle)
    try:
        return borrowed.getsockname()
    finally:
        borrowed.detach()


class Connection(asyncio.BufferedProtocol):
    """One end of a socket that speaks in frames. Belongs to the event loop that made it.

    Args:
        on_body: Called with the body of each frame. If it raises, the connection ends.
        on_lost: Called once when the connection has ended, or when the other end has closed its side.
        on_open: Called when something can be said.
    """

    def __init__(
        self,
        on_body: Callable[[bytearray], None],
        on_lost: Callable[[], None],
        on_open: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_body = on_body
        self._on_open = on_open
        self._on_lost = on_lost
        self._prefix = bytearray(_PREFIX.size)
        self._body: bytearray | None = None
        self._filled = 0
        self._told = False
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        """Whether something can still be said."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, body: bytes) -> None:
        """Sends a frame; nothing happens when the connection has ended. Small frames are on the wire on return.

        An end that does not read what it is sent loses its connection.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        prefix = _PREFIX.pack(len(body))
        if len(body) < _JOIN_BELOW_BYTES:
            transport.write(prefix + body)
        else:
            transport.write(prefix)
            transport.write(body)
        if transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            transport.abort()

    def say(self, message: FromHost | FromWorker) -> None:
        """Sends a message that is known to be small."""
        self.send(encode(message))

    def finish(self) -> None:
        """Says that nothing more will be sent; what the other end sends still arrives."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        """Ends the connection once all is sent."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._on_open()

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._prefix if self._body is None else self._body)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        if self._body is None:
            if self._filled == _PREFIX.size:
                self._open_body()
        elif self._filled == len(self._body):
            body, self._body, self._filled = self._body, None, 0
            self._hand_on(body)

    def eof_received(self) -> bool:
        self._tell_lost()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._tell_lost()

    def _open_body(self) -> None:
        size_bytes: int = _PREFIX.unpack(self._prefix)[0]
        if not 0 < size_bytes <= MAX_FRAME_BYTES:
            self._abort()
            return
        self._body, self._filled = bytearray(size_bytes), 0

    def _hand_on(self, body: bytearray) -> None:
        try:
            self._on_body(body)
        except BaseException:
            self._abort()
            raise

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _tell_lost(self) -> None:
        if not self._told:
            self._told = True
            self._on_lost()
