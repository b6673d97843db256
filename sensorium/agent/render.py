"""Parts as short text: how a model and people read them."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from itertools import accumulate
from typing import cast

from sensorium.parts import Audio, Boxes, Data, Image, Latent, Masks, Part, Points, Segments, Text, Value

__all__ = ["TEXT_CHARS", "fence", "has_han", "render", "render_all"]

TEXT_CHARS = 1500
"""Most characters of one value in a prompt; what is left out is counted."""
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_DATA_CHARS = 160
"""Most characters of data; of a list stand as many whole elements as fit, and how many more there are."""


def render(value: Value) -> str:
    """A value in a few words; a text as it stands, up to `TEXT_CHARS`."""
    if value is None:
        return "nothing"
    if isinstance(value, tuple):
        return f"{len(value)} items: " + "; ".join(render(item) for item in value[:10]) if value else "no items"
    return _part(value)


def render_all(values: Mapping[str, Value]) -> str:
    """One line for each value that says something, and that no text beside it says already."""
    texts = {value.value for value in values.values() if isinstance(value, Text)}
    lines = (f"{port}: {render(value)}" for port, value in values.items() if value is not None and _says(value, texts))
    return "\n".join(lines)


def fence(source: str, text: str) -> str:
    """Text of a stranger between marks that it cannot close itself."""
    return f"<<< {source}\n{text.replace('<<<', '< < <').replace('>>>', '> > >')}\n>>>"


def has_han(text: str) -> bool:
    """Whether a text has Chinese characters."""
    return _HAN.search(text) is not None


def cut(text: str, most: int) -> str:
    """The beginning of a text, and how much of it was left out."""
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most} more characters)"


def _says(value: Value, said: Container[str]) -> bool:
    return not isinstance(value, Latent) or (value.twin is not None and value.twin not in said)


def _data(value: object) -> str:
    if not isinstance(value, list):
        return cut(json.dumps(value, ensure_ascii=False), _DATA_CHARS)
    told = [json.dumps(element, ensure_ascii=False) for element in cast("list[object]", value)]
    ends = accumulate(len(element) + len(", ") for element in told)
    num_whole = sum(end <= _DATA_CHARS for end in ends)
    more = f" … ({len(told) - num_whole} more)" if num_whole < len(told) else ""
    return f"[{', '.join(told[:num_whole])}]{more}"


def _part(part: Part) -> str:
    match part:
        case Text(value=text):
            return cut(text, TEXT_CHARS)
        case Data(value=value):
            return _data(value)
        case Segments():
            return cut(str(part), TEXT_CHARS)
        case Image(width=width, height=height):
            return f"a picture of {width}×{height} pixels"
        case Audio(seconds=seconds):
            return f"a sound of {seconds:.1f} seconds"
        case Masks(count=count):
            return _counted(count, "mask")
        case Boxes(value=boxes):
            corners = "; ".join("({:.0f}, {:.0f}) to ({:.0f}, {:.0f})".format(*box) for box in boxes[:5])
            return _counted(len(boxes), "box", "boxes") + (f": {corners}" if corners else "")
        case Points(value=points):
            return _counted(len(points), "point")
        case Latent(twin=twin):
            return cut(twin or "a latent", TEXT_CHARS)
        case _:
            return str(part)


def _counted(count: int, one: str, many: str = "") -> str:
    return f"1 {one}" if count == 1 else f"{count} {many or one + 's'}"
