"""A picture as the network sees it at several sizes, and where in it a concept is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from .efficientnet import EfficientNetLite, to_pixels

SIDES = (224, 448, 640, 896)
"""Sides to which the picture is scaled, in pixels. The larger, the smaller the things that fill a cell."""


@dataclass(frozen=True, slots=True)
class View:
    """What the network makes of a picture at one size."""

    logits: NDArray[np.float32]
    """Logit of each class in each cell, without the class's bias: [rows, columns, 1000]."""
    posterior: NDArray[np.float32]
    """Probability of each class in the whole picture, [1000]."""
    peaks: NDArray[np.float32]
    """Highest probability of each class in any cell, [1000]."""


@torch.inference_mode()
def look(network: EfficientNetLite, picture: Image.Image, device: str) -> list[View]:
    """Views of an RGB picture, coarsest first."""
    return [_view(network, picture.resize((side, side), Image.Resampling.BICUBIC), device) for side in SIDES]


def _view(network: EfficientNetLite, picture: Image.Image, device: str) -> View:
    features = network.features(to_pixels(picture, device))[0].permute(1, 2, 0)
    with_bias = network.logits(features)
    posterior = network.logits(features.mean((0, 1))).softmax(-1)
    return View(
        (with_bias - network.bias).cpu().numpy(),
        posterior.cpu().numpy(),
        with_bias.softmax(-1).amax((0, 1)).cpu().numpy(),
    )


@torch.inference_mode()
def posterior_under(
    network: EfficientNetLite, picture: Image.Image, mask: NDArray[np.bool_], device: str
) -> NDArray[np.float32]:
    """Probability of each class, [1000], when the network sees nothing but the pixels under a mask [height, width]."""
    size = (SIDES[0], SIDES[0])
    seen = torch.from_numpy(np.array(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))).to(device)
    pixels = to_pixels(picture.resize(size, Image.Resampling.BICUBIC), device) * seen
    posterior: NDArray[np.float32] = network.logits(network.features(pixels).mean((2, 3)))[0].softmax(-1).cpu().numpy()
    return posterior


def heat(
    views: list[View], classes: NDArray[np.intp], weights: NDArray[np.float32], width: int, height: int
) -> NDArray[np.float32]:
    """Where a concept is, float32 [height, width] from 0 to 1; all 0 where it is everywhere alike.

    Class activation maps (Zhou et al., arXiv:1512.04150), each less the mean over all classes, so that cells on which
    every class is strong do not count; each view is scaled to 0...1, and their mean is taken.
    """
    total = np.zeros((height, width), np.float32)
    for view in views:
        contrast = (view.logits[..., classes] @ weights - view.logits.mean(-1)).astype(np.float32)
        total += _stretch(cv2.resize(contrast, (width, height), interpolation=cv2.INTER_CUBIC))
    return _stretch(total)


def _stretch(values: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high - low > 1e-6 else np.zeros_like(values)
