"""A data set measured: who plans, what is asked, and the figures that come of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from sensorium.evaluation.answers import Answer, Answers
from sensorium.evaluation.figures import Figures, figures_by_kind
from sensorium.evaluation.naive import NaivePlanner
from sensorium.evaluation.planner import Listener, Planner
from sensorium.evaluation.plans import plan_all
from sensorium.evaluation.sampling import sampled
from sensorium.evaluation.taskbench import Sample, TaskBench
from sensorium.evaluation.typed import TypedPlanner
from sensorium.model.contract import Model

__all__ = ["PlanSetting", "PlansMeasured", "PlanningWay", "measure_plans"]

PlanningWay: TypeAlias = Literal["steps", "whole", "calls", "naive"]


@dataclass(frozen=True, slots=True)
class PlanSetting:
    """How a data set is measured."""

    way: PlanningWay
    limit: int | None = None
    """Most samples, drawn by kind; None for all."""
    seed: int = 0
    """Which samples are drawn."""
    examples: int = 0
    """Samples that the model is shown with the plans that are right for them. They are not among those asked."""
    keep: Path | None = None
    """The file of lines that answers are kept in; None keeps none."""


@dataclass(frozen=True, slots=True)
class PlansMeasured:
    """What a planner's plans are worth."""

    data: str
    """Name of the data set."""
    setting: PlanSetting
    model: str
    """Identity of the model."""
    figures: Mapping[str, Figures]
    """By kind of plan, and `overall`."""
    gold_links_not_allowed: int
    """Links of the gold plans that the data's own graph does not have: no legal plan can have them."""
    answers: Sequence[Answer]


async def measure_plans(
    bench: TaskBench, model: Model, setting: PlanSetting, see: Callable[[int, int], None]
) -> PlansMeasured:
    """Asks for a plan for each sample, unless one is kept, and scores them all.

    Args:
        bench: The data set.
        model: Who is asked.
        setting: How.
        see: Hears how many samples are done, of how many.

    Raises:
        ModelError: The model failed three times in a row.
        CallerError: Requests do not fit into its context, or the file of lines is no regular file.
        OperatorError: The model is missing, or the disk does not let an answer be kept.
    """
    listener = Listener(model)
    examples = _drawn(bench.samples, setting.examples, 0) if setting.examples else []
    planner = _planner(bench, listener, setting.way, examples)
    others = [sample for sample in bench.samples if sample not in examples]
    samples = _drawn(others, setting.limit, setting.seed)
    answers = Answers(setting.keep, _settings(planner, setting.way))
    given = await plan_all(samples, planner, listener, answers, see)
    allowed = bench.allowed
    outside = 0 if allowed is None else sum(link not in allowed for sample in samples for link in sample.gold.links)
    return PlansMeasured(bench.name, setting, model.identity, figures_by_kind(bench, given), outside, given)


def _drawn(samples: Sequence[Sample], limit: int | None, seed: int) -> list[Sample]:
    return sampled(samples, limit, seed, lambda sample: sample.kind)


def _planner(bench: TaskBench, model: Model, way: PlanningWay, examples: Sequence[Sample]) -> Planner:
    if way == "naive":
        return NaivePlanner(bench, model, tuple(examples))
    return TypedPlanner(bench, model, way, tuple(examples))


def _settings(planner: Planner, way: PlanningWay) -> str:
    return hashlib.sha256(json.dumps([way, planner.identity]).encode()).hexdigest()[:16]
