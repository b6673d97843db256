"""A bridge is trained between two small models whose weights are drawn at random."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from sensorium.errors import OperatorError
from sensorium.latent.bridge import read_bridge
from sensorium.latent.bridge_job import TrainingJob, TrainingProgress, train

LINE = "the reed and the rose stand by the water while the wind goes over the hill and the rain comes down"
WORDS = LINE.split(" ")


def small_model(folder: Path, *, width: int, vocabulary: int) -> Path:
    """A language model of six layers with a tokenizer of its own, in the transformers layout."""
    made = ByteLevelBPETokenizer()
    made.train_from_iterator([LINE] * 20, vocab_size=vocabulary, show_progress=False)
    folder.mkdir()
    made.save(str(folder / "raw.json"))
    tokenizer: Any = PreTrainedTokenizerFast
    tokenizer(tokenizer_file=str(folder / "raw.json")).save_pretrained(folder)
    torch.manual_seed(width)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=6,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def job(folder: Path, *, stride: int) -> TrainingJob:
    """A training of some seconds."""
    chance = np.random.default_rng(0)
    (folder / "texts").mkdir()
    (folder / "texts" / "prose.txt").write_text(" ".join(chance.choice(WORDS, 4000)))
    return TrainingJob(
        name="reed-to-rose",
        sender="reed",
        sender_folder=str(small_model(folder / "reed", width=32, vocabulary=280)),
        receiver="rose",
        receiver_folder=str(small_model(folder / "rose", width=48, vocabulary=300)),
        licences=["CC0-1.0"],
        texts=str(folder / "texts"),
        tap="hidden[4]",
        stride=stride,
        hidden=24,
        positions=2560,
        end_to_end=0.02,
        rate=1e-3,
        minutes=1.0,
        seed=1,
        out=str(folder / "bridges"),
        state=str(folder / "state"),
    )


@pytest.mark.parametrize("stride", [1, 2])
def test_a_bridge_is_trained_interrupted_and_resumed(tmp_path: Path, stride: int) -> None:
    asked = job(tmp_path, stride=stride)
    seen: list[TrainingProgress] = []

    def interrupt(progress: TrainingProgress) -> None:
        seen.append(progress)
        if progress.stage == "regress":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(asked, interrupt)
    bridge = read_bridge(tmp_path / "bridges" / "reed-to-rose")
    assert bridge.cross(np.ones((5, 32), np.float32)).shape == (-(-5 // stride), 48)
    kept = json.loads((tmp_path / "state" / "progress.json").read_bytes())
    assert kept["step"] >= seen[-1].step > 0

    rest = replace(asked, minutes=kept["cpu_minutes"] + 0.7, end_to_end=0.1 / (kept["cpu_minutes"] + 0.7))
    assert train(rest, seen.append) == tmp_path / "bridges" / "reed-to-rose"
    assert list(dict.fromkeys(told.stage for told in seen)) == [
        "states",
        "regress",
        "end-to-end",
        "done",
    ]
    trained = read_bridge(tmp_path / "bridges" / "reed-to-rose").spec.training
    assert trained.steps > kept["step"]
    regress = [told.loss for told in seen if told.stage == "regress"]
    assert regress[-1] < regress[0]


def test_a_training_that_fails_says_why(tmp_path: Path) -> None:
    asked = replace(job(tmp_path, stride=1), tap="hidden[9]")
    with pytest.raises(OperatorError, match="the sender has 6 layers: take a lower one"):
        train(asked, lambda _: None)


def test_texts_that_lie_in_folders_are_told_of_by_those(tmp_path: Path) -> None:
    asked = replace(job(tmp_path, stride=1), minutes=0.001, end_to_end=0.0)
    (tmp_path / "texts" / "more").mkdir()
    (tmp_path / "texts" / "prose.txt").rename(tmp_path / "texts" / "more" / "prose.txt")
    (tmp_path / "texts" / "picture.png").write_bytes(b"\x89PNG")
    assert read_bridge(train(asked, lambda _: None)).spec.training.texts == ["more"]


@pytest.mark.parametrize(
    ("words", "positions", "told"),
    [(20, 2560, r"no text in .* has 64 tokens of reed"), (400, 64, r"\d stretches of 64 tokens that go on were drawn")],
)
def test_too_little_text_is_refused(tmp_path: Path, words: int, positions: int, told: str) -> None:
    asked = replace(job(tmp_path, stride=1), positions=positions)
    (tmp_path / "texts" / "prose.txt").write_text(" ".join(WORDS[at % len(WORDS)] for at in range(words)))
    with pytest.raises(OperatorError, match=told):
        train(asked, lambda _: None)


def test_a_training_that_leaves_all_numbers_keeps_what_it_had(tmp_path: Path) -> None:
    asked = replace(job(tmp_path, stride=1), minutes=1.0, end_to_end=0.9, rate=1e30)
    with pytest.raises(OperatorError, match=r"left what numbers can hold at step .* with a lower --rate"):
        train(asked, lambda _: None)
    assert read_bridge(tmp_path / "bridges" / "reed-to-rose").arrays
