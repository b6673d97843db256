"""A phrase to boxes and rough masks, by a classifier alone: no detector is needed."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sensorium.worker import Failed, Refused

from .concept import Concept, Concepts
from .cut import Instance
from .efficientnet import load_network
from .outline import outlines
from .phrase import head_of
from .views import View, heat, look, posterior_under
from .words import Words

LOOKED_AT = 1024
"""Longest side of the picture that is looked at, in pixels; the finest view has 896."""
CUT_AT = 320
"""Longest side of the picture in which edges are looked for, in pixels."""
FOUND = 0.5
"""Score from which a thing counts as found."""
REMEMBERED = 4
"""Pictures whose views are kept, so that a second phrase about one costs the cut alone."""
MOST = 20
"""Most things in one answer."""
MOST_NAMED = 5
"""Classes in an answer."""


class Find:
    """Class activation maps of the classes nearest to the phrase, and GrabCut for the edges."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        self._device = device
        self._network = load_network(checkpoints["sight"], device)
        self._concepts = Concepts(Path(__file__).parent, Words(checkpoints["words"], device))
        self._views: OrderedDict[bytes, list[View]] = OrderedDict()

    def run(self, batch: list[dict[str, Any]]) -> Iterator[Failed | list[dict[str, Any] | None]]:
        results: list[dict[str, Any] | None] = []
        for index, call in enumerate(batch):
            try:
                results.append(self._find(call["image"], call["phrase"], call.get("most")))
            except Refused as refusal:
                yield Failed(index, refusal.why, refusal.kind)
                results.append(None)
        yield results

    def close(self) -> None:
        self._views.clear()
        del self._network, self._concepts

    def _find(self, image: Image.Image, phrase: str, most: float | None) -> dict[str, Any]:
        head, at_most = head_of(phrase), _at_most(most)
        picture = _within(_opaque(image), LOOKED_AT)
        views = self._look(picture)
        concept = self._concepts.of(head, views)
        found = self._outlines(picture, views, concept, at_most) if concept.score >= FOUND else []
        masks = _to_size([each.mask for each in found], image.size)
        scores = [round(concept.score * each.share, 4) for each in found]
        boxes = np.array([_box(mask) for mask in masks], np.float32).reshape(-1, 4)
        labels = self._named(concept)
        return {"boxes": boxes, "masks": masks, "scores": scores, "count": float(len(found)), "labels": labels}

    def _look(self, picture: Image.Image) -> list[View]:
        key = hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).digest()
        if key not in self._views:
            self._views[key] = look(self._network, picture, self._device)
        self._views.move_to_end(key)
        while len(self._views) > REMEMBERED:
            self._views.popitem(last=False)
        return self._views[key]

    def _outlines(self, picture: Image.Image, views: list[View], concept: Concept, most: int) -> list[Instance]:
        small = _within(picture, CUT_AT)
        hot = heat(views, concept.classes, concept.weights, small.width, small.height)

        def likeness(mask: NDArray[np.bool_]) -> float:
            return concept.share(posterior_under(self._network, small, mask, self._device))

        return outlines(np.asarray(small), hot, likeness, most)

    def _named(self, concept: Concept) -> list[dict[str, Any]]:
        best = np.argsort(-concept.weights)[:MOST_NAMED]
        return [
            {"label": self._concepts.labels[concept.classes[each]], "score": round(float(concept.weights[each]), 4)}
            for each in best
        ]


def _at_most(most: float | None) -> int:
    if most is None:
        return 1
    if not (float(most).is_integer() and 1 <= most <= MOST):
        raise Refused(f"most is {most:g}; how many things to find is a whole number from 1 to {MOST}")
    return int(most)


def _opaque(image: Image.Image) -> Image.Image:
    """The picture as RGB; what is transparent lies on white."""
    if image.mode == "RGBA":
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _within(picture: Image.Image, side: int) -> Image.Image:
    """The picture, shrunk if need be until its longer side is at most `side` pixels."""
    shrink = min(1.0, side / max(picture.size))
    size = (max(1, round(picture.width * shrink)), max(1, round(picture.height * shrink)))
    return picture if shrink == 1 else picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)


def _to_size(masks: list[NDArray[np.bool_]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Masks at a picture's own size, bool [masks, height, width]."""
    width, height = size
    sized = np.zeros((len(masks), height, width), bool)
    for target, mask in zip(sized, masks, strict=True):
        target[:] = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)
    return sized


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 around a mask that is not empty; x1 and y1 lie behind its last pixel."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
