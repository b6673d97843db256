"""What `sensorium eval` does: data at a path, measured with a project's model or agent."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensorium.agent.toolbox import card_of
from sensorium.errors import CallerError, OperatorError
from sensorium.evaluation.answers import LINES
from sensorium.evaluation.choices import ChoicesMeasured, choices_json, choices_markdown, measure_choices
from sensorium.evaluation.first_tool import FirstTool
from sensorium.evaluation.planned import PlanningWay, PlanSetting, measure_plans
from sensorium.evaluation.report import plans_json, plans_markdown
from sensorium.evaluation.requests import read_requests
from sensorium.evaluation.sampling import sampled
from sensorium.evaluation.taskbench import read_taskbench
from sensorium.project import Project
from sensorium.spec.check_agent import callees_of_agent
from sensorium.spec.nearest import meant
from sensorium.store import Store

__all__ = ["Evaluated", "Evaluation", "choose_first", "evaluate"]

_ROLE = "central"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is to be measured."""

    data: Path
    """A folder in the TaskBench format, or a file of requests with their right tools."""
    agent: str = "assistant"
    """Whose choices are measured, for a file."""
    way: PlanningWay | None = None
    """How plans are made, for a folder; the profile's way where None."""
    limit: int | None = None
    """Most samples or requests, each kind by its share; None for all."""
    seed: int = 0
    """Which ones are drawn."""
    examples: int = 0
    """Samples of a folder that the model is shown, and not asked."""
    out: Path | None = None
    """Where figures and answers go; nowhere where None."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What was measured, for people and for programs."""

    markdown: str
    record: dict[str, Any]


async def evaluate(project: Project, wanted: Evaluation, see: Callable[[int, int], None]) -> Evaluated:
    """Measures, and writes what it measured where that is wanted.

    Args:
        project: Whose model and agents are measured.
        wanted: What is measured.
        see: Hears how many samples are done, of how many.

    Raises:
        AuthorError: The data are wrong, each fault with its file and line; or the agent names what it cannot call.
        CallerError: There is no such agent, or `out` is a file.
        ModelError: The model failed.
        OperatorError: The model is missing, or the disk does not let something be read or written.
    """
    if wanted.out is not None:
        _make(wanted.out)
    if _is_folder(wanted.data):
        evaluated = await _plans(project, wanted, see)
    else:
        measured = await choose_first(project, wanted, see)
        evaluated = Evaluated(choices_markdown(measured), choices_json(measured))
    if wanted.out is not None:
        _keep(wanted.out, evaluated)
    return evaluated


async def _plans(project: Project, wanted: Evaluation, see: Callable[[int, int], None]) -> Evaluated:
    bench = read_taskbench(wanted.data)
    keep = None if wanted.out is None else wanted.out / LINES
    way = wanted.way or project.way(_ROLE)
    setting = PlanSetting(way, wanted.limit, wanted.seed, wanted.examples, keep)
    measured = await measure_plans(bench, await project.model(_ROLE), setting, see)
    return Evaluated(plans_markdown(measured), {"profile": project.profile_name, **plans_json(measured)})


async def choose_first(project: Project, wanted: Evaluation, see: Callable[[int, int], None]) -> ChoicesMeasured:
    """What an agent chooses first for the requests of a file; see `evaluate`."""
    agents = project.catalogue.agents
    project.raise_own_faults(wanted.agent)
    if wanted.agent not in agents:
        raise CallerError(f"there is no agent {wanted.agent!r}; {meant(wanted.agent, agents, 'agents here:')}")
    entry = agents[wanted.agent]
    cards = [card_of(one, project.catalogue) for one in callees_of_agent(entry, project.catalogue)]
    requests = read_requests(wanted.data, [card.name for card in cards])
    drawn = sampled(requests, wanted.limit, wanted.seed, lambda asked: (asked.tool, asked.language))
    model = await project.model(entry.spec.model)
    with tempfile.TemporaryDirectory() as folder:
        first = FirstTool(entry, cards, model, Store(Path(folder)))
        return await measure_choices(wanted.data.name, wanted.agent, drawn, first, see)


def _is_folder(data: Path) -> bool:
    """Whether it is one; what cannot be looked at is none, and is told when it is read."""
    return os.path.isdir(data)


def _make(out: Path) -> None:
    """Makes the folder, before a model is asked what could not be kept."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise CallerError(f"{out} is a file, or lies below one; give a folder") from error
    except OSError as error:
        raise OperatorError(f"{out} cannot be made: {error.strerror}; give another") from error


def _keep(out: Path, evaluated: Evaluated) -> None:
    try:
        told = json.dumps(evaluated.record, ensure_ascii=False, indent=2)
        (out / "figures.json").write_text(f"{told}\n", encoding="utf-8")
        (out / "figures.md").write_text(f"{evaluated.markdown}\n", encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{out} cannot be written: {error.strerror}; free some space, or give another") from error
