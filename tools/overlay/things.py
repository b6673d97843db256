"""What is to be drawn, once it is known to fit the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorium.worker import Refused

__all__ = ["Things", "check_things"]


@dataclass(frozen=True, eq=False)
class Things:
    """Masks, boxes and labels. What has the same number in two of them is the same thing, in the same colour."""

    masks: NDArray[np.bool_]
    """bool [n, height, width] of the picture."""
    boxes: NDArray[np.float32]
    """float32 [m, 4] as x0 y0 x1 y1 in pixels, clipped to the picture."""
    labels: tuple[str, ...]
    """None at all, or one for each thing; some may be empty."""

    def box_of(self, number: int) -> tuple[float, float, float, float] | None:
        """The thing's box, or the box about its mask; None for an empty mask."""
        if number < len(self.boxes):
            x0, y0, x1, y1 = (float(edge) for edge in self.boxes[number])
            return x0, y0, x1, y1
        rows, columns = (np.flatnonzero(self.masks[number].any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return None
        return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def check_things(call: dict[str, Any], width: int, height: int) -> Things:
    """The call's masks, boxes and labels; what is missing is empty.

    Raises:
        Refused: They don't fit the picture of that size in pixels, or each other.
    """
    masks = _masks(call.get("masks"), width, height)
    boxes = _boxes(call.get("boxes"), width, height)
    return Things(masks, boxes, _labels(call.get("labels"), max(len(masks), len(boxes))))


def _masks(masks: Any, width: int, height: int) -> NDArray[np.bool_]:
    if masks is None or len(masks) == 0:
        return np.zeros((0, height, width), dtype=bool)
    array = np.asarray(masks)
    if array.ndim != 3:
        raise Refused(f"masks have the shape {list(array.shape)}; they are [n, height, width]")
    if array.shape[1:] != (height, width):
        raise Refused(
            f"the masks are {array.shape[2]} wide and {array.shape[1]} high, the picture is {width} wide and {height} "
            "high; give the picture that they were cut from"
        )
    return array.astype(bool)


def _boxes(boxes: Any, width: int, height: int) -> NDArray[np.float32]:
    table = np.asarray([] if boxes is None else boxes, dtype=np.float32)
    if table.size == 0:
        return np.zeros((0, 4), np.float32)
    if table.ndim != 2 or table.shape[1] != 4:
        raise Refused(f"boxes have the shape {list(table.shape)}; they are [n, 4], x0 y0 x1 y1 in pixels")
    for index, box in enumerate(table):
        x0, y0, x1, y1 = (float(edge) for edge in box)
        if not (np.isfinite(box).all() and x0 < x1 and y0 < y1 and x1 > 0 and y1 > 0 and x0 < width and y0 < height):
            raise Refused(
                f"boxes[{index}] = [{x0:g}, {y0:g}, {x1:g}, {y1:g}] is no box in the picture, which is {width} wide "
                f"and {height} high; a box is x0 y0 x1 y1 in its pixels with x0 < x1 and y0 < y1"
            )
    return np.clip(table, 0, np.array([width, height, width, height], np.float32))


def _labels(labels: Any, num_things: int) -> tuple[str, ...]:
    if labels is None:
        return ()
    if not isinstance(labels, list):
        raise Refused(f"labels are {type(labels).__name__}; they are a list with one for each mask or box")
    if len(labels) != num_things:
        raise Refused(f"there are {len(labels)} labels for {num_things} things; give one for each mask or box")
    return tuple(_words(index, label) for index, label in enumerate(labels))


def _words(index: int, label: Any) -> str:
    """What stands on the tag: a text, a number with two decimals, or an object's `label` or `text` and its `score`."""
    if label is None:
        return ""
    if isinstance(label, dict):
        named = label.get("label", label.get("text"))
        parts = (_words(index, part) for part in (named, label.get("score")))
        return " ".join(part for part in parts if part)
    if isinstance(label, float):
        return f"{label:.2f}"
    if isinstance(label, (str, int)):
        return " ".join(str(label).split())
    raise Refused(f"labels[{index}] is {type(label).__name__}; a label is a text, a number, or an object with `label`")
