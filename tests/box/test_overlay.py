"""Masks, boxes and labels on pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import sensorium
from sensorium.errors import CallerError
from sensorium.worker.folder import Tool

from .in_process import call, open_tool, refusal


@pytest.fixture(scope="module")
def overlay() -> Tool:
    return open_tool("overlay")


def drawn(overlay: Tool, **inputs: object) -> Image.Image:
    picture = call(overlay, **inputs).outputs["image"]
    assert isinstance(picture, Image.Image)
    return picture


def grey(width: int = 800, height: int = 600, mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", (width, height), (128, 128, 128)).convert(mode)


def disc(width: int, height: int, x: int, y: int, radius: int) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:height, :width]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 < radius**2)[None]


def test_a_mask_is_tinted_and_the_rest_is_left_alone(overlay: Tool) -> None:
    picture = drawn(overlay, image=grey(), masks=disc(800, 600, 400, 300, 100))
    assert picture.mode == "RGB"
    assert picture.size == (800, 600)
    red, green, _ = picture.getpixel((400, 300))  # type: ignore[misc]  # a tuple in RGB
    assert red > 150 > green
    assert picture.getpixel((50, 50)) == (128, 128, 128)


def test_the_outline_is_stronger_than_the_tint(overlay: Tool) -> None:
    pixels = np.asarray(drawn(overlay, image=grey(), masks=disc(800, 600, 400, 300, 100)), np.int32)
    edge = pixels[300, 495:506].max(axis=0) - pixels[300, 495:506].min(axis=0)
    assert edge.max() > 60


def test_things_have_different_colours(overlay: Tool) -> None:
    masks = np.concatenate([disc(800, 600, 40 + 80 * (i % 9), 60 + 100 * (i // 9), 30) for i in range(45)])
    picture = drawn(overlay, image=grey(), masks=masks)
    centres = {picture.getpixel((40 + 80 * (i % 9), 60 + 100 * (i // 9))) for i in range(45)}
    assert len(centres) == 45


def test_a_box_is_drawn_where_it_is(overlay: Tool) -> None:
    pixels = np.asarray(drawn(overlay, image=grey(), boxes=np.array([[100, 50, 300, 250]], np.float32)), np.int32)
    changed = np.argwhere((pixels != 128).any(axis=2))
    assert changed.min(axis=0) == pytest.approx([50, 100], abs=3)
    assert changed.max(axis=0) == pytest.approx([249, 299], abs=3)
    assert (pixels[100:200, 150:250] == 128).all()


@pytest.mark.parametrize("label", ["coin", 0.93, 7, {"label": "coin", "score": 0.9}, {"text": "coin"}])
def test_labels_of_every_form_are_written(overlay: Tool, label: object) -> None:
    box = np.array([[200, 200, 400, 400]], np.float32)
    plain = np.asarray(drawn(overlay, image=grey(), boxes=box))
    labelled = np.asarray(drawn(overlay, image=grey(), boxes=box, labels=[label]))
    assert (plain[150:200] != labelled[150:200]).any()


@pytest.mark.parametrize("label", ["", None])
def test_an_empty_label_is_no_tag(overlay: Tool, label: object) -> None:
    box = np.array([[200, 200, 400, 400]], np.float32)
    plain = np.asarray(drawn(overlay, image=grey(), boxes=box))
    assert (np.asarray(drawn(overlay, image=grey(), boxes=box, labels=[label])) == plain).all()


@pytest.mark.parametrize("label", ["a long label " * 30, "über", "猫", "\n\t"])
def test_a_label_of_any_length_and_script_does_no_harm(overlay: Tool, label: str) -> None:
    assert drawn(overlay, image=grey(), masks=disc(800, 600, 790, 5, 40), labels=[label]).size == (800, 600)


def test_tags_of_things_in_one_place_do_not_hide_each_other(overlay: Tool) -> None:
    boxes = np.array([[300, 300, 500, 500]] * 3, np.float32)
    one = np.asarray(drawn(overlay, image=grey(), boxes=boxes, labels=["first", None, None]), np.int32)
    all_three = np.asarray(drawn(overlay, image=grey(), boxes=boxes, labels=["first", "second", "third"]), np.int32)
    tag = np.abs(one - 128).sum(axis=2)[260:297, 300:360] > 0
    assert (one[260:297, 300:360][tag] == all_three[260:297, 300:360][tag]).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3), (40, 30), (3000, 2000)])
def test_every_size_of_picture_is_drawn_on(overlay: Tool, size: tuple[int, int]) -> None:
    width, height = size
    picture = drawn(
        overlay,
        image=grey(width, height),
        masks=np.ones((1, height, width), bool),
        boxes=np.array([[0, 0, width, height]], np.float32),
        labels=["thing"],
    )
    factor = picture.width // width
    assert picture.size == (width * factor, height * factor)
    assert max(picture.size) >= 640


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_grey_and_transparent_pictures_come_back_in_colour(overlay: Tool, mode: str) -> None:
    assert drawn(overlay, image=grey(mode=mode), masks=disc(800, 600, 400, 300, 100)).mode == "RGB"


def test_what_is_transparent_lies_on_white(overlay: Tool) -> None:
    picture = drawn(overlay, image=Image.new("RGBA", (800, 600), (0, 0, 0, 0)))
    assert picture.getpixel((400, 300)) == (255, 255, 255)


@pytest.mark.parametrize("masks", [None, np.zeros((0, 600, 800), bool), np.zeros((2, 600, 800), bool)])
def test_nothing_to_draw_leaves_the_picture(overlay: Tool, masks: object) -> None:
    assert (np.asarray(drawn(overlay, image=grey(), masks=masks)) == 128).all()


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"masks": np.ones((1, 60, 80), bool)}, "the masks are 80 wide and 60 high, the picture is 800 wide and 600"),
        ({"masks": np.ones((600, 800), bool)}, r"masks have the shape \[600, 800\]"),
        ({"boxes": np.array([[0, 0, 9, 9], [9, 9, 5, 5]], np.float32)}, r"boxes\[1\] = \[9, 9, 5, 5\] is no box"),
        ({"boxes": np.array([[900, 0, 950, 9]], np.float32)}, r"boxes\[0\].* 800 wide and 600 high"),
        ({"boxes": np.array([[0, 0, np.nan, 9]], np.float32)}, r"boxes\[0\] = \[0, 0, nan, 9\]"),
        ({"boxes": np.array([[0, 0, 9]], np.float32)}, r"boxes have the shape \[1, 3\]"),
        ({"labels": ["one"]}, "1 labels for 0 things"),
        ({"boxes": np.array([[0, 0, 9, 9]], np.float32), "labels": "coin"}, "labels are str"),
        ({"boxes": np.array([[0, 0, 9, 9]], np.float32), "labels": [["coin"]]}, r"labels\[0\] is list"),
    ],
)
def test_what_does_not_fit_the_picture_is_the_callers_error(overlay: Tool, inputs: dict[str, object], why: str) -> None:
    assert re.search(why, refusal(overlay, image=grey(), **inputs))


def test_it_draws_in_its_own_worker(home: Path, tmp_path: Path) -> None:
    grey().save(tmp_path / "grey.png")
    result: Any = sensorium.load("overlay").run(
        image=tmp_path / "grey.png", boxes=[[100, 50, 300, 250]], labels=["one"]
    )
    assert result["image"].open().size == (800, 600)
    with pytest.raises(CallerError, match=r"boxes\[0\]"):
        sensorium.load("overlay").run(image=tmp_path / "grey.png", boxes=[[900, 0, 950, 9]])
