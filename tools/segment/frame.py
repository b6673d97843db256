"""How a picture of any size lies in the square that a SAM looks at, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .segmenter import Size

__all__ = ["SAM_MEAN", "SAM_STD", "Frame", "lite_pixels", "sam_pixels"]

SAM_MEAN = (123.675, 116.28, 103.53)
SAM_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Frame:
    """A picture scaled until its long side is `side`, at the top left of a square."""

    size: Size
    """Size of the picture."""
    side: int
    """Side of the square, in pixels."""

    @property
    def fitted(self) -> Size:
        """Size of the picture in the square; never less than one pixel."""
        scale = self.side / max(self.size)
        return Size(max(1, int(self.size.height * scale + 0.5)), max(1, int(self.size.width * scale + 0.5)))

    def place(self, coordinates: NDArray[np.float32]) -> Tensor:
        """Coordinates of the square, for x y pairs in pixels of the picture: [n, 2] or [n, 4] to the same shape."""
        scale = np.array([self.fitted.width / self.size.width, self.fitted.height / self.size.height], np.float32)
        pairs = coordinates.reshape(-1, 2) * scale
        return torch.from_numpy(pairs.reshape(coordinates.shape).astype(np.float32))

    def restore(self, logits: Tensor) -> NDArray[np.bool_]:
        """The mask in the picture, bool [height, width], for logits [rows, columns] over the whole square."""
        whole = logits.float()[None, None]
        if whole.shape[-1] != self.side:
            whole = functional.interpolate(whole, (self.side, self.side), mode="bilinear", align_corners=False)
        own = whole[..., : self.fitted.height, : self.fitted.width]
        restored = functional.interpolate(own, tuple(self.size), mode="bilinear", align_corners=False)
        return (restored[0, 0] > 0).cpu().numpy()

    def resize(self, picture: NDArray[np.uint8], shrink: Image.Resampling) -> NDArray[np.float32]:
        """The picture at its size in the square, float32 [height, width, 3]; enlarged bilinearly."""
        fitted = self.fitted
        resample = shrink if max(self.size) > self.side else Image.Resampling.BILINEAR
        return np.asarray(Image.fromarray(picture).resize((fitted.width, fitted.height), resample), np.float32)

    def pad(self, fitted: NDArray[np.float32]) -> Tensor:
        """float32 [1, 3, side, side] with zeros at the right or the bottom."""
        square = torch.zeros(1, 3, self.side, self.side)
        square[0, :, : fitted.shape[0], : fitted.shape[1]] = torch.from_numpy(fitted).permute(2, 0, 1)
        return square


def lite_pixels(picture: NDArray[np.uint8], frame: Frame) -> Tensor:
    """What LiteMedSAM looks at: area averages, stretched over 0...1 between the picture's own extremes."""
    fitted = frame.resize(picture, Image.Resampling.BOX)
    low, high = float(fitted.min()), float(fitted.max())
    return frame.pad((fitted - low) / max(high - low, 1e-8))


def sam_pixels(picture: NDArray[np.uint8], frame: Frame) -> Tensor:
    """What an original SAM looks at: normalised by the mean and deviation that it was trained with."""
    fitted = frame.resize(picture, Image.Resampling.BILINEAR)
    return frame.pad((fitted - np.array(SAM_MEAN, np.float32)) / np.array(SAM_STD, np.float32))
