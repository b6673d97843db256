"""Masks, boxes and labels on a picture, for people."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from PIL import Image

from sensorium.worker import Failed, Refused

from .canvas import Canvas
from .tags import place_tags
from .things import Things, check_things


class Overlay:
    """Draws by numpy and Pillow alone."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        """Nothing to load."""

    def run(self, batch: list[dict[str, Any]]) -> Generator[Failed | list[dict[str, Any] | None]]:
        results: list[dict[str, Any] | None] = []
        for index, call in enumerate(batch):
            try:
                picture = call["image"]
                things = check_things(call, picture.width, picture.height)
                results.append({"image": draw(picture, things)})
            except Refused as refusal:
                yield Failed(index, refusal.why, refusal.kind)
                results.append(None)
        yield results

    def close(self) -> None:
        """Nothing to give back."""


def draw(picture: Image.Image, things: Things) -> Image.Image:
    """The picture in RGB with everything on it. A small picture is enlarged by a whole factor."""
    canvas = Canvas(picture)
    for number in sorted(range(len(things.masks)), key=lambda number: -int(things.masks[number].sum())):
        canvas.fill(things.masks[number], number)  # the largest first, so that none hides a smaller one
    for number, mask in enumerate(things.masks):
        canvas.outline(mask, number)
    for number, box in enumerate(things.boxes):
        canvas.frame(box, number, is_thin=len(things.masks) == len(things.boxes))
    place_tags(canvas, things)
    return canvas.image
