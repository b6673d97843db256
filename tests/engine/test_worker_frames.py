"""Frames between host and worker, and what bounds them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import subprocess
import sys
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


FORKS = """
import os, signal, socket, sys
from sensorium.worker.frames import forsake

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
accepted, _ = listener.accept()
child = os.fork()
if child == 0:
    forsake(sys.argv[1])
    print(os.getpid(), flush=True)
    signal.pause()
os._exit(0) if sys.stdin.readline() else None
"""


def test_a_forked_process_keeps_no_connection_that_nobody_had_taken_in_hand(tmp_path: Path) -> None:
    place = str(tmp_path / "socket")
    command = [sys.executable, "-c", FORKS, place]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdout.readline()
        with socket.socket(socket.AF_UNIX) as ours:
            ours.settimeout(30)
            ours.connect(place)
            child = int(parent.stdout.readline())
            try:
                parent.stdin.write("end\n")
                parent.stdin.flush()
                parent.wait(30)
                assert ours.recv(1) == b"", "the end of the parent is seen, although its child lives on"
            finally:
                os.kill(child, signal.SIGKILL)
