"""A segmenter made of a network, whichever library holds it, and the pixels that it looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .frame import Frame
from .scales import boxes_around, holds
from .segmenter import Cut, Size

__all__ = ["BoxSegmenter", "Network", "Proposal", "SamSegmenter"]


class Proposal(NamedTuple):
    """What a network answers to prompts."""

    logits: Tensor
    """[prompts, choices, rows, columns] over the whole square."""
    scores: Tensor
    """[prompts, choices], estimated IoU."""


class Network(Protocol):
    """The two halves of a SAM, as one library holds them. Tensors are on its device."""

    device: torch.device
    embedding_shape: tuple[int, int, int, int]

    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels [1, 3, side, side] to an embedding of `embedding_shape`."""
        ...

    def decode_boxes(self, embedding: Tensor, boxes: Tensor) -> Proposal:
        """One choice for each of the boxes [n, 4], in pixels of the square."""
        ...

    def decode_points(self, embedding: Tensor, points: Tensor) -> Proposal:
        """Some choices for each of the points [n, 2], in pixels of the square."""
        ...


class SamSegmenter:
    """A SAM that takes boxes and points."""

    def __init__(self, network: Network, side: int, pixels: Callable[[NDArray[np.uint8], Frame], Tensor]) -> None:
        self._network = network
        self._side = side
        self._pixels = pixels
        self._at_once = 1 if network.device.type == "cpu" else 16  # more at once is no faster on a CPU
        self.embedding_shape = network.embedding_shape

    def encode(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        frame = Frame(Size(*picture.shape[:2]), self._side)
        with torch.inference_mode():
            embedding = self._network.encode(self._pixels(picture, frame).to(self._network.device))
        return embedding.float().cpu().numpy()

    def cut_boxes(self, embedding: NDArray[np.float32], size: Size, boxes: NDArray[np.float32]) -> Iterator[Cut]:
        return self._cut(self._network.decode_boxes, embedding, size, boxes)

    def cut_points(self, embedding: NDArray[np.float32], size: Size, points: NDArray[np.float32]) -> Iterator[Cut]:
        return self._cut(self._network.decode_points, embedding, size, points)

    def _cut(
        self,
        decode: Callable[[Tensor, Tensor], Proposal],
        embedding: NDArray[np.float32],
        size: Size,
        prompts: NDArray[np.float32],
    ) -> Iterator[Cut]:
        frame = Frame(size, self._side)
        on_device = torch.tensor(embedding, device=self._network.device)
        for start in range(0, len(prompts), self._at_once):
            placed = frame.place(prompts[start : start + self._at_once]).to(self._network.device)
            with torch.inference_mode():
                logits, scores = decode(on_device, placed)
            for choices, values in zip(logits, scores, strict=True):
                best = int(values.argmax())
                yield Cut(frame.restore(choices[best]), float(values[best].clamp(0, 1)))


class BoxSegmenter(SamSegmenter):
    """A SAM that was trained on boxes alone: a point becomes boxes at several scales, the best mask wins."""

    def cut_points(self, embedding: NDArray[np.float32], size: Size, points: NDArray[np.float32]) -> Iterator[Cut]:
        for point in points:
            cuts = self.cut_boxes(embedding, size, boxes_around(point, size))
            yield max(cuts, key=lambda cut: (holds(cut.mask, point), cut.score))
