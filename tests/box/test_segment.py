"""Boxes and points to masks."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (torch, transformers and safetensors leave types open)

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file
from skimage import data
from transformers import (
    SamConfig,
    SamImageProcessorPil,
    SamMaskDecoderConfig,
    SamModel,
    SamProcessor,
    SamPromptEncoderConfig,
    SamVisionConfig,
)

import sensorium
from sensorium.errors import CallerError
from sensorium.host.environment import Environments
from sensorium.project.folders import home_folder
from sensorium.worker import Progress
from sensorium.worker.folder import Tool

from .in_process import BOX, call, open_tool, refusal

SIDE = 64
"""What the small SAM of these tests looks at, in pixels."""
SMALL_SHAPE = (1, 32, 4, 4)
"""Shape of its image embedding."""


@pytest.fixture(scope="module")
def small_sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SAM with random weights, as Hugging Face lays checkpoints out."""
    torch.manual_seed(0)
    config = SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE, patch_size=16, mlp_dim=64,
            output_channels=32, window_size=2, global_attn_indexes=[1], num_pos_feats=16,
        ),
        prompt_encoder_config=SamPromptEncoderConfig(hidden_size=32, image_size=SIDE, patch_size=16),
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=32, mlp_dim=64, num_attention_heads=2, iou_head_hidden_dim=32
        ),
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("small-sam")
    SamModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def segment(small_sam: Path) -> Tool:
    return open_tool("segment", sam=small_sam)


def noise(width: int = 90, height: int = 60, mode: str = "RGB", seed: int = 1) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    return Image.fromarray(pixels, "RGBA").convert(mode)


