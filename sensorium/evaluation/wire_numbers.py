"""Numbers that cross a latent wire, and how far what a model says lies from what it would have said."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "as_bits", "as_floats", "as_noise", "from_codes", "is_bit_equal", "kl_nats", "to_codes"]

Floats = npt.NDArray[np.float32]

_HIGH_BITS = 16


def as_floats(array: npt.NDArray[Any], dtype: str) -> Floats:
    """A frame's tensor as float32; bfloat16 lies in it as its 16 bits."""
    if dtype == "bfloat16":
        return (array.astype(np.uint32) << _HIGH_BITS).view(np.float32)
    return array.astype(np.float32)


def as_bits(array: Floats, dtype: str) -> npt.NDArray[Any]:
    """Float32 as it lies in a frame's tensor, rounded to the nearest, ties to even."""
    if dtype != "bfloat16":
        return array.astype(np.dtype(dtype))
    bits = np.ascontiguousarray(array, dtype=np.float32).view(np.uint32)
    odd = (bits >> _HIGH_BITS) & 1
    return ((bits + 0x7FFF + odd) >> _HIGH_BITS).astype(np.uint16)


def to_codes(array: Floats, num_bits: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float16]]:
    """Codes of so many bits and a scale for each vector of the last axis, so that codes * scale is near the array."""
    most = 2 ** (num_bits - 1) - 1
    scale = np.maximum(np.abs(array).max(-1, keepdims=True) / most, 1e-6).astype(np.float16)
    return np.clip(np.rint(array / scale.astype(np.float32)), -most, most).astype(np.int8), scale


def from_codes(codes: npt.NDArray[np.int8], scale: npt.NDArray[np.float16]) -> Floats:
    """What codes and scales stand for."""
    return np.multiply(codes, scale, dtype=np.float32)


def as_noise(array: Floats, rng: np.random.Generator) -> Floats:
    """Noise whose vectors along the last axis have the norms of the array's."""
    noise = rng.standard_normal(array.shape, dtype=np.float32)
    wanted, drawn = (np.sqrt(np.square(one).sum(-1, keepdims=True)) for one in (array, noise))
    return np.asarray(noise / drawn * wanted, dtype=np.float32)


def is_bit_equal(one: Floats, other: Floats) -> bool:
    """Whether two arrays of logits have the same bits."""
    return one.shape == other.shape and bool((one.view(np.uint32) == other.view(np.uint32)).all())


def kl_nats(text: Floats, channel: Floats) -> float:
    """Mean over tokens of the divergence of what comes next by a channel from what comes next by the text, in nats.

    Args:
        text: Logits [tokens, vocabulary].
        channel: The same.
    """
    logs, others = _log_softmax(text), _log_softmax(channel)
    return max(0.0, float((np.exp(logs) * (logs - others)).sum(-1, dtype=np.float64).mean()))


def _log_softmax(logits: Floats) -> Floats:
    moved = logits - logits.max(-1, keepdims=True)
    return np.asarray(moved - np.log(np.exp(moved).sum(-1, keepdims=True, dtype=np.float64)), dtype=np.float32)
