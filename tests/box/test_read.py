"""Printed text in pictures."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import rapidocr
from PIL import Image, ImageDraw, ImageFont
from skimage import data

import sensorium
from sensorium.worker.folder import Tool

from .in_process import call, open_tool

pytestmark = pytest.mark.models

PAGE = """Region-based segmentation
Let us first determine markers of the coins and the
background. These markers are pixels that we can label
unambiguously as either object or background. Here,
the markers are found at the two extreme parts of the
histogram of grey values:"""
"""What stands on scikit-image's photograph of a page, above the line of code that its edge cuts."""


@pytest.fixture(scope="module")
def read() -> Tool:
    return open_tool("read")


def table(mode: str = "RGB") -> Image.Image:
    picture = Image.new("RGB", (700, 240), "white")
    draw = ImageDraw.Draw(picture)
    for row, (thing, price) in enumerate((("Item", "Price"), ("Tea", "2.50"), ("Cake", "4.00"))):
        draw.text((40, 30 + 60 * row), thing, font=ImageFont.load_default(28), fill="black")
        draw.text((420, 30 + 60 * row), price, font=ImageFont.load_default(28), fill="navy")
    return picture.convert(mode)


TABLE = "Item Price\nTea 2.50\nCake 4.00"


def test_a_photographed_page_is_read_in_order(read: Tool) -> None:
    page: Any = data.page  # scikit-image leaves its types open
    outputs = call(read, image=Image.fromarray(page())).outputs
    lines = outputs["text"].splitlines()
    assert lines[:6] == PAGE.splitlines()
    assert lines[6].startswith("markers")
    assert all(line["score"] > 0.9 for line in outputs["lines"])


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_row_is_read_from_left_to_right(read: Tool, mode: str) -> None:
    assert call(read, image=table(mode)).outputs["text"] == TABLE


def test_each_line_says_where_it_stands(read: Tool) -> None:
    outputs = call(read, image=table()).outputs
    boxes, lines = outputs["boxes"], outputs["lines"]
    assert boxes.dtype == np.float32
    assert boxes.shape == (6, 4)
    assert [line["text"] for line in lines] == ["Item", "Price", "Tea", "2.50", "Cake", "4.00"]
    assert lines[3]["box"] == pytest.approx(boxes[3].tolist(), abs=0.1)
    assert lines[3]["box"] == pytest.approx([420, 90, 475, 120], abs=12)
    assert np.array(lines[3]["polygon"]).shape == (4, 2)
    assert set(lines[3]) == {"text", "score", "box", "polygon"}


def test_black_on_transparent_is_read(read: Tool) -> None:
    picture = Image.new("RGBA", (400, 100), (0, 0, 0, 0))
    ImageDraw.Draw(picture).text((30, 30), "Hello there", font=ImageFont.load_default(32), fill="black")
    assert call(read, image=picture).outputs["text"] == "Hello there"


def test_a_page_on_its_head_is_read_as_if_turned(read: Tool) -> None:
    outputs = call(read, image=table().rotate(180)).outputs
    assert outputs["text"] == TABLE
    x0, y0, x1, y1 = outputs["boxes"][0]
    assert 590 < x0 < x1 <= 700
    assert 160 < y0 < y1 <= 240


@pytest.mark.parametrize("degrees", [-8, 5])
def test_rows_of_a_page_askew_stay_together(read: Tool, degrees: int) -> None:
    picture = Image.new("RGB", (700, 180), "white")
    draw = ImageDraw.Draw(picture)
    for row, (thing, price) in enumerate((("Tea from Ceylon", "two and a half"), ("Cake with cherries", "four or so"))):
        draw.text((30, 40 + 60 * row), thing, font=ImageFont.load_default(24), fill="black")
        draw.text((400, 40 + 60 * row), price, font=ImageFont.load_default(24), fill="black")
    askew = picture.rotate(degrees, fillcolor="white", expand=True)
    text = "Tea from Ceylon two and a half\nCake with cherries four or so"
    assert call(read, image=askew).outputs["text"] == text


@pytest.mark.parametrize("size", [(1, 1), (200, 200), (1, 900), (20_000, 40)])
def test_a_picture_without_text_gives_no_lines(read: Tool, size: tuple[int, int]) -> None:
    outputs = call(read, image=Image.new("RGB", size, "white")).outputs
    assert outputs["text"] == ""
    assert outputs["lines"] == []
    assert outputs["boxes"].shape == (0, 4)
    assert outputs["boxes"].dtype == np.float32


@pytest.mark.parametrize(("ink", "paper"), [("black", "white"), ("white", "navy")])
def test_text_without_a_margin_is_read_where_it_is(read: Tool, ink: str, paper: str) -> None:
    picture = Image.new("RGB", (160, 24), paper)
    ImageDraw.Draw(picture).text((0, 0), "EDGE 42", font=ImageFont.load_default(24), fill=ink)
    outputs = call(read, image=picture).outputs
    boxes = outputs["boxes"]
    assert outputs["text"] == "EDGE 42"
    assert boxes[:, 0].min() == pytest.approx(0, abs=8)
    assert boxes[:, 2].max() == pytest.approx(103, abs=12)
    assert (boxes >= 0).all()
    assert (boxes <= [160, 24, 160, 24]).all()


def test_each_picture_of_a_batch_has_its_own_text(read: Tool) -> None:
    blank = Image.new("RGB", (300, 100), "white")
    results = cast("list[dict[str, Any]]", read.run([{"image": table()}, {"image": blank}]))
    assert [result["text"] for result in results] == [TABLE, ""]


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"a connection to {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    package = Path(rapidocr.__file__).parent
    before = sorted(package.rglob("*.onnx"))
    assert call(open_tool("read"), image=table()).outputs["text"] == TABLE
    assert sorted(package.rglob("*.onnx")) == before


def test_it_reads_in_its_own_worker(home: Path, tmp_path: Path) -> None:
    table().save(tmp_path / "table.png")
    result: Any = sensorium.load("read").run(image=tmp_path / "table.png")
    assert result["text"].value == TABLE
    assert result["boxes"].load().shape == (6, 4)
    assert result["lines"].value[0]["text"] == "Item"