def boxes(*rows: tuple[float, float, float, float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32).reshape(-1, 4)


BOXES = boxes((0, 0, 30, 30), (10, 20, 80, 55), (40, 5, 60, 25))


def test_each_box_gives_a_mask_of_the_pictures_size(segment: Tool) -> None:
    outputs = call(segment, image=noise(), boxes=BOXES).outputs
    assert outputs["masks"].dtype == bool
    assert outputs["masks"].shape == (3, 60, 90)
    assert len(outputs["scores"]) == 3
    assert all(isinstance(score, float) and 0 <= score <= 1 for score in outputs["scores"])
    assert outputs["embedding"].shape == SMALL_SHAPE
    assert outputs["embedding"].dtype == np.float32


def test_masks_keep_the_order_of_boxes_then_points(segment: Tool) -> None:
    points = np.array([[20, 20], [70, 40]], np.float32)
    both = call(segment, image=noise(), boxes=BOXES, points=points).outputs["masks"]
    assert (both[:3] == call(segment, image=noise(), boxes=BOXES).outputs["masks"]).all()
    assert (both[3:] == call(segment, image=noise(), points=points).outputs["masks"]).all()
    turned = call(segment, image=noise(), boxes=BOXES[::-1]).outputs["masks"]
    assert (turned == both[2::-1]).all()


def test_no_boxes_give_no_masks_but_the_embedding(segment: Tool) -> None:
    outputs = call(segment, image=noise(), boxes=boxes()).outputs
    assert outputs["masks"].shape == (0, 60, 90)
    assert outputs["scores"] == []
    assert outputs["embedding"].shape == SMALL_SHAPE


def test_an_embedding_given_back_gives_the_same_masks(segment: Tool) -> None:
    first = call(segment, image=noise(), boxes=BOXES).outputs
    again = call(segment, image=noise(), boxes=BOXES, embedding=first["embedding"].copy()).outputs
    assert (again["masks"] == first["masks"]).all()
    assert again["scores"] == first["scores"]
    halved = first["embedding"].astype(np.float16)
    assert call(segment, image=noise(), boxes=BOXES, embedding=halved).outputs["embedding"].dtype == np.float32


def test_a_fresh_tool_takes_an_embedding_that_another_made(segment: Tool, small_sam: Path) -> None:
    first = call(segment, image=noise(), boxes=BOXES).outputs
    other = open_tool("segment", sam=small_sam)
    again = call(other, image=noise(), boxes=BOXES, embedding=first["embedding"]).outputs
    assert (again["masks"] == first["masks"]).all()


def test_a_picture_seen_before_is_not_encoded_again(segment: Tool) -> None:
    first = call(segment, image=noise(seed=2), boxes=BOXES).outputs["embedding"]
    assert call(segment, image=noise(seed=2), boxes=BOXES[:1]).outputs["embedding"] is first


def test_a_clipped_box_is_the_box_within_the_picture(segment: Tool) -> None:
    over = call(segment, image=noise(), boxes=boxes((-50, -1, 30, 1e9))).outputs["masks"]
    within = call(segment, image=noise(), boxes=boxes((0, 0, 30, 60))).outputs["masks"]
    assert (over == within).all()


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_grey_and_transparent_pictures_are_cut(segment: Tool, mode: str) -> None:
    assert call(segment, image=noise(mode=mode), boxes=BOXES).outputs["masks"].shape == (3, 60, 90)


@pytest.mark.parametrize("size", [(1, 1), (7, 1), (64, 64), (1000, 300)])
def test_every_size_of_picture_is_cut(segment: Tool, size: tuple[int, int]) -> None:
    width, height = size
    point = np.array([[width, height]], np.float32)
    outputs = call(segment, image=noise(width, height), boxes=boxes((0, 0, width, height)), points=point).outputs
    assert outputs["masks"].shape == (2, height, width)


def test_progress_rises_mask_by_mask(segment: Tool) -> None:
    shares = [event.share for event in call(segment, image=noise(), boxes=BOXES).progress]
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_a_call_can_be_left_between_two_boxes(segment: Tool) -> None:
    run = cast("Iterator[Any]", segment.run([{"image": noise(), "boxes": BOXES}]))
    assert isinstance(next(run), Progress)
    assert next(run).note == "mask 1 of 3"
    run.close()  # type: ignore[attr-defined]  # a generator has it
    assert call(segment, image=noise(), boxes=BOXES).outputs["masks"].shape == (3, 60, 90)


def test_a_refused_call_leaves_its_batch_alone(segment: Tool) -> None:
    *said, results = cast("Iterator[Any]", segment.run([{"image": noise()}, {"image": noise(), "boxes": BOXES}]))
    assert results[0] is None
    assert results[1]["masks"].shape == (3, 60, 90)
    assert [event.call for event in said if not isinstance(event, Progress)] == [0]


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({}, "give boxes .* points .* or both"),
        ({"boxes": boxes((0, 0, 9, 9), (95, 0, 99, 9))}, r"boxes\[1\] = \[95, 0, 99, 9\] lies outside.*90 wide and 60"),
        ({"boxes": boxes((0, 0, 9, 9), (-9, 0, 0, 9))}, r"boxes\[1\].* lies outside"),
        ({"boxes": boxes((20, 0, 10, 9))}, r"boxes\[0\] = \[20, 0, 10, 9\] is inverted"),
        ({"boxes": boxes((20, 9, 30, 9))}, r"boxes\[0\].* has no area"),
        ({"boxes": boxes((0, 0, float("nan"), 9))}, r"boxes\[0\] = \[0, 0, nan, 9\] holds a number that is not finite"),
        ({"boxes": boxes((0, 0, float("inf"), 9))}, r"boxes\[0\].* not finite"),
        ({"boxes": np.zeros((2, 3), np.float32)}, r"boxes have the shape \[2, 3\]"),
        ({"boxes": "all"}, "boxes are not rows of 4 numbers"),
        ({"points": np.array([[5, 5], [91, 5]], np.float32)}, r"points\[1\] = \[91, 5\] does not lie in the picture"),
        ({"points": np.array([[float("nan"), 5]], np.float32)}, r"points\[0\]"),
        ({"points": np.zeros((1, 4), np.float32)}, r"points have the shape \[1, 4\]"),
        (
            {"boxes": BOXES, "embedding": np.zeros((1, 32, 4, 5), np.float32)},
            r"float32 \[1, 32, 4, 5\].*\[1, 32, 4, 4\]",
        ),
        ({"boxes": BOXES, "embedding": np.zeros(SMALL_SHAPE, np.int64)}, "embedding is int64"),
        ({"boxes": BOXES, "embedding": np.full(SMALL_SHAPE, np.nan, np.float32)}, "not finite"),
    ],
)
def test_what_cannot_be_cut_is_the_callers_error(segment: Tool, inputs: dict[str, object], why: str) -> None:
    assert re.search(why, refusal(segment, image=noise(), **inputs))


