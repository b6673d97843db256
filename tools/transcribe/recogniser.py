"""Whisper behind one small contract, whichever library reads the checkpoint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "BEAM",
    "SEED",
    "STATES_A_SECOND",
    "Heard",
    "Passage",
    "Recogniser",
    "Samples",
    "States",
    "most_tokens",
    "num_states",
    "num_threads",
]

Samples = npt.NDArray[np.float32]
States = npt.NDArray[np.float16]

BEAM = 5
"""Hypotheses kept while decoding; the README has the error rate for each width."""
SEED = 0
"""For the samples that are drawn where the best guess will not do: the same sound gives the same text."""
MOST_THREADS = 4
"""More threads than this gain nothing on models of this size."""


STATES_A_SECOND = 50
"""How often the encoder looks: it halves the hundred frames a second that it is given."""

MOST_TOKENS = 224
"""What Whisper writes about one window at most."""
MOST_TOKENS_A_SECOND = 12
"""Nobody talks faster; more is a loop, which would take long and be thrown away."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Some words, as they were heard in one window."""

    start_s: float
    """From the beginning of the window."""
    end_s: float
    text: str
    log_probability: float
    """Mean over the tokens; nearer to 0 is surer."""
    compression: float
    """Length of the text over its length compressed; above 2.4 it repeats itself."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one window."""

    passages: list[Passage]
    states: States
    """What the encoder made of the window, before any word: float16 [frames, dims], `STATES_A_SECOND`; what stands for
    the silence that fills the window up to 30 s is left out."""


class Recogniser(Protocol):
    """A loaded Whisper model."""

    is_multilingual: bool

    def hear(self, samples: Samples, language: str, temperatures: Sequence[float]) -> Heard:
        """What is said in `samples` (float32 mono, 16 kHz, at most 30 s). `temperatures` are tried in turn."""
        ...

    def languages(self, samples: Samples) -> dict[str, float]:
        """The probability of each language by its code; multilingual models only."""
        ...


def most_tokens(samples: Samples) -> int:
    """How many tokens `samples` (16 kHz) can hold, time stamps and a few to spare included."""
    return min(MOST_TOKENS, 16 + MOST_TOKENS_A_SECOND * len(samples) // 16_000)


def num_states(num_samples: int) -> int:
    """How many of the encoder's frames `num_samples` (16 kHz) fill, the last one perhaps not wholly."""
    return -(-num_samples * STATES_A_SECOND // 16_000)


def num_threads() -> int:
    """`OMP_NUM_THREADS` where it is set, else one thread for each core up to four."""
    return int(os.environ.get("OMP_NUM_THREADS") or min(len(os.sched_getaffinity(0)), MOST_THREADS))
