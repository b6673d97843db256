"""Frames that come through files and sockets, from senders that may end anywhere."""

from __future__ import annotations

import io
import resource
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorium.latent.frame import (
    FrameBroken,
    FrameHead,
    FrameLimits,
    FrameRefused,
    open_frame,
    read_frame,
    seal,
    seal_to,
)

KEY = bytes(range(32))
HEAD = FrameHead(space="lm.kv", weights="ab12", runtime="torch 2.13.0 cpu float32", positions=2)
TENSORS = {"keys": np.arange(40, dtype=np.float32).reshape(2, 20), "nothing": np.zeros((0, 3), np.int32)}


class Slow:
    """A stream that gives and takes a few bytes at a time, and counts them."""

    def __init__(self, data: bytes = b"", step: int = 7) -> None:
        self._inner = io.BytesIO(data)
        self._step = step
        self.moved = 0

    def readinto(self, buffer: Any, /) -> int:
        taken = self._inner.readinto(memoryview(buffer)[: self._step])
        self.moved += taken
        return taken

    def write(self, data: Any, /) -> int:
        self.moved += self._inner.write(memoryview(data)[: self._step])
        return min(self._step, len(data))

    def all(self) -> bytes:
        return self._inner.getvalue()


def test_frames_follow_one_another_in_a_stream() -> None:
    stream = io.BytesIO()
    seal_to(stream, HEAD, TENSORS, KEY)
    size_bytes = seal_to(stream, HEAD, {}, KEY)
    stream.write(b"and then")
    stream.seek(0)
    first, second = read_frame(stream, KEY), read_frame(stream, KEY)
    assert stream.read() == b"and then"
    assert {name: array.tolist() for name, array in first.tensors.items()} == {
        "keys": TENSORS["keys"].tolist(),
        "nothing": [],
    }
    assert first.tensors["keys"].ctypes.data % 64 == 0
    assert not first.tensors["keys"].flags.writeable
    assert second.size_bytes == size_bytes


def test_what_is_written_in_small_steps_is_what_is_sealed_whole() -> None:
    target = Slow()
    assert seal_to(target, HEAD, TENSORS, KEY) == target.moved
    assert target.all() == seal(HEAD, TENSORS, KEY)
    assert read_frame(Slow(target.all()), KEY).tensors["keys"].tobytes() == TENSORS["keys"].tobytes()


def test_nothing_is_written_of_a_frame_that_would_be_refused() -> None:
    target = Slow()
    with pytest.raises(FrameRefused, match="tensor b holds NaN"):
        seal_to(target, HEAD, {**TENSORS, "b": np.array([np.nan], np.float32)}, KEY)
    assert target.moved == 0


def test_a_sender_that_ends_anywhere_is_told_of() -> None:
    data = seal(HEAD, TENSORS, KEY)
    for cut in range(len(data)):
        with pytest.raises(FrameBroken, match=rf"broke off after {cut:,} of .* bytes: the sender ended") as caught:
            read_frame(io.BytesIO(data[:cut]), KEY)
        assert caught.value.can_retry
    with pytest.raises(FrameBroken, match=f"broke off after 200 of {len(data)} bytes"):
        read_frame(io.BytesIO(data[:200]), KEY)


def test_a_large_frame_crosses_a_socket() -> None:
    ours, theirs = socket.socketpair()
    big = {"a": np.random.default_rng(0).standard_normal((300, 1000), dtype=np.float32)}
    sender = threading.Thread(target=seal_to, args=(theirs, HEAD, big, KEY))
    sender.start()
    with ours, theirs:
        assert read_frame(ours, KEY).tensors["a"].tobytes() == big["a"].tobytes()
        sender.join()


def test_a_sender_that_dies_or_falls_silent_is_told_of() -> None:
    data = seal(HEAD, TENSORS, KEY)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.01)
        theirs.sendall(data[:300])
        with pytest.raises(FrameBroken, match=r"broke off after 300 of .*: timed out"):
            read_frame(ours, KEY)
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, socket.create_connection(listener.getsockname()) as far:
        near = listener.accept()[0]
        near.sendall(data[:-1])
        # The kernel resets the connection, as it does for a process that is killed before it read all.
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        near.close()
        with pytest.raises(FrameBroken, match=r"broke off after .*: Connection reset by peer"):
            read_frame(far, KEY)


def test_a_claim_is_refused_before_memory_is_taken_or_more_is_read() -> None:
    limits = FrameLimits(most_body_bytes=1 << 50, most_head_bytes=1 << 40)
    claim = b"SENSEFR\x01" + struct.pack("<QQ", 100, 4 << 40)
    source = Slow(claim + bytes(1000))
    with pytest.raises(FrameRefused, match="claims a body of 4,398,046,511,104 bytes"):
        read_frame(source, KEY)
    assert source.moved == len(claim)
    source = Slow(claim + bytes(1000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FrameRefused, match="head does not bear its tag"):
        read_frame(source, KEY, limits=limits)
    assert source.moved == 192, "the lead is read, none of the body that nobody vouched for"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_a_receiver_declines_by_the_head_before_the_body_is_sent() -> None:
    class Unwanted(Exception):
        pass

    def accept(head: FrameHead) -> None:
        if head.weights != "cd34":
            raise Unwanted(head.weights)

    data = seal(HEAD, TENSORS, KEY)
    body_at = len(data) - 32 - 192
    source = Slow(data[:body_at])
    with pytest.raises(Unwanted, match="ab12"):
        read_frame(source, KEY, accept=accept)
    assert source.moved == body_at


def test_a_frame_changed_on_its_way_is_refused() -> None:
    data = bytearray(seal(HEAD, TENSORS, KEY))
    for at in range(24 * 8, len(data) * 8, 37):
        data[at // 8] ^= 1 << at % 8
        with pytest.raises(FrameRefused, match="does not bear its tag"):
            read_frame(io.BytesIO(data), KEY)
        data[at // 8] ^= 1 << at % 8
    assert read_frame(io.BytesIO(data), KEY).head == HEAD


def test_a_frame_lies_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.frame"
    with path.open("wb", buffering=0) as target:
        seal_to(target, HEAD, TENSORS, KEY)
    with path.open("rb") as source:
        assert read_frame(source, KEY).head == open_frame(path.read_bytes(), KEY).head == HEAD
