"""A picture that is drawn on, with lines as wide as its size wants."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .colours import Colour, colour_of

__all__ = ["Canvas"]

LEAST_SIDE = 640
"""A picture whose long side is shorter, in pixels, is enlarged, or nobody could read the labels."""
FILL = 0.42
"""Share of the colour inside a mask."""
DARK: Colour = (12, 12, 18)
CASING = 0.6
"""Share of the dark rim that sets each line off from a picture of its own colour."""


class Canvas:
    """The picture in RGB, transparent parts on white.

    Masks and boxes are given in pixels of the original picture.
    """

    def __init__(self, picture: Image.Image) -> None:
        self.scale = max(1, math.ceil(LEAST_SIDE / max(picture.size)))
        """How many pixels of the canvas a pixel of the picture takes, in a row."""
        sheet = Image.new("RGB", picture.size, "white")
        sheet.paste(picture.convert("RGB"), mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
        size = (picture.width * self.scale, picture.height * self.scale)
        self.image = sheet if self.scale == 1 else sheet.resize(size, Image.Resampling.BICUBIC)
        self.line = max(2.0, max(size) / 420)
        """Width of a line, in pixels of the canvas."""

    def fill(self, mask: NDArray[np.bool_], number: int) -> None:
        """Tints what the mask covers."""
        place = self._around(mask)
        if place is not None:
            self._tint(place, colour_of(number), np.asarray(self._enlarged(mask, place)) / 255 * FILL)

    def outline(self, mask: NDArray[np.bool_], number: int) -> None:
        """Draws a smooth line along the mask's edge.

        Across an edge that was blurred with a deviation of s, the value passes from 0 to 1 at a slope of 0.4 / s, so
        how far it is from one half tells how far the edge is.
        """
        place = self._around(mask)
        if place is None:
            return
        deviation = self.line * 1.2
        soft = np.asarray(self._enlarged(mask, place).filter(ImageFilter.GaussianBlur(deviation)), np.float32) / 255
        distance = np.abs(soft - 0.5) * deviation / 0.4
        self._tint(place, DARK, np.clip(self.line - distance, 0, 1) * CASING)
        self._tint(place, colour_of(number), np.clip(self.line / 2 + 0.5 - distance, 0, 1))

    def frame(self, box: NDArray[np.float32], number: int, *, is_thin: bool = False) -> None:
        """Draws a box; thin where a mask shows the thing itself."""
        width = max(1, round(self.line * (0.5 if is_thin else 1)))
        rim = max(1, round(self.line / 3))
        x0, y0, x1, y1 = (round(float(edge) * self.scale) for edge in box)
        draw = ImageDraw.Draw(self.image, "RGBA")
        dark = (*DARK, round(255 * CASING))
        inner = (x0 + width, y0 + width, x1 - 1 - width, y1 - 1 - width)
        draw.rectangle((x0 - rim, y0 - rim, x1 - 1 + rim, y1 - 1 + rim), outline=dark, width=rim)
        if inner[0] + rim < inner[2] and inner[1] + rim < inner[3]:
            draw.rectangle(inner, outline=dark, width=rim)
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour_of(number), width=width)

    def _around(self, mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
        """Rows and columns of the picture that the mask covers, with room for its outline; None for an empty mask."""
        margin = math.ceil(self.line * 5 / self.scale)
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return None
        return (
            slice(max(0, int(rows[0]) - margin), min(mask.shape[0], int(rows[-1]) + 1 + margin)),
            slice(max(0, int(columns[0]) - margin), min(mask.shape[1], int(columns[-1]) + 1 + margin)),
        )

    def _enlarged(self, mask: NDArray[np.bool_], place: tuple[slice, slice]) -> Image.Image:
        """The mask within the place, in pixels of the canvas, 0 or 255, smooth between where it was enlarged."""
        patch = Image.fromarray(mask[place].astype(np.uint8) * 255)
        if self.scale == 1:
            return patch
        return patch.resize((patch.width * self.scale, patch.height * self.scale), Image.Resampling.BILINEAR)

    def _tint(self, place: tuple[slice, slice], colour: Colour, share: NDArray[np.floating]) -> None:
        top, left = place[0].start * self.scale, place[1].start * self.scale
        layer = Image.fromarray((share * 255).astype(np.uint8))
        self.image.paste(colour, (left, top, left + layer.width, top + layer.height), layer)
