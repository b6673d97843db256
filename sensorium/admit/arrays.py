"""Boxes, points, segments and masks from outside."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from sensorium.admit.pictures import MOST_PIXELS
from sensorium.admit.plain import check_text, take_number
from sensorium.errors import CallerError
from sensorium.parts import Segment

__all__ = ["MOST_MASK_BYTES", "read_masks", "take_boxes", "take_masks", "take_points", "take_segments"]

MOST_MASK_BYTES = 1 << 30
_MOST_ROWS = 100_000
_MASKS_FORM = "masks are true or false as [n, height, width]"
_BOXES_FORM = "boxes are [[x0, y0, x1, y1], …] in pixels"
_POINTS_FORM = "points are [[x, y], …] in pixels"
_SEGMENTS_FORM = "segments are [[start, end, text], …] in seconds"

Bools = npt.NDArray[np.bool_]


def take_boxes(value: object) -> tuple[tuple[float, float, float, float], ...]:
    """Boxes, each x0 y0 x1 y1 in pixels with x0 <= x1 and y0 <= y1.

    Raises:
        CallerError: The value holds none such.
    """
    made: list[tuple[float, float, float, float]] = []
    for x0, y0, x1, y1 in _rows(value, 4, _BOXES_FORM):
        if x1 < x0 or y1 < y0:
            raise CallerError(
                f"has a box {x0:g} {y0:g} {x1:g} {y1:g} whose end lies before its start; {_BOXES_FORM}, "
                "two corners and not a corner with a size"
            )
        made.append((x0, y0, x1, y1))
    return tuple(made)


def take_points(value: object) -> tuple[tuple[float, float], ...]:
    """Points, each x y in pixels.

    Raises:
        CallerError: The value holds none such.
    """
    return tuple((x, y) for x, y in _rows(value, 2, _POINTS_FORM))


def take_segments(value: object) -> tuple[Segment, ...]:
    """Timed text.

    Raises:
        CallerError: The value holds none such.
    """
    made: list[Segment] = []
    for row in _sequence(value, _SEGMENTS_FORM):
        if isinstance(row, Segment):
            row = (row.start_s, row.end_s, row.text)
        start, end, text = _row(row, 3, _SEGMENTS_FORM)
        start_s, end_s = take_number(start), take_number(end)
        if not isinstance(text, str) or not 0 <= start_s <= end_s:
            raise CallerError(
                f"has a segment {start!r}, {end!r}, {str(text)[:40]!r}; {_SEGMENTS_FORM}, start before end"
            )
        made.append(Segment(start_s, end_s, check_text(text)))
    return tuple(made)


def take_masks(value: object) -> Bools:
    """Bool [n, height, width] from an array of bool, or of 0 and 1, or of 0 and 255; one mask may be [height, width].

    Raises:
        CallerError: The value is no such array, or passes a limit.
    """
    array = np.asarray(value)
    _check_masks(array.shape, array.dtype)
    if array.dtype != np.bool_ and not bool(((array == 0) | (array == 1) | (array == 255)).all()):
        raise CallerError(f"has values other than 0, 1 and 255; {_MASKS_FORM}")
    return np.ascontiguousarray(array.reshape(-1, *array.shape[-2:]) != 0)


def read_masks(data: bytes) -> Bools:
    """The masks in the bytes of a .npy file.

    Raises:
        CallerError: The bytes are no such file, or hold no masks.
    """
    source = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(source)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read_header(source)
    except Exception as error:  # the header is Python text that anybody may have written
        raise CallerError("is not a .npy file; give masks as numpy.save writes them") from error
    _check_masks(shape, dtype)
    wanted, there = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, len(data) - source.tell()
    if wanted != there:
        raise CallerError(f"has {there:,} bytes of masks where its header claims {wanted:,}; give a whole file")
    flat = np.frombuffer(data, dtype=dtype, offset=source.tell())
    return take_masks(flat.reshape(shape, order="F" if is_fortran else "C"))


def _check_masks(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype.hasobject or not (dtype == np.bool_ or np.issubdtype(dtype, np.integer)):
        raise CallerError(f"is an array of {dtype}; {_MASKS_FORM}")
    if len(shape) not in (2, 3) or min(shape[-2:]) < 1:
        raise CallerError(f"is an array of shape {'x'.join(map(str, shape))}; {_MASKS_FORM}")
    height, width = shape[-2:]
    if height * width > MOST_PIXELS or int(np.prod(shape, dtype=object)) * dtype.itemsize > MOST_MASK_BYTES:
        raise CallerError(
            f"is an array of shape {'x'.join(map(str, shape))}; a mask has at most {MOST_PIXELS // 1_000_000} million "
            f"pixels, all together {MOST_MASK_BYTES >> 20} MiB"
        )


def _rows(value: object, width: int, form: str) -> list[tuple[float, ...]]:
    items = _sequence(value, form)
    if len(items) == width and not any(isinstance(item, list | tuple | np.ndarray) for item in items):
        items = [items]
    return [tuple(take_number(number) for number in _row(row, width, form)) for row in items]


def _row(row: object, width: int, form: str) -> Sequence[Any]:
    items = _sequence(row, form)
    if len(items) != width:
        raise CallerError(f"has a row of {len(items)}; {form}")
    return items


def _sequence(value: object, form: str) -> Sequence[Any]:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        raise CallerError(f"is a {type(value).__name__}; {form}")
    items = cast("Sequence[Any]", value)
    if len(items) > _MOST_ROWS:
        raise CallerError(f"has {len(items):,} rows; the most is {_MOST_ROWS:,}")
    return items
