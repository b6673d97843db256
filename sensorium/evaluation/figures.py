"""Figures of a set of answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sensorium.evaluation.answers import Answer, Tokens
from sensorium.evaluation.scoring import Score, faults_of, link_score, mean_f1, node_score
from sensorium.evaluation.taskbench import TaskBench

__all__ = ["Figures", "figures_by_kind", "figures_of"]

_KINDS = ("single", "chain", "dag")


@dataclass(frozen=True, slots=True)
class Figures:
    """What the plans for some samples are worth. Shares lie between 0 and 1."""

    samples: int
    node: Score
    link: Score
    mean_node_f1: float
    """The mean of the samples' node F1."""
    mean_link_f1: float
    """The mean of the samples' link F1; a sample without links counts 1 where none was proposed."""
    illegal_at_first: float
    """Share of samples whose first plan had something illegal in it."""
    illegal: float
    """Share of samples whose plan in the end has something illegal in it."""
    without_plan: float
    """Share of samples that have no plan in the end."""
    failed: int
    """Samples without a plan because the model failed, or the request did not fit."""
    median_s: float
    total_s: float
    asks: int
    tokens: Tokens


def figures_by_kind(bench: TaskBench, answers: Sequence[Answer]) -> dict[str, Figures]:
    """Figures of each kind of plan that there is, and of all together under `overall`."""
    kinds = [kind for kind in _KINDS if any(answer.kind == kind for answer in answers)]
    parts = {kind: [answer for answer in answers if answer.kind == kind] for kind in kinds}
    return {name: figures_of(bench, part) for name, part in (*parts.items(), ("overall", list(answers)))}


def figures_of(bench: TaskBench, answers: Sequence[Answer]) -> Figures:
    """Figures of one or more answers to samples of a data set."""
    known, allowed = bench.tools.keys(), bench.allowed
    nodes = [node_score(answer.given, answer.gold, known) for answer in answers]
    links = [link_score(answer.given, answer.gold) for answer in answers]
    illegal = [bool(faults_of(answer.given, known, allowed)) for answer in answers]
    seconds = [answer.seconds for answer in answers]
    return Figures(
        samples=len(answers),
        node=sum(nodes, Score(0, 0, 0)),
        link=sum(links, Score(0, 0, 0)),
        mean_node_f1=mean_f1(nodes),
        mean_link_f1=mean_f1(links),
        illegal_at_first=_share([bool(answer.refused) or bad for answer, bad in zip(answers, illegal, strict=True)]),
        illegal=_share(illegal),
        without_plan=_share([not answer.given.tools for answer in answers]),
        failed=sum(bool(answer.failed) for answer in answers),
        median_s=median(seconds),
        total_s=sum(seconds),
        asks=sum(answer.asks for answer in answers),
        tokens=sum((answer.tokens for answer in answers), Tokens()),
    )


def _share(marks: Sequence[bool]) -> float:
    return sum(marks) / len(marks)
