"""Frames between host and worker, and what bounds them."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path

from sensorium.worker.desk import trim_log
from sensorium.worker.frames import MAX_FRAME_BYTES, Cancel, Connection, decode_from_host, encode
from sensorium.worker.gather import Gatherer


class End:
    """One end of a socket pair, which notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.lost = asyncio.Event()
        self.came = asyncio.Event()
        self.connection = Connection(self._hear, self.lost.set)

    def _hear(self, body: bytearray) -> None:
        self.heard.append(bytes(body))
        self.came.set()


async def connected() -> tuple[socket.socket, End]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    end = End()
    await asyncio.get_running_loop().create_unix_connection(lambda: end.connection, sock=theirs)
    return ours, end


async def test_a_frame_may_come_in_pieces_and_several_at_once() -> None:
    ours, end = await connected()
    loop = asyncio.get_running_loop()
    frame = struct.pack("<Q", 5) + b"hello"
    for at in range(len(frame)):
        await loop.sock_sendall(ours, frame[at : at + 1])
    await end.came.wait()
    end.came.clear()
    await loop.sock_sendall(ours, frame * 3)
    ours.close()
    await end.lost.wait()
    assert end.heard == [b"hello"] * 4
    end.connection.close()


async def test_a_frame_that_claims_too_much_ends_the_connection_before_memory_is_taken() -> None:
    for size_bytes in (0, MAX_FRAME_BYTES + 1, 2**64 - 1):
        ours, end = await connected()
        await asyncio.get_running_loop().sock_sendall(ours, struct.pack("<Q", size_bytes))
        await end.lost.wait()
        assert not end.connection.is_open
        ours.close()


async def test_messages_are_told_apart() -> None:
    assert decode_from_host(bytearray(encode(Cancel(7)))) == Cancel(7)


async def test_a_gatherer_hands_out_in_order_one_batch_at_a_time() -> None:
    batches: list[list[int]] = []
    gatherer: Gatherer[int] = Gatherer(2, 0.0, lambda batch: batches.append(list(batch)))
    for job in range(5):
        gatherer.add(job)
    assert batches == []
    gatherer.open()
    assert batches == [[0, 1]]
    assert gatherer.remove(2)
    assert not gatherer.remove(0)
    gatherer.done()
    gatherer.done()
    gatherer.done()
    assert batches == [[0, 1], [3, 4]]
    assert gatherer.is_idle


def test_a_log_that_grew_too_long_keeps_its_end_and_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"a" * 900 + b"b" * 200)
        trim_log(log, 1000)
        assert log.read_bytes() == b"a" * 300 + b"b" * 200
        writer.write(b"c")
    assert log.read_bytes().endswith(b"bc")
    trim_log(log, 1000)
    assert log.stat().st_size == 501
