"""Lines of text and the order in which they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Line", "in_rows"]

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Line:
    """A piece of text that stands on one line."""

    text: str
    score: float
    """How sure the reader is, 0 to 1."""
    polygon: NDArray[np.float32]
    """float32 [4, 2], the corners as x y in pixels, from the top left of the text clockwise."""

    @property
    def box(self) -> Box:
        """x0 y0 x1 y1 about the polygon."""
        return _about(self.polygon)

    @property
    def length(self) -> float:
        """Pixels from its beginning to its end."""
        return float(np.linalg.norm(self.polygon[1] - self.polygon[0]))

    def within(self, size: tuple[int, int], left: int, top: int) -> Line:
        """The same line in the picture of that width and height, which began at `left` and `top`."""
        moved = self.polygon - np.array([left, top], np.float32)
        return replace(self, polygon=np.clip(moved, 0, np.array(size, np.float32)))

    def turned(self, width: int, height: int) -> Line:
        """The same line in the picture of that size turned by half a turn."""
        return replace(self, polygon=np.array([width, height], np.float32) - self.polygon)

    def as_data(self) -> dict[str, Any]:
        """The line as JSON."""
        return {
            "text": self.text,
            "score": round(self.score, 4),
            "box": [round(number, 1) for number in self.box],
            "polygon": [[round(float(x), 1), round(float(y), 1)] for x, y in self.polygon],
        }


def in_rows(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines from top to bottom, those that stand side by side in one row, from left to right.

    Where the lines slope, as on a page photographed askew, rows slope as much.
    """
    level = _rotation(-_slope(lines))
    placed = sorted(((line, _about(line.polygon @ level)) for line in lines), key=lambda pair: _middle(pair[1]))
    rows: list[list[tuple[Line, Box]]] = []
    for line, box in placed:
        if rows and _stand_side_by_side(rows[-1][-1][1], box):
            rows[-1].append((line, box))
        else:
            rows.append([(line, box)])
    return [[line for line, _ in sorted(row, key=lambda pair: pair[1][0])] for row in rows]


def _about(polygon: NDArray[np.float32]) -> Box:
    (x0, y0), (x1, y1) = polygon.min(axis=0), polygon.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _slope(lines: Sequence[Line]) -> float:
    """Angle of the lines in radians, the longer ones counting for more; 0 where they stand rather than lie."""
    edges = np.array([line.polygon[1] - line.polygon[0] for line in lines], np.float32).reshape(-1, 2)
    along, down = edges[np.abs(edges[:, 1]) < edges[:, 0]].sum(axis=0)
    return float(np.arctan2(down, along))


def _rotation(angle: float) -> NDArray[np.float32]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, sine], [-sine, cosine]], np.float32)


def _middle(box: Box) -> float:
    return (box[1] + box[3]) / 2


def _stand_side_by_side(one: Box, other: Box) -> bool:
    """Whether they share more than half of the lower one's height, and hardly any columns of pixels."""
    (left0, top0, right0, bottom0), (left1, top1, right1, bottom1) = one, other
    height = min(bottom0, bottom1) - max(top0, top1)
    width = min(right0, right1) - max(left0, left1)
    lower = min(bottom0 - top0, bottom1 - top1)
    return height > lower / 2 and width < min(right0 - left0, right1 - left1) / 2
