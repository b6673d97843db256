"""A point as boxes, for a SAM that takes boxes alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .segmenter import Size

__all__ = ["boxes_around", "holds"]

SCALES = (0.06, 0.085, 0.12, 0.17, 0.24, 0.34, 0.48, 0.68, 0.95)
"""Sides of the boxes, as shares of the picture's long side."""


def boxes_around(point: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """Squares about the point x y, the smallest first, clipped to the picture: float32 [scales, 4]."""
    half = np.array(SCALES, np.float32)[:, None] * max(size) / 2
    corners = np.concatenate([point - half, point + half], axis=1)
    limits = np.array([size.width, size.height, size.width, size.height], np.float32)
    return np.clip(corners, 0, limits).astype(np.float32)


def holds(mask: NDArray[np.bool_], point: NDArray[np.float32]) -> bool:
    """Whether the mask covers the pixel at x y."""
    height, width = mask.shape
    return bool(mask[min(int(point[1]), height - 1), min(int(point[0]), width - 1)])
