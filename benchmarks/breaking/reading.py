"""A second reading of frames, by the description of the format in `sensorium.latent.frame`."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from breaking.breaker import HEAD, KEY, body_start

from sensorium.latent.frame import DTYPES, Frame, Tensor, seal_to

__all__ = ["misread"]


class Same:
    """Takes what is written, and says whether it is what was expected."""

    def __init__(self, wanted: memoryview) -> None:
        self._wanted = wanted
        self.at = 0
        self.holds = True

    def write(self, data: Any, /) -> int:
        self.holds = self.holds and self._wanted[self.at : self.at + len(data)] == memoryview(data)
        self.at += len(data)
        return len(data)


def misread(data: memoryview, frame: Frame) -> str:
    """How a frame that was taken differs from a reading of its bytes by the description; empty if it does not."""
    words, body_bytes = struct.unpack_from("<QQ", data, 8)
    told = json.loads(bytes(data[24 : 24 + words]))
    if {name: getattr(frame.head, name) for name in HEAD.__struct_fields__} != told["head"]:
        return "another head"
    if [tensor["name"] for tensor in told["tensors"]] != list(frame.tensors) or len(frame.tensors) > 64:
        return "other names"
    at = body_start(words)
    for tensor in told["tensors"]:
        array, dtype = frame.tensors[tensor["name"]], tensor["dtype"]
        if list(array.shape) != tensor["shape"] or frame.dtypes[tensor["name"]] != dtype:
            return "another shape or type"
        if (
            array.dtype != np.dtype(DTYPES[dtype])
            or data[at : at + array.nbytes] != array.reshape(-1).view(np.uint8).data
        ):
            return "other numbers"
        if not finite(array.reshape(-1), dtype):
            return "NaN"
        at += -(-array.nbytes // 64) * 64
    if at + 32 != len(data) or at - body_start(words) != body_bytes:
        return "another size"
    same = Same(data)
    seal_to(same, frame.head, {name: Tensor(frame.tensors[name], frame.dtypes[name]) for name in frame.tensors}, KEY)
    return "" if same.holds and same.at == len(data) else "sealed again it is another frame"


def finite(flat: np.ndarray[Any, Any], dtype: str) -> bool:
    for at in range(0, flat.size, 1 << 16):
        piece = flat[at : at + (1 << 16)]
        if dtype == "bfloat16":
            piece = (piece.astype("<u4") << 16).view("<f4")
        if piece.dtype.kind == "f" and not np.isfinite(piece).all():
            return False
        if dtype == "bool" and piece.view(np.uint8).max() > 1:
            return False
    return True
