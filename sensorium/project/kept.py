"""Runs that the book knows, with the project that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from sensorium.errors import AuthorError, CallerError, SensoriumError
from sensorium.events import RunId, RunStatus
from sensorium.graph import Graph, Result
from sensorium.graph.identities import changes, identities_of
from sensorium.graph.record import read_values, result_of, seconds_of
from sensorium.graph.save import describe
from sensorium.parts import Value
from sensorium.project.project import Project
from sensorium.runs import AskedQuestion, RunRecord
from sensorium.spec.ports import PortType

__all__ = [
    "KeptQuestion",
    "KeptStatus",
    "RunDetails",
    "RunSummary",
    "describe_values",
    "draw_run",
    "find_run",
    "graph_of",
    "look_at",
    "project_of",
    "summarise",
]

KeptStatus: TypeAlias = RunStatus | Literal["running", "interrupted"]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run as it is listed; the names of the fields are the keys of its JSON."""

    run: RunId
    graph: str
    status: KeptStatus
    """`interrupted` where its process died before its end."""
    began_s: float
    """Seconds since 1970."""
    ended_s: float | None
    seconds: float | None
    """How long its last attempt took; None while it has not ended."""
    parent: RunId | None
    """The run that it was forked from."""
    trouble: str | None
    """Why it cannot go on; None where nothing is known to be wrong."""


@dataclass(frozen=True, slots=True)
class KeptQuestion:
    """What a run asked a person, and what the person said."""

    node: str
    callee: str
    inputs: Mapping[str, Value]
    """What would be called."""
    asked_s: float
    """Seconds since 1970."""
    verdict: Literal["approved", "refused"] | None
    """None while nobody has answered."""
    why: str
    changed: Mapping[str, Value]
    """What the person gave instead."""


@dataclass(frozen=True, slots=True)
class RunDetails:
    """Everything that is kept of a run."""

    summary: RunSummary
    record: RunRecord
    inputs: Mapping[str, Value]
    result: Result | None
    """None of a run that has not ended."""
    questions: Sequence[KeptQuestion]
    changes: tuple[str, ...]
    """What is no longer as it was when it began; nothing where the summary tells of trouble."""


def find_run(name: str, folder: Path | None, profile: str | None) -> RunRecord:
    """What the book of a project says of a run.

    Args:
        name: Its id, the beginning of it, or `last`.
        folder: The project's folder; None for the nearest one upwards.
        profile: Name of a profile instead of the project's default.

    Raises:
        CallerError: There is no such run, or several begin so.
        OperatorError: The database cannot be read.
    """
    door = Project.find(folder, profile=profile)
    with closing(door.database):
        return door.runs.require(name)


def project_of(record: RunRecord, folder: Path | None, profile: str | None, *, offline: bool = False) -> Project:
    """The project that a run belongs to, with the profile that it had.

    Args:
        record: What the book says of the run.
        folder: A project's folder instead of the run's.
        profile: Name of a profile instead of the run's.
        offline: Download nothing.

    Raises:
        CallerError: The project's folder or the profile is gone.
        AuthorError: A project file is wrong.
    """
    beginning = record.beginning()
    place = folder or (None if beginning.project is None else Path(beginning.project))
    if place is not None and not place.is_dir():
        raise CallerError(
            f"run {record.run} is of the project in {place}, which is gone; put it back, or name another with --project"
        )
    name = profile or beginning.profile
    return (
        Project(None, profile=name, offline=offline)
        if place is None
        else Project.find(place, profile=name, offline=offline)
    )


def graph_of(door: Project, record: RunRecord) -> Graph:
    """The graph of a run as it is now; as it was where there is no such file or name any more.

    Raises:
        AuthorError: It has faults.
        CallerError: What is kept of the run is damaged.
    """
    beginning = record.beginning()
    if beginning.path and Path(beginning.path).is_file():
        return door.graph_file(Path(beginning.path))
    if record.graph in door.catalogue.graphs:
        return door.graph(record.graph)
    return door.parse(beginning.text, f"run {record.run}")


def draw_run(record: RunRecord, graph: str | None, folder: Path | None) -> str:
    """A run that has ended as a mermaid flowchart of its graph as it was then.

    Args:
        record: What the book says of the run.
        graph: What the graph is called, or its file; None for whatever the run is of.
        folder: A project's folder instead of the run's.

    Raises:
        CallerError: It is a run of another graph, has not ended, or what is kept is damaged.
        AuthorError: What the graph calls is there no more, or takes and gives something else.
    """
    door = project_of(record, folder, None)
    if graph is not None and record.graph not in (graph, Path(graph).stem):
        raise CallerError(f"run {record.run} is one of graph {record.graph!r}, not of {graph!r}")
    return door.parse(record.beginning().text, f"run {record.run}").mermaid(result_of(record, door.store))


def summarise(door: Project, record: RunRecord) -> RunSummary:
    """A run as it is listed."""
    status: KeptStatus = record.status
    if status == "running" and not door.results.is_going_on(record.run):
        status = "interrupted"
    parent, trouble = None, None
    try:
        parent = record.beginning().parent
    except SensoriumError as error:
        trouble = str(error)
    return RunSummary(
        record.run, record.graph, status, record.began_s, record.ended_s, seconds_of(record), parent, trouble
    )


async def look_at(door: Project, record: RunRecord, folder: Path | None, profile: str | None) -> RunDetails:
    """Everything that is kept of a run, also where its project is gone or its graph has faults now.

    Args:
        door: The project whose book has the run.
        record: What the book says.
        folder: A project's folder instead of the run's.
        profile: Name of a profile instead of the run's.

    Raises:
        CallerError: What is kept of it is damaged.
        OperatorError: The database cannot be read.
    """
    before, now, trouble = record.beginning().identities, None, None
    try:
        own = project_of(record, folder, profile)
        graph = graph_of(own, record)
        now = await identities_of(graph.spec, graph.to_yaml(), own)
    except (AuthorError, CallerError) as error:
        trouble = str(error)
    return RunDetails(
        replace(summarise(door, record), trouble=trouble),
        record,
        read_values(record, record.inputs, door.store),
        None if record.end is None else result_of(record, door.store),
        [_question(door, record, asked) for asked in door.runs.questions(record.run)],
        () if now is None else changes(before, now),
    )


def _question(door: Project, record: RunRecord, asked: AskedQuestion) -> KeptQuestion:
    inputs = read_values(record, asked.inputs, door.store)
    changed = {} if asked.changed is None else read_values(record, asked.changed, door.store)
    return KeptQuestion(asked.node, asked.callee, inputs, asked.asked_s, asked.verdict, asked.why, changed)


def describe_values(values: Mapping[str, Value]) -> dict[str, Any]:
    """Values as JSON, media by their files in the store."""
    return {name: describe(value, _type_of(value), None) for name, value in values.items()}


def _type_of(value: Value) -> PortType:
    first = next((part for part in value if part is not None), None) if isinstance(value, tuple) else value
    if first is None:
        return PortType("data", is_list=isinstance(value, tuple))
    return PortType(first.kind, isinstance(value, tuple), space=getattr(first, "space", None))
