"""Which language is spoken, asked only where the recogniser is in doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .ear import RATE_HZ
from .load import open_recogniser
from .names import language_name
from .recogniser import Passage, Recogniser, Samples

__all__ = ["Spoken", "Tongues", "can_be_trusted", "judge", "log_probability", "repeats"]

SURE = -0.45
"""English that is heard with at least this mean log probability is taken as English."""
REPEATS = 2.4
"""Text that compresses better than this is a loop, however sure the model was of it."""
LONG_S = 3.0
"""Speech of this length is enough to tell a language by; a word or two is not."""
LEAST_ENGLISH = 0.5
"""Long speech whose probability of being English is below this is foreign."""
LEAST_ENGLISH_SHORT = 0.3
"""The same for short speech, which is called foreign only where another language is at least this probable."""
NAMED = 0.5
"""A language is named as certain from this probability on."""
UNLIKE_ENGLISH = -1.0
"""Without a model that knows languages: speech heard with less than this is not taken as English."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What is known about the language of a stretch of speech."""

    is_foreign: bool
    name: str
    """For people, such as `French` or `a language other than English (most like Welsh)`."""


class Tongues:
    """Tells English from other languages with a multilingual Whisper, loaded when it is first asked.

    Args:
        checkpoint: Directory of a multilingual Whisper; None where there is none: then only the English model's own
            doubt speaks, and no language can be named.
        device: `cpu` or `cuda:0`.
    """

    def __init__(self, checkpoint: Path | None, device: str) -> None:
        self._checkpoint = checkpoint
        self._device = device
        self._model: Recogniser | None = None

    def spoken(self, samples: Samples, passages: Sequence[Passage]) -> Spoken:
        """The language of `samples` (16 kHz), in which the English model heard `passages`."""
        if self._checkpoint is None:
            return Spoken(log_probability(passages) < UNLIKE_ENGLISH, "a language other than English")
        if self._model is None:
            self._model = open_recogniser(self._checkpoint, self._device)
        probabilities = self._model.languages(samples)
        return judge(probabilities, len(samples) / RATE_HZ)


def judge(probabilities: Mapping[str, float], length_s: float) -> Spoken:
    """Whether speech of this length with these probabilities of languages is foreign, and what it is called."""
    likeliest = max(probabilities, key=probabilities.__getitem__)
    name = language_name(likeliest)
    if likeliest == "en":
        name = "a language other than English"
    elif probabilities[likeliest] < NAMED:
        name = f"a language other than English (most like {name})"
    if length_s >= LONG_S:
        return Spoken(probabilities["en"] < LEAST_ENGLISH, name)
    is_other = likeliest != "en" and probabilities[likeliest] >= LEAST_ENGLISH_SHORT
    return Spoken(is_other and probabilities["en"] < LEAST_ENGLISH_SHORT, name)


def can_be_trusted(passages: Sequence[Passage]) -> bool:
    """Whether an English-only model was so sure of what it heard that nobody needs to ask which language it was."""
    return bool(passages) and log_probability(passages) >= SURE and not repeats(passages)


def repeats(passages: Sequence[Passage]) -> bool:
    """Whether some passage is a loop of the same words."""
    return any(passage.compression > REPEATS for passage in passages)


def log_probability(passages: Sequence[Passage]) -> float:
    """Mean log probability of the words heard, weighted by their number; 0 where nothing was heard."""
    if not passages:
        return 0.0
    num_words = [max(1, len(passage.text.split())) for passage in passages]
    return float(np.average([passage.log_probability for passage in passages], weights=num_words))
