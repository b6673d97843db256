"""A phrase as a weighing of ImageNet's classes, and how likely a picture is to show it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .phrase import names_person
from .views import View
from .words import Words

NEAREST = 25
"""Classes that stand for a phrase."""
TEMPERATURE = 0.08
"""Of the softmax over the cosines between the phrase and these classes."""
MIDDLE, STEEPNESS = -6.6, 1.5
"""Logistic curve from the log of the phrase's share in a picture's posterior to a score. A share of 1/1000, which is
chance, has the log -6.9. The README tells how often right and wrong phrases pass the middle."""
PEOPLE_MIDDLE, PEOPLE_STEEPNESS = 0.0, 2.0
"""The same for the log of how many kinds of clothing are seen."""


@dataclass(frozen=True, slots=True)
class Concept:
    """What to look for in a picture."""

    classes: NDArray[np.intp]
    """Indices of classes."""
    weights: NDArray[np.float32]
    """What each counts when the thing is looked for, likely classes more; they add up to 1."""
    likeness: NDArray[np.float32]
    """How near each is to the phrase, whatever the picture shows; they add up to 1."""
    score: float
    """How likely the picture is to show it, 0 to 1; from 0.5 on it counts as found."""

    def share(self, posterior: NDArray[np.float32]) -> float:
        """How much of a posterior, [1000], falls on the thing."""
        return float(self.likeness @ posterior[self.classes])


class Concepts:
    """Turns phrases into concepts.

    Args:
        folder: Directory of `labels.txt`, `people.txt` and `worn.txt`.
        words: Gives the vectors of labels and phrases.
    """

    def __init__(self, folder: Path, words: Words) -> None:
        lines = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
        self.labels = [line.split(", ")[0] for line in lines]
        self._people = frozenset(_names(folder / "people.txt"))
        self._worn = np.array([self.labels.index(name) for name in _names(folder / "worn.txt")])
        self._words = words
        self._vectors = words.vectors(self.labels)

    def of(self, head: str, views: list[View]) -> Concept:
        """What a phrase's head means in a picture, given its views, coarsest first."""
        return self._person(views) if names_person(head, self._people) else self._thing(head, views[0])

    def _thing(self, head: str, view: View) -> Concept:
        cosines = self._vectors @ self._words.vectors([head])[0]
        classes = np.argsort(-cosines)[:NEAREST]
        nearness = np.exp((cosines[classes] - cosines[classes[0]]) / TEMPERATURE)
        likeness = nearness / nearness.sum()
        mass = likeness * view.posterior[classes]
        share = float(mass.sum())
        return Concept(classes, mass / max(share, 1e-12), likeness, _logistic(share, MIDDLE, STEEPNESS))

    def _person(self, views: list[View]) -> Concept:
        """ImageNet has no class for people; what they wear stands for them."""
        mass = np.sqrt(views[0].posterior[self._worn])
        kinds = float(views[1].peaks[self._worn].sum())
        alike = np.full_like(mass, 1 / len(mass))
        return Concept(self._worn, mass / mass.sum(), alike, _logistic(kinds, PEOPLE_MIDDLE, PEOPLE_STEEPNESS))


def _names(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").strip().replace("\n", ", ").split(", ")


def _logistic(share: float, middle: float, steepness: float) -> float:
    return 1 / (1 + math.exp(-steepness * (math.log(max(share, 1e-12)) - middle)))
