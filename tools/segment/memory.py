"""Image embeddings that were made before: each picture is encoded once, however often it is prompted."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorium.worker import Refused

from .segmenter import Segmenter, Size

__all__ = ["Embeddings"]

NUM_KEPT = 8
"""Embeddings that are kept; each has 4 MiB."""
NUM_KNOWN = 1024
"""Embeddings of which it is remembered from which picture they came; each takes some 100 bytes."""


class Embeddings:
    """The embeddings of the pictures seen last, by a digest of their pixels."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._kept: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._origins: OrderedDict[bytes, tuple[bytes, Size]] = OrderedDict()

    def of(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The picture's embedding, made where it is not kept. The picture is RGB, uint8 [height, width, 3]."""
        key = _digest(picture)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        embedding = np.ascontiguousarray(self._segmenter.encode(picture))
        embedding.setflags(write=False)
        self._kept[key] = embedding
        self._origins[_digest(embedding)] = (key, Size(*picture.shape[:2]))
        _trim(self._kept, NUM_KEPT)
        _trim(self._origins, NUM_KNOWN)
        return embedding

    def check(self, given: Any, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The given embedding as float32, once nothing speaks against it.

        Raises:
            Refused: It has another shape or type than this checkpoint's, is not finite, or was made by this worker
                from another picture.
        """
        array = np.asarray(given)
        shape = self._segmenter.embedding_shape
        if array.shape != shape or array.dtype not in (np.float32, np.float16):
            raise Refused(
                f"embedding is {array.dtype} {list(array.shape)}; an image embedding of this checkpoint is float32 "
                f"{list(shape)}, as segment gave it for the same picture"
            )
        if not np.isfinite(array).all():
            raise Refused("embedding holds numbers that are not finite; give it as segment gave it, or leave it out")
        embedding = np.ascontiguousarray(array, np.float32)
        origin = self._origins.get(_digest(embedding))
        if origin is not None and origin[0] != _digest(picture):
            raise Refused(
                f"embedding was made from another picture, {origin[1].width} x {origin[1].height} pixels; this one is "
                f"{picture.shape[1]} x {picture.shape[0]}: give the picture that the embedding is of, or leave it out"
            )
        return embedding


def _digest(array: NDArray[Any]) -> bytes:
    digest = blake2b(repr((array.shape, array.dtype.str)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


def _trim(kept: OrderedDict[bytes, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
