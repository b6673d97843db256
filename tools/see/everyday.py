"""The everyday word that is nearest to a picture, also where ImageNet has no class for it: a dahlia is a flower.

The picture's vector is the mean of its best labels' vectors, weighed by their probabilities: ConSE, Norouzi et al.,
"Zero-Shot Learning by Convex Combination of Semantic Embeddings" (arXiv:1312.5650).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .words import Words

MOST_LABELS = 10
"""Labels that are combined; the paper's T."""


class Nearest(NamedTuple):
    """A word and how near it is."""

    word: str
    cosine: float


class Everyday:
    """Compares pictures with a list of words.

    Args:
        labels: Names of the network's classes.
        vocabulary: Words to choose from.
        words: Gives their vectors.
    """

    def __init__(self, labels: list[str], vocabulary: list[str], words: Words) -> None:
        self._labels = labels
        self._vocabulary = vocabulary
        self._words = words
        self._vectors = words.vectors(vocabulary)
        self._known: dict[int, NDArray[np.float32]] = {}

    def nearest(self, probabilities: NDArray[np.float32]) -> Nearest:
        """The nearest word to a picture with these probabilities of the labels, float32 [labels]."""
        best = np.argsort(-probabilities)[:MOST_LABELS]
        mean = probabilities[best] @ np.stack([self._vector(int(index)) for index in best])
        cosines = self._vectors @ (mean / np.linalg.norm(mean))
        winner = int(cosines.argmax())
        return Nearest(self._vocabulary[winner], float(cosines[winner]))

    def _vector(self, label: int) -> NDArray[np.float32]:
        if label not in self._known:
            self._known[label] = self._words.vectors([self._labels[label]])[0]
        return self._known[label]
