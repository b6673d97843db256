"""Values that are written in a graph file, as the parts that they stand for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

from sensorium.parts import Boxes, Data, Flag, Number, Part, Points, Segment, Segments, Text
from sensorium.spec.plain import is_list, is_mapping
from sensorium.spec.wires import is_wire, unescape

__all__ = ["literal_part", "named"]

_MAX_DEPTH = 32
_NUMERIC = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")


def named(value: object) -> str:
    """What a value of a file is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value:g}" if abs(value) < 1e15 else "a large number"
    if isinstance(value, str):
        return f"text {value if len(value) <= 40 else value[:37] + '…'!r}"
    if isinstance(value, list | tuple):
        return "a list"
    return "a mapping" if is_mapping(value) else f"a Python {type(value).__name__}"


def literal_part(value: Any, kind: str) -> Part:
    """The part of `kind` that a literal writes.

    Raises:
        ValueError: It writes none; the message says what was found and, after `; `, what would be right.
    """
    make = _MAKERS.get(kind)
    if make is None:
        raise ValueError(f"{named(value)} where {_a(kind)} is wanted; wire it from an input or a node")
    return make(value)


def _text(value: Any) -> Part:
    if not isinstance(value, str):
        raise ValueError(f"{named(value)} where text is wanted; write text, in quotes if it looks like something else")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("text with half a character (a lone surrogate); write whole characters")
    return Text(unescape(value))


def _number(value: Any) -> Part:
    return Number(_finite(value, "a number"))


def _flag(value: Any) -> Part:
    if not isinstance(value, bool):
        raise ValueError(f"{named(value)} where a flag is wanted; write true or false")
    return Flag(value)


def _data(value: Any) -> Part:
    _refuse_data(value, 0)
    return Data(unescape(value))


def _refuse_data(value: Any, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(f"data nested deeper than {_MAX_DEPTH}; nest less")
    if is_wire(value) and depth:
        raise ValueError(f"wire {value} inside data; a wire stands by itself, and $$ begins text with a $")
    if is_mapping(value):
        entries: dict[Any, Any] = value
        for key, item in entries.items():
            if not isinstance(key, str):
                raise ValueError(f"data with {named(key)} as a key; keys are text")
            _refuse_data(item, depth + 1)
    elif is_list(value):
        for item in value:
            _refuse_data(item, depth + 1)
    elif isinstance(value, str):
        _text(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _finite(value, "a number")
    elif value is not None and not isinstance(value, bool):
        raise ValueError(f"{named(value)} where data is wanted; write JSON")


def _boxes(value: Any) -> Part:
    rows = _rows(value, 4, "boxes", "[[x0, y0, x1, y1]] in pixels")
    return Boxes(tuple((row[0], row[1], row[2], row[3]) for row in rows))


def _points(value: Any) -> Part:
    return Points(tuple((row[0], row[1]) for row in _rows(value, 2, "points", "[[x, y]] in pixels")))


def _rows(value: Any, width: int, kind: str, form: str) -> list[list[float]]:
    if not is_list(value) or any(not is_list(row) or len(row) != width for row in value):
        raise ValueError(f"{named(value)} where {kind} are wanted; write {form}")
    return [[_finite(number, f"a number of {kind}") for number in row] for row in value]


def _segments(value: Any) -> Part:
    form = "[[start, end, text]] in seconds"
    if not is_list(value) or any(not is_list(row) or len(row) != 3 for row in value):
        raise ValueError(f"{named(value)} where segments are wanted; write {form}")
    made: list[Segment] = []
    for start, end, text in value:
        if not isinstance(text, str):
            raise ValueError(f"{named(text)} where a segment's text is wanted; write {form}")
        _text(text)
        made.append(Segment(_finite(start, "a start"), _finite(end, "an end"), unescape(text)))
    return Segments(tuple(made))


def _finite(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        right = "write it without quotes" if isinstance(value, str) and _NUMERIC.fullmatch(value) else "write a number"
        raise ValueError(f"{named(value)} where {what} is wanted; {right}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"a number that is not finite where {what} is wanted; write a finite one")
    return number


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else kind if kind == "masks" else f"a {kind}"


_MAKERS: Final[dict[str, Callable[[Any], Part]]] = {
    "text": _text,
    "number": _number,
    "flag": _flag,
    "data": _data,
    "boxes": _boxes,
    "points": _points,
    "segments": _segments,
}
