"""Whisper behind one small contract, whichever library reads the checkpoint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["BEAM", "SEED", "Passage", "Recogniser", "Samples", "most_tokens", "num_threads"]

Samples = npt.NDArray[np.float32]

BEAM = 5
"""Hypotheses kept while decoding; the README has the error rate for each width."""
SEED = 0
"""For the samples that are drawn where the best guess will not do: the same sound gives the same text."""
MOST_THREADS = 4
"""More threads than this gain nothing on models of this size."""


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


class Recogniser(Protocol):
    """A loaded Whisper model."""

    is_multilingual: bool

    def hear(self, samples: Samples, language: str, temperatures: Sequence[float]) -> list[Passage]:
        """What is said in `samples` (float32 mono, 16 kHz, at most 30 s). `temperatures` are tried in turn."""
        ...

    def languages(self, samples: Samples) -> dict[str, float]:
        """The probability of each language by its code; multilingual models only."""
        ...


def most_tokens(samples: Samples) -> int:
    """How many tokens `samples` (16 kHz) can hold, time stamps and a few to spare included."""
    return min(MOST_TOKENS, 16 + MOST_TOKENS_A_SECOND * len(samples) // 16_000)


def num_threads() -> int:
    """`OMP_NUM_THREADS` where it is set, else one thread for each core up to four."""
    return int(os.environ.get("OMP_NUM_THREADS") or min(len(os.sched_getaffinity(0)), MOST_THREADS))