def test_the_embedding_of_another_picture_is_refused(segment: Tool) -> None:
    embedding = call(segment, image=noise(80, 50, seed=3), boxes=boxes()).outputs["embedding"]
    why = refusal(segment, image=noise(), boxes=BOXES, embedding=embedding)
    assert "made from another picture, 80 x 50 pixels; this one is 90 x 60" in why


def test_more_masks_than_fit_are_refused_before_any_is_made(segment: Tool) -> None:
    why = refusal(segment, image=noise(2000, 1500), boxes=np.repeat(boxes((0, 0, 9, 9)), 1000, axis=0))
    assert "1000 masks of 2000 x 1500 pixels" in why


def test_a_picture_too_thin_for_the_checkpoint_is_refused(segment: Tool) -> None:
    assert "too thin" in refusal(segment, image=noise(1000, 1), boxes=boxes((0, 0, 9, 1)))


SQUARE = {"height": SIDE, "width": SIDE}


def small_processor() -> Any:
    """What prepares pictures and prompts for the small SAM."""
    return cast("Any", SamProcessor)(SamImageProcessorPil(size={"longest_edge": SIDE}, pad_size=SQUARE))


def test_the_masks_are_those_of_transformers_itself(segment: Tool, small_sam: Path) -> None:
    model: Any = SamModel.from_pretrained(small_sam)
    processor = small_processor()
    inputs = processor(images=noise(), input_boxes=[BOXES.tolist()], return_tensors="pt")
    prompts = {"pixel_values": inputs["pixel_values"], "input_boxes": inputs["input_boxes"].float()}
    with torch.inference_mode():
        answer = model.eval()(**prompts, multimask_output=False)
    expected = processor.image_processor.post_process_masks(
        answer.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"], pad_size=SQUARE
    )[0][:, 0]
    outputs = call(segment, image=noise(), boxes=BOXES).outputs
    assert (outputs["masks"] == expected.numpy()).mean() > 0.999
    assert outputs["scores"] == pytest.approx(answer.iou_scores[0, :, 0].clamp(0, 1).tolist(), abs=1e-3)


