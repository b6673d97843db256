"""Colours that people tell apart."""

from __future__ import annotations

import colorsys

__all__ = ["Colour", "colour_of", "ink_on"]

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

FIRST: tuple[Colour, ...] = (
    (255, 71, 102),
    (33, 190, 242),
    (255, 196, 46),
    (137, 96, 255),
    (47, 212, 125),
    (255, 132, 46),
    (240, 86, 212),
    (20, 184, 166),
    (163, 224, 40),
    (64, 120, 255),
)
"""Vivid, and as far from each other as ten can be."""
GOLDEN = 0.61803398875
"""Share of the colour circle between one further colour and the next; no two ever meet."""


def colour_of(number: int) -> Colour:
    """The colour of the thing with that number, counted from 0."""
    if number < len(FIRST):
        return FIRST[number]
    further = number - len(FIRST)
    hue = (0.04 + further * GOLDEN) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.85, 0.6)[further % 2], (0.95, 0.8)[further // 2 % 2])
    return round(255 * red), round(255 * green), round(255 * blue)


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever reads better on the colour."""
    red, green, blue = colour
    return (16, 16, 20) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)
