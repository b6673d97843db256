"""`choose-mask` between rough and fine masks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sensorium.worker.folder import Tool

from .in_process import call, open_tool, refusal


@pytest.fixture(scope="module")
def choose() -> Tool:
    return open_tool("choose-mask")


def columns(*counts: int) -> NDArray[np.bool_]:
    """Masks of 4×10 pixels with so many columns set each."""
    return np.array([[[column < count for column in range(10)]] * 4 for count in counts], bool).reshape(-1, 4, 10)


def test_each_mask_is_chosen_by_itself_and_says_where_it_comes_from(choose: Tool) -> None:
    outputs = call(choose, rough=columns(10, 10, 10), fine=columns(9, 2, 10)).outputs
    assert outputs["source"] == ["segment", "find", "segment"]
    assert outputs["ious"] == [0.9, 0.2, 1.0]
    np.testing.assert_array_equal(outputs["masks"], columns(9, 10, 10))


@pytest.mark.parametrize(("at_least", "source"), [(None, "find"), (0.5, "segment"), (0.51, "find"), (0.0, "segment")])
def test_the_limit_belongs_to_the_fine_mask(choose: Tool, at_least: float | None, source: str) -> None:
    outputs = call(choose, rough=columns(10), fine=columns(5), at_least=at_least).outputs
    assert outputs["source"] == [source]


def test_two_empty_masks_agree(choose: Tool) -> None:
    assert call(choose, rough=columns(0), fine=columns(0)).outputs["source"] == ["segment"]


@pytest.mark.parametrize("fine", [None, columns()])
def test_where_nothing_was_found_nothing_is_chosen(choose: Tool, fine: NDArray[np.bool_] | None) -> None:
    outputs = call(choose, rough=columns(), fine=fine).outputs
    assert outputs["masks"].shape == (0, 4, 10)
    assert outputs["source"] == outputs["ious"] == []


def test_without_fine_masks_the_rough_ones_stay(choose: Tool) -> None:
    outputs = call(choose, rough=columns(3, 4)).outputs
    assert outputs["source"] == ["find", "find"]
    assert outputs["ious"] == [None, None]
    np.testing.assert_array_equal(outputs["masks"], columns(3, 4))


@pytest.mark.parametrize("fine", [columns(1, 2), np.zeros((1, 4, 9), bool)])
def test_masks_of_other_things_are_refused(choose: Tool, fine: NDArray[np.bool_]) -> None:
    assert "one rough and one fine mask of each thing" in refusal(choose, rough=columns(1), fine=fine)


@pytest.mark.parametrize("at_least", [-0.1, 1.01, float("nan")])
def test_the_limit_is_a_share(choose: Tool, at_least: float) -> None:
    assert "a share from 0" in refusal(choose, rough=columns(1), fine=columns(1), at_least=at_least)