def test_a_checkpoint_may_bring_its_own_processor(small_sam: Path, segment: Tool, tmp_path: Path) -> None:
    for file in small_sam.iterdir():
        (tmp_path / file.name).symlink_to(file)
    small_processor().save_pretrained(tmp_path)
    own = call(open_tool("segment", sam=tmp_path), image=noise(), boxes=BOXES).outputs
    assert (own["masks"] == call(segment, image=noise(), boxes=BOXES).outputs["masks"]).all()


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "holds no model.safetensors; .*convert: pickle-to-safetensors"),
        ({"config.json": '{"model_type": "bert"}'}, "model_type 'bert'; segment reads 'sam'"),
    ],
)
def test_a_directory_that_is_no_sam_says_what_is_missing(tmp_path: Path, files: dict[str, str], why: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises((FileNotFoundError, ValueError), match=why):
        open_tool("segment", sam=tmp_path)


@pytest.mark.parametrize(
    ("tensor", "error", "why"),
    [
        ("some.other.weight", ValueError, "neither LiteMedSAM .* nor an original SAM"),
        ("image_encoder.patch_embed.proj.weight", ImportError, "requirements-segment-anything.txt"),
    ],
)
def test_tensors_tell_which_sam_it_is(tmp_path: Path, tensor: str, error: type[Exception], why: str) -> None:
    save_file({tensor: np.zeros((768, 3, 16, 16), np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(error, match=why):
        open_tool("segment", sam=tmp_path)


def test_the_environment_of_segment_anything_is_pinned() -> None:
    folder = BOX / "segment"
    for name in ("requirements-segment-anything.txt", "requirements-segment-anything.no-deps.txt"):
        lines = [line for line in (folder / name).read_text().splitlines() if line and not line.startswith("#")]
        assert all(re.fullmatch(r"[a-z-]+==[\w.]+", line) for line in lines), lines


PROJECT = """\
sensorium: 1
name: original-sam
profile: original
profiles:
  original: {tools: {segment: {environment: requirements-segment-anything.txt}}}
"""


@pytest.fixture(scope="module")
def coins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-image's photograph of coins, 384 x 303 pixels."""
    load_coins: Any = data.coins  # scikit-image leaves its types open
    path = tmp_path_factory.mktemp("coins") / "coins.png"
    Image.fromarray(load_coins()).save(path)
    return path


COINS = [[127, 28, 179, 74], [192, 30, 243, 73], [255, 34, 297, 72]]


def discs() -> NDArray[np.bool_]:
    """The ellipses in those boxes, which is what the coins there are."""
    rows, columns = np.mgrid[:303, :384]
    return np.array(
        [
            ((columns - (x0 + x1) / 2) / (x1 - x0)) ** 2 + ((rows - (y0 + y1) / 2) / (y1 - y0)) ** 2 < 0.25
            for x0, y0, x1, y1 in COINS
        ]
    )


def overlaps(masks: NDArray[np.bool_]) -> list[float]:
    """IoU of each mask with its coin."""
    return [float((mask & disc).sum() / (mask | disc).sum()) for mask, disc in zip(masks, discs(), strict=True)]


def cut(image: Path, *, project: Path | None = None, **prompts: Any) -> Any:
    """One run of the tool by itself, in its worker."""
    return sensorium.load("segment", project=project).run(image=image, **prompts)


@pytest.mark.models
def test_coins_are_cut_by_their_boxes(coins: Path) -> None:
    result = cut(coins, boxes=COINS)
    assert min(overlaps(result["masks"].load())) > 0.85
    assert result["embedding"].shape == (1, 256, 64, 64)


@pytest.mark.models
def test_a_coin_is_cut_by_a_point_on_it(coins: Path) -> None:
    points = [[(x0 + x1) / 2, (y0 + y1) / 2] for x0, y0, x1, y1 in COINS]
    result = cut(coins, points=points)
    assert min(overlaps(result["masks"].load())) > 0.8


@pytest.mark.models
def test_an_embedding_travels_from_one_run_to_the_next(coins: Path) -> None:
    first = cut(coins, boxes=COINS)
    again = cut(coins, boxes=COINS, embedding=first["embedding"])
    assert (again["masks"].load() == first["masks"].load()).all()


@pytest.mark.models
def test_a_box_outside_the_picture_ends_the_run_with_the_callers_error(coins: Path) -> None:
    with pytest.raises(CallerError, match=r"boxes\[0\].*384 wide and 303 high"):
        cut(coins, boxes=[[400, 0, 500, 10]])


@pytest.mark.models
@pytest.mark.slow
def test_segment_anything_cuts_the_same_in_its_own_environment(coins: Path, tmp_path: Path) -> None:
    python = Environments(home_folder()).make(BOX / "segment" / "requirements-segment-anything.txt")
    assert subprocess.run([python, "-c", "import transformers"], check=False, capture_output=True).returncode
    (tmp_path / "sensorium.yaml").write_text(PROJECT)
    original = cut(coins, boxes=COINS, project=tmp_path)
    usual = cut(coins, boxes=COINS)
    assert (original["masks"].load() == usual["masks"].load()).mean() > 0.9999
    assert original["scores"].value == pytest.approx(usual["scores"].value, abs=1e-3)
    difference = np.abs(original["embedding"].load() - usual["embedding"].load())
    assert difference.max() < 1e-4
