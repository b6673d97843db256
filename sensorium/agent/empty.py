"""What holds nothing, and calls that brought nothing."""

from __future__ import annotations

from collections.abc import Mapping

from sensorium.parts import Audio, Boxes, Data, Latent, Masks, Points, Segments, Text, Value

__all__ = ["found_nothing", "is_empty"]


def is_empty(value: Value) -> bool:
    """Whether a value holds nothing, not even a blank."""
    match value:
        case None | ():
            return True
        case Boxes(inner) | Points(inner) | Segments(inner):
            return not inner
        case Masks():
            return value.count == 0
        case Audio():
            return value.seconds == 0
        case Latent():
            return 0 in value.shape
        case Text():
            return not value.value.strip()
        case Data():
            return value.value in (None, [], {}, "")
        case _:
            return False


def found_nothing(outputs: Mapping[str, Value]) -> bool:
    """Whether a call looked for something and found nothing.

    What counts is what holds any number of things: lists, boxes, points, segments and masks. Where a call gives no such
    thing, its texts and data count. Pictures, numbers and the like say nothing of it.
    """
    told = [value for value in outputs.values() if value is not None]
    for counted in ((tuple, Boxes, Points, Segments, Masks), (Text, Data)):
        things = [value for value in told if isinstance(value, counted)]
        if things:
            return all(is_empty(value) for value in things)
    return False
