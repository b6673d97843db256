"""A folder in the TaskBench format: requests, the plans that are right for them, the tools, and the links allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from sensorium.errors import AuthorError, Fault
from sensorium.evaluation.json_values import Told, read_value, read_values
from sensorium.evaluation.outline import Kind, Link, Outline
from sensorium.spec.nearest import meant
from sensorium.spec.plain import is_list, is_mapping

__all__ = ["DATA", "LINKS", "TOOLS", "BenchTool", "Sample", "TaskBench", "read_taskbench"]

DATA, TOOLS, LINKS = "data.json", "tool_desc.json", "graph_desc.json"
_MOST_FAULTS = 20
_COUNTED = re.compile(r"(step )?\d+\s*[.:)]?\s*", re.IGNORECASE)
"""What stands before the words of a step: `Step 1:`, `2.`"""
_Given = TypeVar("_Given", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class BenchTool:
    """A tool as the data describes it."""

    id: str
    about: str
    takes: tuple[str, ...] = ()
    """Types of what goes in, in order; one may stand there twice."""
    gives: tuple[str, ...] = ()
    """Types of what comes out."""

    def line(self, name: str) -> str:
        """The tool under a name, as a model reads of it; types by the data's own names."""
        ports = f" ({', '.join(self.takes)} -> {', '.join(self.gives)})" if self.takes or self.gives else ""
        return f"- {name}{ports}: {self.about}"


@dataclass(frozen=True, slots=True)
class Sample:
    """A request and the plan that is right for it."""

    id: str
    request: str
    gold: Outline
    kind: Kind
    steps: tuple[str, ...] = ()
    """What the data say of each step in words, in the order of `gold.in_order`; empty where they say it otherwise."""


@dataclass(frozen=True, slots=True)
class TaskBench:
    """A data set."""

    name: str
    """Name of its folder."""
    tools: Mapping[str, BenchTool]
    links: frozenset[Link] | None
    """Every link that is allowed; None where the folder names none."""
    samples: tuple[Sample, ...]

    @property
    def is_typed(self) -> bool:
        """Whether the tools say what they take and give."""
        return any(tool.takes or tool.gives for tool in self.tools.values())

    @property
    def allowed(self) -> frozenset[Link] | None:
        """The links that are allowed: those that are named, else those whose types meet; None where any is."""
        if self.links is not None or not self.is_typed:
            return self.links
        return frozenset(
            (source.id, target.id)
            for source in self.tools.values()
            for target in self.tools.values()
            if set(source.gives) & set(target.takes)
        )


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


_Text = Annotated[str, Field(min_length=1, max_length=20_000, pattern=r"\S")]

_Type = Annotated[str, Field(max_length=40)]


class _Tool(_Read):
    id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
    desc: str = ""
    takes: list[_Type] = Field(default_factory=list[str], validation_alias="input-type")
    gives: list[_Type] = Field(default_factory=list[str], validation_alias="output-type")


class _Link(_Read):
    source: str
    target: str


class _Node(_Read):
    task: str


class _Sample(_Read):
    id: str | int
    request: _Text = Field(validation_alias=AliasChoices("user_request", "instruction"))
    task_nodes: Annotated[list[_Node], Field(min_length=1, max_length=1000)]
    task_links: list[_Link] = []
    task_steps: list[str] = []
    type: Kind | None = None


def read_taskbench(folder: Path) -> TaskBench:
    """The data set in a folder.

    Raises:
        AuthorError: A file is missing or wrong; up to 20 faults, each with file and line.
        OperatorError: A file cannot be read.
    """
    tools = _tools(folder / TOOLS)
    links = _links(folder / LINKS, tools) if (folder / LINKS).exists() else None
    samples = tuple(_samples(folder / DATA, tools))
    if not samples:
        _raise(
            folder / DATA, "there is no sample", "give one JSON object a line: id, user_request, task_nodes, task_links"
        )
    return TaskBench(folder.resolve().name, tools, links, samples)


def _tools(path: Path) -> dict[str, BenchTool]:
    given = _part(path, read_value(path), "nodes")
    read = [_checked(path, Told(0, value), _Tool, f"nodes[{index}]") for index, value in enumerate(given)]
    _raise_repeated(path, [tool.id for tool in read], "tool")
    if not read:
        _raise(path, "there is no tool", 'give {"nodes": [{"id": NAME, "desc": TEXT}, ...]}')
    return {
        tool.id: BenchTool(tool.id, " ".join(tool.desc.split()), _types(tool.takes), _types(tool.gives))
        for tool in read
    }


