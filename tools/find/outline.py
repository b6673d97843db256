"""The outline of a thing: cut once, looked at again, and cut wider if something of it was left behind.

Heat is highest on what tells a thing from others, such as the face of a cat. Where the thing fills the picture, much of
it is then too cold; where it is small, a wide cut takes in what lies around it. Which of the two is the case shows when
the network looks at the picture without what was cut.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .cut import Instance, cut, instances

NARROW, WIDE = (0.25, 0.5, 0.75), (0.15, 0.35, 0.65)
"""Bands of heat for `cut`."""
LEFT = 0.8
"""Likeness of what a cut leaves, as a share of the whole picture's, from which something was left behind."""
KEPT = 0.85
"""Likeness of the wide cut, as a share of the narrow one's, under which it took in too much else."""

Likeness = Callable[[NDArray[np.bool_]], float]
"""How much the pixels under a mask look like the thing, when the network sees nothing else."""


def outlines(picture: NDArray[np.uint8], heat: NDArray[np.float32], likeness: Likeness, most: int) -> list[Instance]:
    """Pieces of the thing, hottest first.

    Args:
        picture: RGB, uint8 [height, width, 3].
        heat: 0 to 1, [height, width].
        likeness: Of masks [height, width] of this picture.
        most: Most pieces.
    """
    narrow = instances(cut(picture, heat, NARROW), heat, most)
    taken = _union(narrow, heat)
    if not narrow or likeness(~taken) < LEFT * likeness(np.ones_like(taken)):
        return narrow
    wide = instances(cut(picture, heat, WIDE), heat, most)
    return wide if likeness(_union(wide, heat)) >= KEPT * likeness(taken) else narrow


def _union(pieces: list[Instance], heat: NDArray[np.float32]) -> NDArray[np.bool_]:
    """All pieces as one mask; empty where there is none."""
    return np.any([np.zeros_like(heat, bool), *(piece.mask for piece in pieces)], axis=0)
