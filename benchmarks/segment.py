"""How well `segment` cuts scikit-image's coins by boxes and by points, and what a second prompt costs.

Boxes are those of the connected components of at least 500 pixels above Otsu's threshold, components that run into the
border or the shaded background among them; the truth is the component with its holes filled. A point is the middle of
the box of a component that touches no border. Seconds are those of the node, the way to the worker and back included.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from report import Figure, report
from skimage import data
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.morphology import closing
from skimage.segmentation import clear_border

import sensorium

ROUNDS = 5
LEAST_PIXELS = 500


class Coins(NamedTuple):
    """Components of a picture."""

    boxes: NDArray[np.float32]
    """float32 [n, 4] as x0 y0 x1 y1."""
    truth: NDArray[np.bool_]
    """bool [n, height, width]."""


def components(mask: NDArray[np.bool_]) -> Coins:
    regions = [region for region in regionprops(label(mask)) if region.area >= LEAST_PIXELS]
    truth = np.zeros((len(regions), *mask.shape), bool)
    for number, region in enumerate(regions):
        truth[number][region.slice] = region.image_filled
    boxes = [[x0, y0, x1, y1] for y0, x0, y1, x1 in (region.bbox for region in regions)]
    return Coins(np.array(boxes, np.float32), truth)


def mean_iou(masks: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    both = (masks & truth).sum(axis=(1, 2))
    return float((both / (masks | truth).sum(axis=(1, 2))).mean())


def run(image: Path, **prompts: list[list[float]]) -> Any:
    options = sensorium.RunOptions(fresh=True)
    return sensorium.load("segment").run(image=image, **prompts, options=options)


def prompt_seconds(
    coins: NDArray[np.uint8], boxes: NDArray[np.float32], folder: Path
) -> tuple[list[float], list[float]]:
    """Seconds of the first and of the second prompt on a picture, for pictures that were not seen before."""
    first: list[float] = []
    second: list[float] = []
    chance = np.random.default_rng()  # not seeded: a warm worker may have kept the pictures of an earlier benchmark
    for number in range(ROUNDS):
        picture = folder / f"coins-{number}.png"
        noise = chance.integers(-3, 4, coins.shape)
        Image.fromarray(np.clip(coins.astype(np.int16) + noise, 0, 255).astype(np.uint8)).save(picture)
        first.append(run(picture, boxes=[boxes[1].tolist()]).nodes[0].seconds)
        second.append(run(picture, boxes=[boxes[2].tolist()]).nodes[0].seconds)
    return first, second


def main() -> None:
    coins = data.coins()
    above = coins > threshold_otsu(coins)
    every, apart = components(above), components(clear_border(closing(above, np.ones((3, 3)))))
    with tempfile.TemporaryDirectory() as name:
        picture = Path(name) / "coins.png"
        Image.fromarray(coins).save(picture)
        by_box = mean_iou(run(picture, boxes=every.boxes.tolist())["masks"].load(), every.truth)
        by_box_apart = mean_iou(run(picture, boxes=apart.boxes.tolist())["masks"].load(), apart.truth)
        middles = (apart.boxes[:, :2] + apart.boxes[:, 2:]) / 2
        by_point = mean_iou(run(picture, points=middles.tolist())["masks"].load(), apart.truth)
        first, second = prompt_seconds(coins, every.boxes, Path(name))
    report(
        "segment",
        [
            Figure("mean IoU, boxes of Otsu components", by_box, 0.90, at_most=False),
            Figure("second prompt / first", statistics.median(second) / statistics.median(first), 0.1),
        ],
        boxes=len(every.boxes),
        mean_iou_boxes_away_from_the_border=round(by_box_apart, 4),
        mean_iou_points=round(by_point, 4),
        first_prompt_s=[round(seconds, 3) for seconds in first],
        second_prompt_s=[round(seconds, 3) for seconds in second],
    )


if __name__ == "__main__":
    main()
