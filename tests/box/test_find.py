"""Where `find` finds things."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.data import data_dir

import sensorium
from sensorium.errors import LanguageError
from sensorium.worker.folder import Tool

from .in_process import call, open_tool, refusal
from .small_weights import small_sight, small_words

SKIMAGE = Path(data_dir)


@pytest.fixture(scope="module")
def find(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    folder = tmp_path_factory.mktemp("small")
    return open_tool("find", sight=small_sight(folder / "sight"), words=small_words(folder / "words"))


def picture(width: int = 90, height: int = 60, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 4), dtype=np.uint8)
    return Image.fromarray(pixels, "RGBA").convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("size", [(1, 1), (2500, 2), (1, 3000), (90, 60), (5000, 4000)])
@pytest.mark.parametrize("phrase", ["cat", "the old fisherman"])
def test_outputs_fit_each_other_and_the_picture(find: Tool, mode: str, size: tuple[int, int], phrase: str) -> None:
    width, height = size
    outputs = call(find, image=picture(width, height, mode), phrase=phrase, most=3.0).outputs
    count = int(outputs["count"])
    assert count <= 3
    assert outputs["masks"].shape == (count, height, width)
    assert outputs["masks"].dtype == bool
    assert outputs["boxes"].shape == (count, 4)
    assert outputs["boxes"].dtype == np.float32
    assert len(outputs["scores"]) == count
    assert outputs["scores"] == sorted(outputs["scores"], reverse=True)
    for mask, (x0, y0, x1, y1) in zip(outputs["masks"], outputs["boxes"].astype(int), strict=True):
        assert mask.any()
        assert mask[y0:y1, x0:x1].sum() == mask.sum()


@pytest.mark.parametrize("phrase", ["", " \n", "...", "42"])
def test_a_phrase_without_words_is_refused(find: Tool, phrase: str) -> None:
    assert "name the thing to find" in refusal(find, image=picture(), phrase=phrase)


def test_a_story_is_no_phrase(find: Tool) -> None:
    assert "10000 characters; find takes at most 300" in refusal(find, image=picture(), phrase="cats " * 1999 + "catss")


@pytest.mark.parametrize(
    ("phrase", "script"), [("猫", "Cjk"), ("кошка", "Cyrillic"), ("the 猫", "Cjk"), ("قطة", "Arabic")]
)
def test_other_scripts_are_refused_by_name(find: Tool, phrase: str, script: str) -> None:
    failure = call(find, image=picture(), phrase=phrase).failure
    assert failure is not None
    assert failure.kind == "language"
    assert f"{script} letters; find knows English alone" in failure.why


@pytest.mark.parametrize("most", [0.0, -1.0, 1.5, 21.0, float("inf"), float("nan")])
def test_how_many_is_a_whole_number_in_range(find: Tool, most: float) -> None:
    assert "whole number from 1 to 20" in refusal(find, image=picture(), phrase="cat", most=most)


def test_one_bad_call_leaves_the_others_of_its_batch(find: Tool) -> None:
    *failures, results = list(find.run([{"image": picture(), "phrase": each} for each in ("cat", "", "dog")]))  # type: ignore[call-overload]  # pyright: ignore
    assert [failure.call for failure in failures] == [1]
    assert [result is None for result in results] == [False, True, False]


@pytest.mark.parametrize(
    ("phrase", "head"),
    [
        ("cat", "cat"),
        ("the red cup on the wooden table", "red cup"),
        ("a cup of coffee", "cup"),
        ("the man who is standing there", "man"),
        ("my cat's toy.", "cat's toy"),
        ("Without", "Without"),
        ("the", "the"),
    ],
)
def test_the_head_of_a_phrase_names_the_thing(find: Tool, phrase: str, head: str) -> None:
    assert module(find, "phrase").head_of(phrase) == head


@pytest.mark.parametrize(
    ("head", "is_person"),
    [("old fisherman", True), ("Women", True), ("astronaut", True), ("astronaut helmet", False), ("manhole", False)],
)
def test_people_are_told_by_the_last_word(find: Tool, head: str, is_person: bool) -> None:
    assert module(find, "phrase").names_person(head, frozenset({"fisherman", "women", "astronaut"})) == is_person


def test_every_piece_of_clothing_is_a_class(find: Tool) -> None:
    assert len(find._concepts._worn) == 42  # type: ignore[attr-defined]  # pyright: ignore  # loaded by path, unseen


def seek(picture: Path, phrase: str) -> Any:
    return sensorium.load("find").run(image=picture, phrase=phrase)


def module(tool: Tool, name: str) -> Any:
    """A module beside the tool's worker."""
    return sys.modules[type(tool).__module__.removesuffix("worker") + name]


@pytest.mark.models
@pytest.mark.parametrize("phrase", ["cat", "the cat in the picture", "kitten"])
def test_a_cat_that_fills_the_picture_is_found_whole(phrase: str) -> None:
    found = seek(SKIMAGE / "chelsea.png", phrase)
    assert found["count"].value == 1
    x0, y0, x1, y1 = found["boxes"].value[0]
    assert x0 < 100
    assert y0 < 50
    assert x1 > 300
    assert y1 > 250
    assert found["masks"].load()[0].mean() > 0.5
    assert "cat" in found["labels"].value[0]["label"]


@pytest.mark.models
def test_what_is_not_there_is_not_found() -> None:
    found = seek(SKIMAGE / "chelsea.png", "banana")
    assert found["count"].value == 0
    assert len(found["boxes"].value) == 0
    assert found["masks"].load().shape == (0, 300, 451)
    assert found["scores"].value == []


@pytest.mark.models
def test_a_person_is_found_by_what_they_wear() -> None:
    mask = seek(SKIMAGE / "camera.png", "the man with the camera")["masks"].load()[0]
    coat = mask[200:360, 60:160]
    assert coat.mean() > 0.9
    assert mask.mean() < 0.4


@pytest.mark.models
def test_a_phrase_in_chinese_is_refused_by_name() -> None:
    with pytest.raises(LanguageError, match="English"):
        sensorium.load("find").run(image=SKIMAGE / "chelsea.png", phrase="猫")
