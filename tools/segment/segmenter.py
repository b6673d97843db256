"""The one seam between the worker and the SAMs of three libraries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cut", "Segmenter", "Size"]


class Size(NamedTuple):
    """Size of a picture, in pixels."""

    height: int
    width: int


class Cut(NamedTuple):
    """What one prompt cuts out."""

    mask: NDArray[np.bool_]
    """bool [height, width], of the picture's size."""
    score: float
    """The model's own estimate of the mask's IoU with what was meant, 0 to 1."""


class Segmenter(Protocol):
    """A SAM, on its device, with the way pictures and prompts are prepared for it."""

    embedding_shape: tuple[int, int, int, int]
    """Shape of an image embedding, [1, channels, rows, columns]; (1, 256, 64, 64) for every published SAM."""

    def encode(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The image embedding of an RGB picture, uint8 [height, width, 3]."""
        ...

    def cut_boxes(self, embedding: NDArray[np.float32], size: Size, boxes: NDArray[np.float32]) -> Iterator[Cut]:
        """One cut for each box, in order and lazily.

        Args:
            embedding: What `encode` gave for the picture.
            size: Size of the picture.
            boxes: float32 [n, 4] as x0 y0 x1 y1 in pixels of the picture, within it, of positive area.
        """
        ...

    def cut_points(self, embedding: NDArray[np.float32], size: Size, points: NDArray[np.float32]) -> Iterator[Cut]:
        """One cut for each point, in order and lazily: the thing that the point lies on.

        Args:
            embedding: What `encode` gave for the picture.
            size: Size of the picture.
            points: float32 [n, 2] as x y in pixels of the picture, within it.
        """
        ...
