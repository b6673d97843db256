"""The hibari voice: a text as sentences, a sentence as sound."""

from __future__ import annotations

import os
import re

import numpy as np
import numpy.typing as npt
from hibari import SAMPLE_RATE, Hibari

__all__ = ["RATE_HZ", "Voice"]

Samples = npt.NDArray[np.float32]

RATE_HZ: int = SAMPLE_RATE
MOST_PHONEMES = 400
"""What the voice was made for at once; a longer sentence is cut between words."""
LONGEST_SENTENCE = 400
"""A longer sentence, in characters, is said in pieces, so that the first can be heard early."""
LONGEST_WORD = 30
"""A longer word (a key, a hash, a scream) is said in pieces of this length."""
SEED = 0
"""Of the voice's noise: the same sentence always sounds the same."""

_LONG_WORD = re.compile(rf"[^\W_]{{{LONGEST_WORD + 1},}}")
_CLAUSE = re.compile(r"[,;:—](?=\s)")
_ABBREVIATION = re.compile(
    r"\b(?:i\.e|e\.g|vs|cf|ca|approx|no|nos|fig|vol|pp?|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.$", re.I
)
_STEM_ENDS = ("", "s", "es", "'s", "ed", "d", "ing", "ly", "er", "n't")


class Voice:
    """hibari's voice `heart`: American English, 24 kHz, on one thread unless `OMP_NUM_THREADS` says more."""

    def __init__(self) -> None:
        self._hibari = Hibari(threads=int(os.environ.get("OMP_NUM_THREADS") or 1))

    def knows(self, word: str) -> bool:
        """Whether `word`, in small letters, stands in the English pronouncing dictionary, ending or no ending."""
        lexicon = self._hibari.g2p.lexicon
        stems = {word.removesuffix(end) for end in _STEM_ENDS} | {f"{word.removesuffix('ing')}e"}
        return any(stem in lexicon.golds or stem in lexicon.silvers for stem in stems)

    def sentences(self, text: str) -> list[str]:
        """`text` cut at paragraphs and at the ends of sentences."""
        sentences: list[str] = []
        for part in self._hibari.split_sentences(_LONG_WORD.sub(_in_pieces, text)):
            if sentences and _ABBREVIATION.search(sentences[-1]):
                part = f"{sentences.pop()} {part}"
            sentences += _cut(part, LONGEST_SENTENCE)
        return sentences

    def say(self, sentence: str, speed: float) -> Samples:
        """The sound of a sentence: float32 mono at 24 kHz; empty where it holds nothing that can be pronounced."""
        rng = np.random.default_rng(SEED)
        phonemes = [piece for whole in self._hibari.phonemize(sentence) for piece in _cut(whole, MOST_PHONEMES)]
        pieces = [self._hibari.from_ids(self._hibari.ids(piece), speed, rng) for piece in phonemes]
        return np.clip(np.concatenate(pieces), -1.0, 1.0) if pieces else np.zeros(0, np.float32)


def _in_pieces(word: re.Match[str]) -> str:
    return " ".join(word[0][at : at + LONGEST_WORD] for at in range(0, len(word[0]), LONGEST_WORD))


def _cut(text: str, longest: int) -> list[str]:
    """`text` in pieces of at most `longest` characters, cut after a comma or the like, else between words."""
    pieces: list[str] = []
    while len(text) > longest:
        clauses = [clause.end() for clause in _CLAUSE.finditer(text, longest // 2, longest)]
        at = clauses[-1] if clauses else text.rfind(" ", 1, longest)
        at = at if at > 0 else longest
        pieces.append(text[:at].strip())
        text = text[at:].strip()
    return [*pieces, text] if text else pieces
