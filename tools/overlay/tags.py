"""The labels: small tags in the colour of their thing, each where it hides least."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageDraw

from .canvas import Canvas
from .colours import colour_of, ink_on
from .fonts import Font, font_for
from .things import Things

__all__ = ["place_tags"]

SMOOTH = 4
"""How much larger a tag is drawn before it is shrunk, for round corners without steps."""


@dataclass(frozen=True)
class Area:
    """A rectangle on the canvas, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def common(self, other: Area) -> int:
        """Pixels that both cover."""
        width = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        height = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        return max(0, width) * max(0, height)


def place_tags(canvas: Canvas, things: Things) -> None:
    """Puts each label at its thing. A label too long for the picture ends in dots.

    A label that no font here can write gives way to the number of its thing, counted from 1.
    """
    taken: list[Area] = []
    for number, label in enumerate(things.labels):
        box = things.box_of(number)
        if not label or box is None:
            continue
        tag = _tag(label, number, canvas)
        x0, y0, x1, y1 = (round(edge * canvas.scale) for edge in box)
        areas = [_within(area, canvas.image) for area in _places((x0, y0, x1, y1), tag, round(canvas.line))]
        best = min(areas, key=lambda area: sum(area.common(other) for other in taken))
        canvas.image.paste(tag, (best.left, best.top), tag)
        taken.append(best)


def _tag(label: str, number: int, canvas: Canvas) -> Image.Image:
    """The tag as RGBA."""
    size = max(15, round(max(canvas.image.size) / 44)) * SMOOTH
    found = font_for(label, size)
    text, font = (label, found) if found else (f"#{number + 1}", font_for("#0", size))
    assert font is not None, "Pillow's own font has digits"
    room = max(canvas.image.width * SMOOTH - size, size)
    text = _shortened(text, font, room)
    _, top, _, bottom = (round(edge) for edge in font.getbbox("Hg|" + text))
    width = round(font.getlength(text)) + size
    height = bottom - top + size // 3
    tag = Image.new("RGBA", (width, height), (*colour_of(number), 0))
    draw = ImageDraw.Draw(tag)
    draw.rounded_rectangle((0, 0, width - 1, height - 1), radius=size // 3, fill=(*colour_of(number), 240))
    draw.text((size // 2, size // 6 - top), text, font=font, fill=ink_on(colour_of(number)))
    return tag.resize((max(1, width // SMOOTH), max(1, height // SMOOTH)), Image.Resampling.LANCZOS)


def _shortened(text: str, font: Font, room: float) -> str:
    if font.getlength(text) <= room:
        return text
    kept = len(text)
    while kept > 1 and font.getlength(text[:kept].rstrip() + "...") > room:
        kept -= 1
    return text[:kept].rstrip() + "..."


def _places(box: tuple[int, int, int, int], tag: Image.Image, gap: int) -> Iterator[Area]:
    """Where the tag may stand, the best first: above the box, in its corners, below it."""
    x0, y0, x1, y1 = box
    lefts = (x0, max(x0, x1 - tag.width))
    tops = (y0 - tag.height - gap, y0 + gap, y1 + gap, y1 - tag.height - gap)
    for top in tops:
        for left in lefts:
            yield Area(left, top, tag.width, tag.height)


def _within(area: Area, image: Image.Image) -> Area:
    """The area moved into the picture, as far as it fits."""
    left = max(0, min(area.left, image.width - area.width))
    return Area(left, max(0, min(area.top, image.height - area.height)), area.width, area.height)
