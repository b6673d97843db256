"""Pictures as the OCR engine takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Pixels", "Sheet"]

Pixels = NDArray[np.uint8]
ROOMY = 64
"""Sides below this many pixels leave letters no room to be found in."""
MOST_STRETCHED = 6
"""Long side to short side; the engine enlarges the short side of a picture until letters can be found, and the long one
with it, at the price of minutes for a strip."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """A picture as the engine takes it, with a margin of its own colour where it is too thin to find text in."""

    pixels: Pixels
    """BGR, uint8 [height, width, 3]; what is transparent lies on white."""
    left: int
    """Width of the margin at the left, in pixels."""
    top: int
    """Height of the margin at the top."""

    @classmethod
    def of(cls, image: Image.Image) -> Sheet:
        """The sheet with the picture in its middle."""
        bare = Image.new("RGB", image.size, "white")
        bare.paste(image.convert("RGB"), mask=image.getchannel("A") if image.mode == "RGBA" else None)
        pixels = np.asarray(bare)[..., ::-1]
        height, width = pixels.shape[:2]
        shortest = max(ROOMY, -(-max(width, height) // MOST_STRETCHED))
        top, left = max(0, shortest - height + 1) // 2, max(0, shortest - width + 1) // 2
        colour = np.median(np.concatenate([pixels[0], pixels[-1]]), axis=0).astype(np.uint8)
        sheet = np.empty((height + 2 * top, width + 2 * left, 3), np.uint8)
        sheet[...] = colour
        sheet[top : top + height, left : left + width] = pixels
        return cls(sheet, left, top)
