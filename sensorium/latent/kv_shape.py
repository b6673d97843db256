"""What a KV cache is to the codecs: its shape, its rotation by position, and how one that is not right is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensorium.errors import LatentError

__all__ = ["Array", "Floats", "KvError", "KvShape", "Rope", "floats", "taken", "unrotated"]

Array = NDArray[Any]
Floats = NDArray[np.float32]

MOST_VALUES = 1 << 30
"""Of one message: 4 GiB as float32."""
LARGEST = 1e30
"""Values beyond are no computed state; the squares of these still fit float64."""


class KvError(LatentError):
    """A KV message, or what it is to be read with, is not what it says to be. Nothing of it was kept."""


class KvShape(NamedTuple):
    """Shape of a KV cache: keys and values of each layer are [2, heads, positions, dim]."""

    layers: int
    heads: int
    """Heads that keys and values have, which may be fewer than those that ask."""
    positions: int
    dim: int

    @property
    def array(self) -> tuple[int, int, int, int, int]:
        """The same as a shape of numpy."""
        return (self.layers, 2, self.heads, self.positions, self.dim)

    @property
    def width(self) -> int:
        """How many values a layer has at one position."""
        return 2 * self.heads * self.dim

    @property
    def num_values(self) -> int:
        """How many values there are in all."""
        return self.layers * self.width * self.positions

    def checked(self) -> KvShape:
        """The shape itself. Raises KvError where no cache can have it, or it is more than is read at once."""
        whole = all(type(size) is int for size in self)
        if not whole or min(self) < 1 or max(self) > MOST_VALUES or self.num_values > MOST_VALUES:
            raise KvError(f"a KV cache of {tuple(self)} is refused; sizes from 1, {MOST_VALUES:,} values at most")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Rope:
    """How keys were rotated by position (Su et al. 2021, RoFormer; halves paired as transformers pairs them)."""

    inv_freq: NDArray[np.float64]
    """[pairs]: radians per position. Twice as many dims of each head are rotated; the rest, if any, is not."""
    start: int
    """Position of the first key; the others follow."""

    def checked(self, dim: int) -> Rope:
        """The rotation itself. Raises KvError where keys of `dim` values cannot have been rotated so."""
        frequencies = self.inv_freq
        right = (
            frequencies.dtype == np.float64
            and frequencies.ndim == 1
            and 2 * len(frequencies) <= dim
            and self.start >= 0
        )
        if not right or not np.isfinite(frequencies).all():
            raise KvError(
                f"a rotation of {frequencies.shape} frequencies from {self.start} does not fit heads of {dim}"
            )
        return self

    def rotated(self, keys: Floats, *, back: bool = False) -> Floats:
        """Keys [..., positions, dim] rotated by their positions, or with `back` as they were before."""
        pairs = len(self.inv_freq)
        angles = np.arange(self.start, self.start + keys.shape[-2], dtype=np.float64)[:, None] * self.inv_freq
        cos = np.cos(angles).astype(np.float32)
        sin = np.sin(-angles if back else angles).astype(np.float32)
        one, other = keys[..., :pairs], keys[..., pairs : 2 * pairs]
        turned: list[Array] = [one * cos - other * sin, other * cos + one * sin, keys[..., 2 * pairs :]]
        return np.concatenate(turned, axis=-1)


def unrotated(kv: Floats, rope: Rope, *, again: bool = False) -> Floats:
    """The cache with its keys as they were before RoPE; with `again`, the way back."""
    return np.stack([rope.rotated(kv[:, 0], back=not again), kv[:, 1]], axis=1)


def floats(kv: Array) -> KvShape:
    """The shape of a cache that can be encoded. Raises KvError for another dtype, another rank, or NaN and the like."""
    if kv.dtype != np.float32 or kv.ndim != 5 or kv.shape[1] != 2:
        raise KvError(f"a KV cache is float32 [layers, 2, heads, positions, dim], not {kv.dtype} {list(kv.shape)}")
    shape = KvShape(kv.shape[0], kv.shape[2], kv.shape[3], kv.shape[4]).checked()
    if not (np.abs(kv) < LARGEST).all():
        raise KvError("the KV cache holds values that are not finite; nothing can be computed from it")
    return shape


def taken(tensors: Mapping[str, Array], expected: Mapping[str, tuple[Any, tuple[int, ...] | None]]) -> list[Array]:
    """The tensors of a message in the order expected: {name: (dtype, shape, or None for one dimension)}.

    Raises KvError for a missing or a further tensor, another dtype or shape, or a float that is not finite.
    """
    if set(tensors) != set(expected):
        raise KvError(f"the message has tensors {sorted(tensors)}; this codec has {sorted(expected)}")
    for name, (dtype, shape) in expected.items():
        tensor = tensors[name]
        fits = tensor.ndim == 1 if shape is None else tensor.shape == shape
        if tensor.dtype != np.dtype(dtype) or not fits:
            right = "[any]" if shape is None else list(shape)
            raise KvError(f"{name} is {tensor.dtype} {list(tensor.shape)}, not {np.dtype(dtype)} {right}")
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise KvError(f"{name} holds values that are not finite")
    return [tensors[name] for name in expected]
