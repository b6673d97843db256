"""Boxes and points as the caller gave them: refused, clipped, or fine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorium.worker import Refused

from .segmenter import Size

__all__ = ["MOST_BYTES", "check_boxes", "check_points", "check_room"]

MOST_BYTES = 2**31
"""Most bytes of masks that one call may ask for."""


def check_boxes(boxes: Any, size: Size) -> NDArray[np.float32]:
    """The boxes, float32 [n, 4], clipped to the picture.

    Raises:
        Refused: They are not [n, 4], or a box is not finite, has no area, is inverted or lies outside the picture.
    """
    checked = _table(boxes, "boxes", 4, "x0 y0 x1 y1")
    for index, box in enumerate(checked):
        fault = _box_fault(box, size)
        if fault:
            numbers = ", ".join(f"{number:g}" for number in box)
            raise Refused(
                f"boxes[{index}] = [{numbers}] {fault}; the picture is {size.width} wide and {size.height} high, "
                "and a box is x0 y0 x1 y1 in its pixels with x0 < x1 and y0 < y1"
            )
    return np.clip(checked, 0, np.array([size.width, size.height, size.width, size.height], np.float32))


def _box_fault(box: NDArray[np.float32], size: Size) -> str:
    x0, y0, x1, y1 = (float(number) for number in box)
    if not np.isfinite(box).all():
        return "holds a number that is not finite"
    if x1 < x0 or y1 < y0:
        return "is inverted"
    if x1 == x0 or y1 == y0:
        return "has no area"
    if x1 <= 0 or y1 <= 0 or x0 >= size.width or y0 >= size.height:
        return "lies outside the picture"
    return ""


def check_points(points: Any, size: Size) -> NDArray[np.float32]:
    """The points, float32 [n, 2].

    Raises:
        Refused: They are not [n, 2], or a point is not finite or lies outside the picture.
    """
    checked = _table(points, "points", 2, "x y")
    for index, (x, y) in enumerate(checked):
        if not (0 <= x <= size.width and 0 <= y <= size.height):
            raise Refused(
                f"points[{index}] = [{x:g}, {y:g}] does not lie in the picture, which is {size.width} wide and "
                f"{size.height} high; a point is x y in its pixels"
            )
    return checked


def check_room(num_masks: int, size: Size) -> None:
    """Raises `Refused` where so many masks of that size would not fit in `MOST_BYTES`."""
    wanted = num_masks * size.height * size.width
    if wanted > MOST_BYTES:
        raise Refused(
            f"{num_masks} masks of {size.width} x {size.height} pixels take {wanted / 2**30:.1f} GiB; one call gives "
            f"at most {MOST_BYTES / 2**30:.0f} GiB: ask for fewer at a time, or make the picture smaller"
        )


def _table(values: Any, port: str, columns: int, form: str) -> NDArray[np.float32]:
    try:
        table = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError):
        raise Refused(f"{port} are not rows of {columns} numbers, {form} in pixels") from None
    if table.size == 0:
        return np.zeros((0, columns), np.float32)
    if table.ndim != 2 or table.shape[1] != columns:
        raise Refused(f"{port} have the shape {list(table.shape)}; they are [n, {columns}], {form} in pixels")
    return table
