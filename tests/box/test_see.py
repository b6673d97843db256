"""What `see` says of pictures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import data_dir
from sklearn import datasets
from tokenizers import Tokenizer
from transformers import BertModel

import sensorium
from sensorium.errors import CallerError
from sensorium.parts import Latent
from sensorium.worker.folder import Tool

from .in_process import BOX, call, open_tool
from .small_weights import small_sight, small_words

SKIMAGE, SKLEARN = Path(data_dir), Path(datasets.__file__).parent / "images"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("small")
    return {"sight": small_sight(folder / "sight"), "words": small_words(folder / "words")}


@pytest.fixture(scope="module")
def see(checkpoints: dict[str, Path]) -> Tool:
    return open_tool("see", **checkpoints)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("size", [(1, 1), (3000, 2), (1, 4000), (90, 60), (5000, 4000)])
def test_any_picture_gets_labels_a_caption_and_patches(see: Tool, mode: str, size: tuple[int, int]) -> None:
    outputs = call(see, image=Image.new(mode, size)).outputs
    scores = [label["score"] for label in outputs["labels"]]
    assert len(scores) == 10
    assert scores == sorted(scores, reverse=True)
    assert outputs["labels"][0]["label"] in outputs["caption"]
    assert outputs["patches"].shape == (7, 7, 20)
    assert outputs["patches"].dtype == outputs["pooled"].dtype == np.float32
    np.testing.assert_allclose(outputs["patches"].mean((0, 1)), outputs["pooled"], rtol=1e-4)


def test_pictures_in_one_batch_are_seen_as_they_are_alone(see: Tool) -> None:
    pictures = [Image.linear_gradient("L"), Image.radial_gradient("L").convert("RGB").resize((300, 90))]
    together = see.run([{"image": picture} for picture in pictures])
    assert isinstance(together, list)
    for picture, outputs in zip(pictures, together, strict=True):
        np.testing.assert_allclose(outputs["pooled"], call(see, image=picture).outputs["pooled"], rtol=1e-4, atol=1e-5)


def test_what_is_transparent_lies_on_white(see: Tool) -> None:
    clear, white = Image.new("RGBA", (40, 40), (0, 0, 0, 0)), Image.new("RGB", (40, 40), "white")
    assert call(see, image=clear).outputs["labels"] == call(see, image=white).outputs["labels"]


def test_vectors_of_words_are_those_of_transformers(checkpoints: dict[str, Path], see: Tool) -> None:
    folder = checkpoints["words"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = BertModel.from_pretrained(folder, add_pooling_layer=False)
    texts = ["cat", "a much longer phrase about a dog", "x"]
    with torch.inference_mode():
        states = [model(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state[0].mean(0) for text in texts]
    expected = torch.nn.functional.normalize(torch.stack(states), dim=-1).numpy()
    words = see._everyday._words  # type: ignore[attr-defined]  # pyright: ignore  # the tool's own module, loaded unseen
    np.testing.assert_allclose(words.vectors(texts), expected, atol=1e-5)


def test_imagenet_has_a_thousand_names_each_of_its_own() -> None:
    names = [line.split(", ")[0] for line in (BOX / "see/labels.txt").read_text().splitlines()]
    assert len(names) == len(set(names)) == 1000
    assert (names[0], names[281], names[999]) == ("tench", "tabby", "toilet tissue")


@pytest.mark.parametrize("name", ["efficientnet.py", "words.py", "labels.txt"])
def test_see_and_find_look_with_the_same_eyes(name: str) -> None:
    assert (BOX / "see" / name).read_bytes() == (BOX / "find" / name).read_bytes()


@pytest.mark.models
@pytest.mark.parametrize(
    ("picture", "label", "word"),
    [
        (SKIMAGE / "chelsea.png", "Egyptian cat", "cat"),
        (SKIMAGE / "coffee.png", "espresso", "coffee"),
        (SKIMAGE / "camera.png", "tripod", "camera"),
        (SKIMAGE / "motorcycle_left.png", "moped", "motorcycle"),
        (SKLEARN / "flower.jpg", "daisy", "flower"),
        (SKLEARN / "china.jpg", "monastery", "palace"),
    ],
)
def test_photographs_are_named_and_told_in_everyday_words(picture: Path, label: str, word: str) -> None:
    result = sensorium.load("see").run(image=picture)
    assert label in str(result.caption)
    assert str(result.caption).endswith(f"nearest everyday word: {word}")


@pytest.mark.models
def test_latents_carry_their_caption_as_their_twin() -> None:
    result = sensorium.load("see").run(image=SKIMAGE / "chelsea.png")
    patches = result.patches
    assert isinstance(patches, Latent)
    assert (patches.space, patches.shape, patches.twin) == ("see.patches", (7, 7, 1280), str(result.caption))


@pytest.mark.models
def test_a_text_called_png_is_the_callers_mistake(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_text("not a picture")
    with pytest.raises(CallerError, match=re.escape("picture.png")):
        sensorium.load("see").run(image=tmp_path / "picture.png")
