"""What a picture shows, as words and as latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from .caption import Label, caption
from .efficientnet import load_network, to_pixels
from .everyday import Everyday
from .words import Words

SIDE = 224
"""Sides of what the network looks at, in pixels: the whole picture, whatever its shape; the 7×7 patches cover it."""
MOST_LABELS = 10
"""Labels in an answer."""
HERE = Path(__file__).parent


class See:
    """EfficientNet-Lite, with MiniLM to say the same in an everyday word."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        self._device = device
        self._network = load_network(checkpoints["sight"], device)
        lines = (HERE / "labels.txt").read_text(encoding="utf-8").splitlines()
        self._labels = [line.split(", ")[0] for line in lines]
        vocabulary = (HERE / "everyday.txt").read_text(encoding="utf-8").replace("\n", ", ").rstrip(", ").split(", ")
        self._everyday = Everyday(self._labels, vocabulary, Words(checkpoints["words"], device))

    @torch.inference_mode()
    def run(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        pixels = torch.cat([to_pixels(whole(call["image"]), self._device) for call in batch])
        features = self._network.features(pixels)
        pooled = features.mean((2, 3))
        probabilities = self._network.logits(pooled).softmax(-1).float().cpu().numpy()
        patches = features.permute(0, 2, 3, 1).float().cpu().numpy()
        vectors = pooled.float().cpu().numpy()
        return [self._answer(*each) for each in zip(probabilities, patches, vectors, strict=True)]

    def close(self) -> None:
        del self._network, self._everyday

    def _answer(
        self, probabilities: NDArray[np.float32], patches: NDArray[np.float32], pooled: NDArray[np.float32]
    ) -> dict[str, Any]:
        best = np.argsort(-probabilities)[:MOST_LABELS]
        labels = [Label(label=self._labels[index], score=round(float(probabilities[index]), 4)) for index in best]
        nearest = self._everyday.nearest(probabilities)
        return {"labels": labels, "caption": caption(labels, *nearest), "patches": patches, "pooled": pooled}


def whole(image: Image.Image) -> Image.Image:
    """The whole picture as RGB, 224×224; what is transparent lies on white."""
    small = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0)
    if small.mode == "RGBA":
        small = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small)
    return small.convert("RGB")
