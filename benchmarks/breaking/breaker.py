"""Frames of which a reader should be afraid, made from the description of the format in `sensorium.latent.frame`."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from blake3 import blake3

from sensorium.latent.frame import DTYPES, FrameHead, Tensor, seal

__all__ = ["CAP_BYTES", "HEAD", "KEY", "Breaker", "body_start"]

CAP_BYTES = 16 << 20
"""The largest body that the reader is to take."""
KEY = bytes(range(100, 132))
HEAD = FrameHead(space="lm.kv", weights="5a" * 32, runtime="torch 2.13.0 cpu bfloat16", positions=8, made_by="bench")
COUNTS = [0, 1, 7, 63, 64, 65, 2**20, 2**30, 2**31, 2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64]
NUMBERS = [2**70, 10**400, -1, -(2**63), 0.5, 1e308, float("nan"), float("inf"), True, None]
TEXTS = ["", "a", "..\0", "\ud800", "\x1b[2J", "é" * 40, "x" * 5_000, "float32", "object"]
NESTS: list[Any] = [[], [[]], {}, {"a": 1}, [0, 2**62], [2**32] * 2, [1] * 9, [[[[[[[[[]]]]]]]]]]
HOSTILE: list[Any] = [*COUNTS, *NUMBERS, *TEXTS, *NESTS]
MANY = [{"name": f"t{number}", "dtype": "uint8", "shape": [number % 3]} for number in range(300)]


class Parts(NamedTuple):
    """A frame that is right, and what it was made of."""

    whole: bytes
    words: bytes
    body: bytes


def raw(words: bytes, body: bytes, lengths: tuple[int, int] | None = None) -> bytes:
    """A frame around any head and body, with tags that are right."""
    lead = b"SENSEFR\x01" + struct.pack("<QQ", *(lengths or (len(words), len(body)))) + words
    lead += bytes(-(len(lead) + 32) % 64)
    lead += blake3(lead, key=KEY).digest()
    return lead + body + blake3(lead + body, key=KEY).digest()


def body_start(words: int) -> int:
    return -(-(24 + words + 32) // 64) * 64


def sound(chance: random.Random) -> Parts:
    """A small frame of up to four tensors."""
    rng = np.random.default_rng(chance.getrandbits(32))
    tensors: dict[str, Tensor] = {}
    for number in range(chance.randint(0, 4)):
        dtype = chance.choice(list(DTYPES))
        shape = tuple(chance.randint(0, 6) for _ in range(chance.randint(0, 4)))
        values = np.asarray(rng.integers(0, 2 if dtype == "bool" else 100, shape))
        tensors[f"t{number}"] = Tensor(values.astype(DTYPES[dtype]), dtype)
    whole = seal(HEAD, tensors, KEY)
    (words,) = struct.unpack_from("<Q", whole, 8)
    return Parts(whole, whole[24 : 24 + words], whole[body_start(words) : -32])


class Breaker:
    """Makes frames of which a reader should be afraid."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._pool = [sound(chance) for _ in range(300)]
        self.sealed = {parts.whole for parts in self._pool}
        self._ways: list[Callable[[], bytes]] = [self._damaged, self._damaged_and_sealed, self._said, self._said]

    def next(self) -> tuple[bytes, bool]:
        """A frame, and whether it was sealed as it is."""
        if self._chance.random() < 0.03:
            return self._chance.choice(self._pool).whole, True
        way = self._chance.choice(self._ways)
        return way(), way != self._damaged

    def _damaged(self) -> bytes:
        data = self._chance.choice(self._pool).whole
        if self._chance.random() < 0.3:
            at = self._chance.choice((0, 8, 16))
            claim = struct.pack(
                "<Q", self._chance.choice((0, 63, 64, 2**31, 2**32, 2**40, 2**63, 2**64 - 64, 2**64 - 1))
            )
            return data[:at] + claim + data[at + 8 :]
        return self._bent(data)

    def _bent(self, data: bytes) -> bytes:
        """Bytes flipped, cut off, put in, taken out, or joined with another's."""
        chance, bent = self._chance, bytearray(data)
        at = chance.randrange(len(bent) + 1)
        match chance.randrange(6):
            case 0:
                for _ in range(chance.randint(1, 8) if bent else 0):
                    bent[chance.randrange(len(bent))] ^= 1 << chance.randrange(8)
            case 1:
                del bent[at:]
            case 2:
                bent[at:at] = chance.randbytes(chance.choice((1, 32, 64)))
            case 3:
                del bent[at : at + chance.choice((1, 32, 64))]
            case 4:
                other = chance.choice(self._pool).whole
                bent[at:] = other[at:]
            case _:
                bent[at : at + 8] = chance.choice(
                    (b"\0" * 8, b"\xff" * 8, b"\x00\x00\x80\x7f" * 2, b"\x80\x7f\xc0\xff" * 2)
                )
        return bytes(bent)

    def _damaged_and_sealed(self) -> bytes:
        chance = self._chance
        _, words, body = chance.choice(self._pool)
        if chance.random() < 0.5:
            body = self._bent(body)
            body += bytes(-len(body) % 64) if chance.random() < 0.8 else b""
        else:
            words = self._bent(words)
        lengths = None
        if chance.random() < 0.1:
            lengths = (
                (len(words) + chance.randint(-70, 70)) % 2**64,
                chance.choice((len(body), 0, 64, CAP_BYTES, 2**40)),
            )
        return raw(words, body, lengths)

    def _said(self) -> bytes:
        """A head that says something else, in right JSON; often with a body of the size that it asks for."""
        chance = self._chance
        _, words, body = chance.choice(self._pool)
        told: dict[str, Any] = json.loads(words)
        for _ in range(chance.choice((1, 1, 2))):
            self._twist(told)
        wanted = asked_bytes(told)
        if wanted <= 1 << 15 and wanted != len(body) and chance.random() < 0.8:
            body = chance.choice((bytes, chance.randbytes))(wanted)
        spelled = json.dumps(told, ensure_ascii=chance.random() < 0.2, separators=(",", ":")).encode(
            "utf-8", "surrogatepass"
        )
        return raw(spelled, body, (len(spelled), wanted) if wanted < 2**64 and chance.random() < 0.8 else None)

    def _twist(self, told: dict[str, Any]) -> None:
        chance, hostile = self._chance, copy.deepcopy(self._chance.choice(HOSTILE))
        tensors: Any = told.get("tensors")
        one: Any = chance.choice(tensors) if isinstance(tensors, list) and tensors else None
        match chance.randrange(8):
            case 0 if isinstance(told.get("head"), dict) and chance.random() < 0.9:
                told["head"][chance.choice((*HEAD.__struct_fields__, "more"))] = hostile
            case 0:
                told["head"] = hostile
            case 1:
                told[chance.choice(("tensors", "more"))] = hostile
            case 2 if isinstance(one, dict):
                one[chance.choice(("name", "dtype", "shape", "offset"))] = hostile
            case 3 if isinstance(one, dict):
                one["dtype"] = chance.choice(list(DTYPES))
            case 4 if isinstance(one, dict):
                one["shape"] = [chance.choice((0, 1, 2, 5, 2**20, hostile)) for _ in range(chance.randint(0, 10))]
            case 5 if isinstance(one, dict):
                told["tensors"] = [*tensors, dict(one, name=chance.choice(("t0", "t1", "new", "a b", hostile)))]
            case 6 if chance.random() < 0.2:
                told["tensors"] = [dict(tensor) for tensor in MANY[: chance.choice((63, 64, 65, 65, 300))]]
            case _:
                told.pop(chance.choice(("head", "tensors")), None)


def asked_bytes(told: dict[str, Any]) -> int:
    """The size of body that a head asks for; 64 where it makes no sense."""
    total = 0
    try:
        for tensor in told["tensors"]:
            count = 1
            for side in tensor["shape"]:
                count *= side if isinstance(side, int) else 1
            total += -(-count * np.dtype(DTYPES[tensor["dtype"]]).itemsize // 64) * 64
    except (KeyError, TypeError):
        return 64
    return total if total >= 0 else 64
