"""Boxes or points to masks, by a Segment Anything model."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sensorium.worker import Failed, Progress, Refused

from .choose import open_segmenter
from .memory import Embeddings
from .prompts import check_boxes, check_points, check_room
from .segmenter import Cut, Size


class Segment:
    """A SAM that remembers the pictures it saw last."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        self._segmenter = open_segmenter(Path(checkpoints["sam"]), device)
        self._embeddings = Embeddings(self._segmenter)

    def run(self, batch: list[dict[str, Any]]) -> Generator[Progress | Failed | list[dict[str, Any] | None]]:
        results: list[dict[str, Any] | None] = []
        for index, call in enumerate(batch):
            try:
                results.append((yield from self._segment(index, call)))
            except Refused as refusal:
                yield Failed(index, refusal.why, refusal.kind)
                results.append(None)
        yield results

    def close(self) -> None:
        del self._segmenter, self._embeddings

    def _segment(self, index: int, call: dict[str, Any]) -> Generator[Progress, None, dict[str, Any]]:
        picture = opaque(call["image"])
        size = Size(*picture.shape[:2])
        boxes, points = _prompts(call, size)
        num_masks = len(boxes) + len(points)
        check_room(num_masks, size)
        given = call.get("embedding")
        embedding = self._embeddings.of(picture) if given is None else self._embeddings.check(given, picture)
        yield Progress(index, 1 / (num_masks + 1), "picture encoded")
        cuts = chain(
            self._segmenter.cut_boxes(embedding, size, boxes), self._segmenter.cut_points(embedding, size, points)
        )
        masks = np.zeros((num_masks, *size), dtype=bool)
        scores = yield from _fill(index, masks, cuts)
        return {"masks": masks, "scores": scores, "embedding": embedding}


def _prompts(call: dict[str, Any], size: Size) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    boxes, points = call.get("boxes"), call.get("points")
    if boxes is None and points is None:
        raise Refused(
            "nothing says what to cut: give boxes (x0 y0 x1 y1 in pixels of the picture, one for each thing), "
            "points (x y, one on each thing), or both"
        )
    return check_boxes([] if boxes is None else boxes, size), check_points([] if points is None else points, size)


def _fill(index: int, masks: NDArray[np.bool_], cuts: Iterator[Cut]) -> Generator[Progress, None, list[float]]:
    """Puts each cut's mask in its place; the scores, in the same order."""
    scores: list[float] = []
    for number, cut in enumerate(cuts):
        masks[number] = cut.mask
        scores.append(round(cut.score, 4))
        yield Progress(index, (number + 2) / (len(masks) + 1), f"mask {number + 1} of {len(masks)}")
    return scores


def opaque(image: Image.Image) -> NDArray[np.uint8]:
    """The picture as RGB, uint8 [height, width, 3]; what is transparent lies on white."""
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))
