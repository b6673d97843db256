"""What KV codecs are measured and learned on: a transformers checkpoint that reads prose from installed packages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from prose import Prose, prose
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from sensorium.latent.kv import KvShape, Rope
from sensorium.latent.kv_shape import Array, Floats
from sensorium.project import Project

__all__ = ["HEAD", "MEASURED", "Forced", "Passage", "Reader", "nll", "passage_of", "passages", "shape_of"]

HEAD = "<|im_start|>user\n"
ASK = "\n\nRepeat the text above word for word.<|im_end|>\n<|im_start|>assistant\n"
MEASURED = ("sklearn", "skimage", "scipy")
"""Packages whose prose is measured on, and never learned from."""
LEAST_NEXT, MOST_NEXT = 40, 100
SENTENCE = re.compile(r"[.!?](?=\s)|$")


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that is sent, and what comes behind it."""

    source: str
    text: str
    next: str
    """Whole sentences that follow it."""


@dataclass(frozen=True, slots=True)
class Forced:
    """A continuation that a model is made to say, behind a message."""

    ids: Sequence[int]
    scored: int
    """How many tokens at its end are scored."""


class Reader:
    """A language model in float32 on one thread."""

    def __init__(self, checkpoint: str) -> None:
        torch.set_num_threads(1)
        folder = Project(None).checkpoints.directory(checkpoint)
        tokenizer: Any = AutoTokenizer
        self.tokenizer = tokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)
        self.inv_freq = self.model.model.rotary_emb.inv_freq.double().numpy()

    @property
    def rope(self) -> Rope:
        """The rotation of a message that begins at position 0."""
        return Rope(self.inv_freq, 0)

    def ids(self, text: str) -> list[int]:
        """The tokens of a text, its marks of turns among them."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def kv(self, ids: Sequence[int]) -> Floats:
        """What the model holds once it has read them, float32 [layers, 2, heads, positions, dim]."""
        with torch.inference_mode():
            read = self.model(torch.tensor([ids]), use_cache=True, logits_to_keep=1).past_key_values
        return np.stack([np.stack([layer.keys[0].numpy(), layer.values[0].numpy()]) for layer in read.layers])

    def logits(self, kv: Any, forced: Forced) -> torch.Tensor:
        """Logits [scored, vocabulary] of the tokens that are scored, behind what the cache holds."""
        held = DynamicCache()
        for number, layer in enumerate(torch.as_tensor(kv)):
            held.update(layer[0][None], layer[1][None], number)
        said = self.model(torch.tensor([forced.ids]), past_key_values=held, logits_to_keep=forced.scored + 1)
        logits: torch.Tensor = said.logits[0, :-1]
        return logits

    def log_probabilities(self, kv: Array, forced: Forced) -> torch.Tensor:
        """The same as log-probabilities, float32, without a gradient."""
        with torch.inference_mode():
            return self.logits(kv, forced).log_softmax(-1)

    def tasks(self, passage: Passage) -> dict[str, Forced]:
        """The passage again when asked for it, and the sentences behind it."""
        again, following = self.ids(passage.text), self.ids(passage.next)
        return {
            "copy": Forced([*self.ids(ASK), *again], len(again)),
            "next": Forced(following, len(following) - 1),
        }


def nll(log_probabilities: torch.Tensor, forced: Forced) -> float:
    """Nats in all that the scored tokens cost."""
    said = torch.tensor(forced.ids[-forced.scored :])
    return -float(log_probabilities.gather(1, said[:, None]).sum())


def shape_of(kv: Array) -> KvShape:
    """The shape of a cache."""
    return KvShape(kv.shape[0], kv.shape[2], kv.shape[3], kv.shape[4])


def passages(reader: Reader, packages: Sequence[str], *, least: int, most: int, characters: int) -> Iterator[Passage]:
    """Passages of `least` to `most` tokens, a docstring of each package in turn, until none has any."""
    for turn in zip_longest(*(prose(package, characters=characters) for package in packages)):
        for one in turn:
            found = one and passage_of(reader, one, least=least, most=most)
            if found:
                yield found


def passage_of(reader: Reader, one: Prose, *, least: int, most: int) -> Passage | None:
    """The first sentences of a prose that have so many tokens, and those behind them; None where it has not enough."""
    ends = [found.end() for found in SENTENCE.finditer(one.text)]
    for index, end in enumerate(ends):
        tokens = len(reader.ids(one.text[:end]))
        if tokens >= least:
            for further in ends[index + 1 :]:
                if LEAST_NEXT <= len(reader.ids(one.text[end:further])) <= MOST_NEXT and tokens <= most:
                    return Passage(one.source, one.text[:end], one.text[end:further])
            return None
    return None
