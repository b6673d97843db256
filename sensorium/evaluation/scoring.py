"""Figures of plans against gold, as TaskBench defines them: pure functions."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Set
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from sensorium.evaluation.outline import Link, Outline

__all__ = ["Interval", "Score", "faults_of", "link_score", "mean_f1", "node_score", "wilson"]

Thing = TypeVar("Thing", bound=Hashable)
_Z = 1.959963984540054
"""Standard normal quantile of 97.5 %."""


@dataclass(frozen=True, slots=True)
class Score:
    """How many things were proposed, how many there should be, and how many are both."""

    both: int
    proposed: int
    gold: int

    @property
    def precision(self) -> float:
        """Share of what was proposed that is gold; 0 where nothing was."""
        return self.both / self.proposed if self.proposed else 0.0

    @property
    def recall(self) -> float:
        """Share of gold that was proposed; 0 where there is none."""
        return self.both / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall, 0 to 1; 1 where nothing should be proposed and nothing was."""
        return 2 * self.both / (self.proposed + self.gold) if self.proposed + self.gold else 1.0

    def __add__(self, other: Score) -> Score:
        return Score(self.both + other.both, self.proposed + other.proposed, self.gold + other.gold)


def node_score(proposed: Outline, gold: Outline, known: Set[str]) -> Score:
    """The tools of one sample, each counted once however often it stands there.

    Summed over samples this gives TaskBench's micro-averaged node F1, which leaves out tools that the data does not
    know: they are counted as illegal instead.
    """
    return _score(set(proposed.tools) & known, set(gold.tools))


def link_score(proposed: Outline, gold: Outline) -> Score:
    """The links of one sample, each counted once. Summed over samples this gives TaskBench's link F1."""
    return _score(set(proposed.links), set(gold.links))


def mean_f1(scores: Iterable[Score]) -> float:
    """The mean of the samples' F1, which some papers report instead; 0 without samples."""
    told = [score.f1 for score in scores]
    return sum(told) / len(told) if told else 0.0


def faults_of(plan: Outline, known: Set[str], links: Set[Link] | None) -> tuple[str, ...]:
    """What is illegal in a plan: a tool or a link that is not there, a link of a tool that is not in the plan.

    Args:
        plan: The plan.
        known: Every tool that there is.
        links: Every link that there may be; None where the data names none.
    """
    told = [f"there is no tool {tool!r}" for tool in dict.fromkeys(plan.tools) if tool not in known]
    for source, target in dict.fromkeys(plan.links):
        outside = [tool for tool in (source, target) if tool not in plan.tools]
        if outside:
            told.append(f"a link of {outside[0]!r}, which is not in the plan")
        elif links is not None and (source, target) not in links and {source, target} <= known:
            told.append(f"{target!r} cannot take what {source!r} gives")
    return tuple(told)


class Interval(NamedTuple):
    """Where a share lies, 0 to 1."""

    low: float
    high: float


def wilson(right: int, total: int) -> Interval:
    """The 95 % interval of a share after E. B. Wilson, 1927; all of 0 to 1 where nothing was counted."""
    if not total:
        return Interval(0.0, 1.0)
    share, square = right / total, _Z * _Z
    middle = (share + square / (2 * total)) / (1 + square / total)
    reach = _Z / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    return Interval(max(0.0, middle - reach), min(1.0, middle + reach))


def _score(proposed: Set[Thing], gold: Set[Thing]) -> Score:
    return Score(len(proposed & gold), len(proposed), len(gold))
