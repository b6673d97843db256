"""From heat to masks: GrabCut finds the edges, connected pieces are the instances."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

ROUNDS = 5
"""Of GrabCut's fit."""
SMALLEST = 0.15
"""Heat of a further instance, as a share of the hottest one's."""


class Instance(NamedTuple):
    """One connected piece."""

    mask: NDArray[np.bool_]
    """[height, width]."""
    share: float
    """Its heat, as a share of the hottest piece's."""


def cut(picture: NDArray[np.uint8], heat: NDArray[np.float32], bands: tuple[float, float, float]) -> NDArray[np.bool_]:
    """The hot thing with its edges, bool [height, width].

    GrabCut (Rother et al., 2004) starts from the heat's bands. Where they leave nothing to fit, the heat alone decides.

    Args:
        picture: RGB, uint8 [height, width, 3].
        heat: 0 to 1, [height, width].
        bands: Heat at which a pixel is no longer surely background, then probably the thing, then surely.
    """
    steps = np.digitize(heat, bands)
    trimap = np.array([cv2.GC_BGD, cv2.GC_PR_BGD, cv2.GC_PR_FGD, cv2.GC_FGD], np.uint8)[steps]
    is_hot = steps >= 2
    if is_hot.all() or not is_hot.any():
        return is_hot
    cv2.setRNGSeed(0)  # its colour models start from clusters that are drawn at random
    cv2.grabCut(picture, trimap, None, np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.asarray((trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD))


def instances(mask: NDArray[np.bool_], heat: NDArray[np.float32], most: int) -> list[Instance]:
    """The connected pieces of a mask, hottest first; specks are left out."""
    num_pieces, pieces = cv2.connectedComponents(mask.astype(np.uint8))
    warmth = np.bincount(pieces.ravel(), heat.ravel(), num_pieces)
    warmth[0] = 0
    order = [int(piece) for piece in np.argsort(-warmth)[:most] if warmth[piece] > SMALLEST * warmth.max()]
    return [Instance(pieces == piece, float(warmth[piece] / warmth.max())) for piece in order]