def _types(told: Iterable[str]) -> tuple[str, ...]:
    """Types by one spelling: some data write `Image` for `image`."""
    return tuple(kind.strip().lower() for kind in told if kind.strip())


def _links(path: Path, tools: Mapping[str, BenchTool]) -> frozenset[Link]:
    given = _part(path, read_value(path), "links")
    read = [_checked(path, Told(0, value), _Link, f"links[{index}]") for index, value in enumerate(given)]
    faults = [
        Fault(str(path), 0, 0, f"links[{index}] names the tool {name!r}, which is not in {TOOLS}", meant(name, tools))
        for index, link in enumerate(read)
        for name in (link.source, link.target)
        if name not in tools
    ]
    if faults:
        raise AuthorError(_first(faults))
    return frozenset((link.source, link.target) for link in read)


def _samples(path: Path, tools: Mapping[str, BenchTool]) -> Iterator[Sample]:
    faults: list[Fault] = []
    first: dict[str, int] = {}
    for told in read_values(path):
        try:
            sample = _sample(path, told, tools)
            if sample.id in first:
                found = f"sample {sample.id!r} stands on line {first[sample.id]} already"
                raise AuthorError([Fault(str(path), told.line, 1, found, "give each sample an id of its own")])
            first[sample.id] = told.line
        except AuthorError as error:
            faults += error.faults
            if len(faults) > _MOST_FAULTS:
                break
        else:
            yield sample
    if faults:
        raise AuthorError(_first(faults))


def _sample(path: Path, told: Told, tools: Mapping[str, BenchTool]) -> Sample:
    read = _checked(path, told, _Sample, "")
    gold = Outline(
        tuple(node.task for node in read.task_nodes), tuple((link.source, link.target) for link in read.task_links)
    )
    faults = [*_unknown(gold, tools), *_loose(gold)]
    if faults:
        raise AuthorError([Fault(str(path), told.line, 1, *fault) for fault in faults])
    steps = tuple(_plain(step, gold.tools) for step in read.task_steps)
    said = steps if len(steps) == len(gold.in_order) and all(steps) else ()
    return Sample(str(read.id), read.request.strip(), gold, read.type or gold.kind, said)


def _plain(step: str, tools: Iterable[str]) -> str:
    """A step without its number and without the name of its tool: it is to say what is wanted, not by what."""
    told = _COUNTED.sub("", step.strip(), count=1)
    for tool in tools:
        named = rf"(\b(?:using|use|with|by|call) )?(the )?['\"]?{re.escape(tool)}['\"]?( tool)?( to\b)?"
        told = re.sub(named, "", told, flags=re.IGNORECASE)
    return " ".join(told.split()).strip(" .,;:")


def _unknown(gold: Outline, tools: Mapping[str, BenchTool]) -> list[tuple[str, str]]:
    absent = [tool for tool in dict.fromkeys(gold.tools) if tool not in tools]
    return [(f"task_nodes name the tool {tool!r}, which is not in {TOOLS}", meant(tool, tools)) for tool in absent]


def _loose(gold: Outline) -> list[tuple[str, str]]:
    absent = [tool for link in gold.links for tool in link if tool not in gold.tools]
    return [
        (f"task_links name {tool!r}, which is not among task_nodes", meant(tool, gold.tools))
        for tool in dict.fromkeys(absent)
    ]


def _part(path: Path, value: Any, key: str) -> Sequence[Any]:
    given: object = value.get(key) if is_mapping(value) else None
    if not is_list(given):
        _raise(path, f"there is no list {key!r}", f'give {{"{key}": [...]}}')
    return given


def _checked(path: Path, told: Told, kind: type[_Given], at: str) -> _Given:
    try:
        return kind.model_validate(told.value)
    except ValidationError as error:
        raise AuthorError([_fault(path, told.line, at, error)]) from error


def _fault(path: Path, line: int, at: str, error: ValidationError) -> Fault:
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join([*([at] if at else []), *(str(step) for step in first["loc"])]) or "the value"
    found = f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}"
    return Fault(str(path), line, 1 if line else 0, found, "docs/evaluation.md has the format")


def _raise_repeated(path: Path, names: Sequence[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            _raise(path, f"{what} {name!r} stands there twice", f"give each {what} once")
        seen.add(name)


def _first(faults: Sequence[Fault]) -> list[Fault]:
    shown = list(faults[:_MOST_FAULTS])
    rest = Fault(shown[0].path, 0, 0, "there are more faults than are shown", "mend these first")
    return [*shown, rest] if len(faults) > _MOST_FAULTS else shown


def _raise(path: Path, found: str, right: str) -> NoReturn:
    raise AuthorError([Fault(str(path), 0, 0, found, right)])
