"""How well a phrase is cut out of ten photographs of scikit-image and scikit-learn: `find`, `segment`, `choose-mask`.

The truth is `polygons.json`, drawn by hand. The graph is the cutting half of `describe-and-cut`, with the phrase given:
the language model's choice of words does not count. Each picture is also asked for what the other nine show. Writes the
pictures with the final mask (green) and the polygon (red) under `out/describe_and_cut`, to look at.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import skimage
import sklearn
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from report import Figure, report

import sensorium

GRAPH = """\
sensorium: 1
name: cut-phrase
inputs: {picture: image, phrase: text}
nodes:
  find:   {tool: find, with: {image: $picture, phrase: $phrase}}
  cut:    {tool: segment, with: {image: $picture, boxes: $find.boxes}, when: $find.count > 0}
  choose: {tool: choose-mask, with: {rough: $find.masks, fine: $cut.masks}}
outputs:
  count: $find.count
  rough: $find.masks
  fine: $cut.masks
  final: $choose.masks
  source: $choose.source
  ious: $choose.ious
"""
FOLDERS = {"skimage": Path(skimage.__file__).parent, "sklearn": Path(sklearn.__file__).parent}
GOOD = 0.6
"""Intersection over union from which a mask covers the thing."""
ALSO_SHOWN = {("astronaut", "rocket"), ("astronaut", "photographer"), ("camera", "astronaut")}
"""Picture and phrase of another picture that fits this one too: a shuttle on its rocket, and people."""


class Cut(NamedTuple):
    """How well one picture was cut."""

    name: str
    phrase: str
    rough: float
    fine: float
    final: float
    agreement: float
    source: str
    find_s: float


def main() -> None:
    things: list[dict[str, Any]] = json.loads((Path(__file__).parent / "polygons.json").read_text())
    out = Path("out/describe_and_cut")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "cut-phrase.yaml"
        path.write_text(GRAPH)
        graph = sensorium.load(str(path))
    cuts = [cut(graph, thing, out) for thing in things]
    for each in cuts:
        print(f"  {each.name}: find {each.rough:.2f}, segment {each.fine:.2f}, final {each.final:.2f} ({each.source})")
    others = absences(things)
    report(
        "describe_and_cut",
        [
            Figure("mean IoU of find", statistics.mean(each.rough for each in cuts), 0.70, at_most=False),
            Figure("pictures cut with IoU >= 0.6, of 10", sum(each.final >= GOOD for each in cuts), 7, at_most=False),
            Figure("mean IoU, final", statistics.mean(each.final for each in cuts), 0.70, at_most=False),
            Figure("share of absent things not found", statistics.mean(others.values()), 0.85, at_most=False),
        ],
        cuts=[each._asdict() for each in cuts],
        found_though_absent=sorted(pair for pair, is_right in others.items() if not is_right),
    )


def cut(graph: sensorium.Graph, thing: dict[str, Any], out: Path) -> Cut:
    picture = path_of(thing)
    result: Any = graph.run(picture=picture, phrase=thing["phrase"], options=sensorium.RunOptions(fresh=True))
    image = Image.open(picture).convert("RGB")
    truth = filled(thing["polygon"], image.size)
    masks = {port: round(overlap(first(result[port], truth), truth), 3) for port in ("rough", "fine", "final")}
    draw(image, first(result["final"], truth), thing["polygon"]).save(out / f"{thing['name']}.png")
    source, agreement = result["source"].value, result["ious"].value
    return Cut(
        thing["name"],
        thing["phrase"],
        rough=masks["rough"],
        fine=masks["fine"],
        final=masks["final"],
        agreement=agreement[0] if agreement else 0.0,
        source=source[0] if source else "nothing found",
        find_s=round(next(node.seconds for node in result.nodes if node.node == "find"), 2),
    )


def absences(things: list[dict[str, Any]]) -> dict[str, bool]:
    """For each picture and each phrase of another: whether nothing was found."""
    find = sensorium.load("find")

    def finds(shown: dict[str, Any], phrase: str) -> bool:
        result: Any = find.run(image=path_of(shown), phrase=phrase)
        return bool(result["count"].value > 0)

    return {
        f"{phrase} in {shown['name']}": not finds(shown, phrase)
        for shown in things
        for phrase in (each["phrase"] for each in things)
        if phrase != shown["phrase"] and (shown["name"], phrase) not in ALSO_SHOWN
    }


def path_of(thing: dict[str, Any]) -> Path:
    library, _, rest = thing["file"].partition("/")
    return FOLDERS[library] / rest


def filled(polygon: list[list[int]], size: tuple[int, int]) -> NDArray[np.bool_]:
    mask = Image.new("1", size)
    ImageDraw.Draw(mask).polygon([(x, y) for x, y in polygon], fill=1)
    return np.asarray(mask)


def first(masks: Any, like: NDArray[np.bool_]) -> NDArray[np.bool_]:
    loaded = None if masks is None else masks.load()
    return loaded[0] if loaded is not None and len(loaded) else np.zeros_like(like)


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def draw(image: Image.Image, mask: NDArray[np.bool_], polygon: list[list[int]]) -> Image.Image:
    shaded = np.asarray(image).copy()
    shaded[mask] = (0.5 * shaded[mask] + 0.5 * np.array([0, 255, 0])).astype(np.uint8)
    drawn = Image.fromarray(shaded)
    ImageDraw.Draw(drawn).line([(x, y) for x, y in [*polygon, polygon[0]]], fill="red", width=2)
    return drawn


if __name__ == "__main__":
    main()
