"""Plain rounding of a KV cache: whole numbers of a few bits between the least and the greatest of each group.

A group is the values of one head at one position. It needs no tables and fits every model.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sensorium.latent.kv_shape import Array, Floats, KvError, KvShape, floats, taken

__all__ = ["decode_plain", "encode_plain"]

MOST_VALUE = 65504.0
"""The greatest float16."""
LEAST_STEP = np.float16(2.0**-24)


def encode_plain(kv: Floats, bits: int) -> dict[str, Array]:
    """`codes` uint8 [bytes], packed from the highest bit, `least` and `step` float16 [layers, 2, heads, positions]."""
    floats(kv)
    top = 2**bits - 1
    if np.abs(kv).max() > MOST_VALUE:
        raise KvError("the KV cache holds values beyond 65,504; scales are float16")
    least = kv.min(axis=-1).astype(np.float16)
    step = np.maximum((kv.max(axis=-1) / np.float32(top) - least / np.float32(top)).astype(np.float16), LEAST_STEP)
    whole = np.rint((kv - least[..., None].astype(np.float32)) / step[..., None].astype(np.float32))
    codes = np.clip(whole, 0, top).astype(np.uint8)
    return {"codes": _packed(codes.ravel(), bits), "least": least, "step": step}


def decode_plain(tensors: Mapping[str, Array], bits: int, shape: KvShape) -> Floats:
    """The cache, float32 [layers, 2, heads, positions, dim]. Raises KvError for tensors that are not of this codec."""
    groups = shape.array[:-1]
    num_bytes = -(-shape.num_values * bits // 8)
    codes, least, step = taken(
        tensors, {"codes": (np.uint8, (num_bytes,)), "least": (np.float16, groups), "step": (np.float16, groups)}
    )
    numbers = _unpacked(codes, bits, shape.num_values).reshape(shape.array)
    values: Floats = numbers.astype(np.float32) * step[..., None].astype(np.float32)
    return values + least[..., None].astype(np.float32)


def _packed(codes: Array, bits: int) -> Array:
    if bits == 8:
        return codes
    return np.packbits(np.unpackbits(codes[:, None], axis=1)[:, 8 - bits :])


def _unpacked(packed: Array, bits: int, count: int) -> Array:
    if bits == 8:
        return packed
    one_each = np.unpackbits(packed, count=count * bits).reshape(count, bits)
    return np.packbits(one_each, axis=1).ravel() >> (8 - bits)
