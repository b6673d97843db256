"""An agent's `prompt.md`: everything that a model is told, in sections that people can read and change."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sensorium.errors import AuthorError, Fault
from sensorium.spec.plain import is_list, is_mapping

__all__ = ["Answered", "Choice", "Filling", "Script"]

SECTIONS = (
    "Role", "Choosing", "Choices", "Filling", "Fillings", "Results", "Answers", "Outputs", "Further", "Planning",
    "Plans", "Repairing", "Calling",
)  # fmt: skip
_HEADING = re.compile(r"^## +(.+?) *$", re.MULTILINE)
_GIVEN = re.compile(r"(\w+): (.+?) \| (.+)")
_DEFAULTS = Path(__file__).parent / "prompt.md"


@dataclass(frozen=True, slots=True)
class Choice:
    """An example of a choice."""

    request: str
    done: str
    """Names of the tools that were called before, with commas between; empty for the first choice."""
    tool: str


@dataclass(frozen=True, slots=True)
class Filling:
    """An example of what a model writes."""

    tool: str
    """The tool whose ports are filled; empty for the agent's own outputs."""
    request: str
    written: str
    """JSON."""
    given: tuple[str, str] | None = None
    """A port of the agent that the model is shown before the request, and what it holds in the example."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An example of an answer from what a tool gave."""

    tool: str
    result: str
    request: str
    answer: str


@dataclass(frozen=True, slots=True)
class Script:
    """What stands in a `prompt.md`. A section that is not there is that of `sensorium/agent/prompt.md`."""

    role: str
    """Who the agent is and how it answers."""
    choosing: str
    """How it chooses; `{tools}` stands for a line on each tool."""
    choices: tuple[Choice, ...]
    filling: str
    """How it writes a tool's inputs; `{tool}` and `{about}` stand for the tool."""
    fillings: tuple[Filling, ...]
    results: str
    """How results are told; `{results}` stands for them."""
    answers: tuple[Answered, ...]
    outputs: str
    """How it writes its further outputs; `{ports}` stands for them."""
    further: tuple[Filling, ...]
    """A port that an example gives is shown to the model: an input, or what the agent has just said."""
    planning: str
    """How it plans; `{tools}` stands for a line on each tool."""
    plans: tuple[Filling, ...]
    """Examples of whole plans: `written` is the JSON of one."""
    repairing: str
    """How it is told what is wrong with a plan; `{faults}` stands for it."""
    calling: str
    """How it names a tool and writes what it needs in one reply; `{tools}` stands for a line on each."""

    @classmethod
    def parse(cls, text: str, path: str = "prompt.md") -> Script:
        """The script in the text of a `prompt.md`. Text before the first `## ` heading is the role.

        Raises:
            AuthorError: A heading is none of the sections, or an example cannot be read.
        """
        own = _sections(text, path)
        told = _defaults() | {name: body for name, body in own.items() if body}
        return cls(
            told["Role"],
            told["Choosing"],
            tuple(_choice(line, path) for line in _lines(told["Choices"])),
            told["Filling"],
            tuple(_filling(line, path) for line in _lines(told["Fillings"])),
            told["Results"],
            tuple(_answered(line, path) for line in _lines(told["Answers"])),
            told["Outputs"],
            tuple(_further(line, path) for line in _lines(told["Further"])),
            told["Planning"],
            tuple(_plan(line, path) for line in _lines(told["Plans"])),
            told["Repairing"],
            told["Calling"],
        )


@cache
def _defaults() -> dict[str, str]:
    return _sections(_DEFAULTS.read_text(encoding="utf-8"), str(_DEFAULTS))


def _sections(text: str, path: str) -> dict[str, str]:
    pieces = _HEADING.split(text)
    sections = dict.fromkeys(SECTIONS, "") | {"Role": pieces[0].strip()}
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        if name not in SECTIONS:
            found = f"section {name!r} is unknown"
            raise AuthorError([Fault(path, _line_of(text, name), 1, found, f"sections are {', '.join(SECTIONS)}")])
        sections[name] = body.strip()
    return sections


def _line_of(text: str, heading: str) -> int:
    lines = enumerate(text.splitlines(), 1)
    return next(number for number, line in lines if line.startswith("## ") and heading in line)


def _lines(text: str) -> Sequence[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _choice(line: str, path: str) -> Choice:
    before, tool = _halves(line, path, "REQUEST => TOOL, or REQUEST | after TOOL, TOOL => TOOL")
    request, _, done = before.partition(" | after ")
    return Choice(request.strip(), done.strip(), tool)


def _filling(line: str, path: str) -> Filling:
    before, written = _halves(line, path, "TOOL | REQUEST => JSON")
    tool, _, request = before.partition(" | ")
    return Filling(tool.strip(), request.strip(), _compact(written, path))


def _answered(line: str, path: str) -> Answered:
    right = "TOOL: RESULT | REQUEST => ANSWER"
    before, answer = _halves(line, path, right)
    given, bar, request = before.partition(" | ")
    tool, colon, result = given.partition(": ")
    if not bar or not colon:
        raise AuthorError([Fault(path, 0, 0, f"example {line!r} cannot be read", f"write {right}")])
    return Answered(tool.strip(), result.strip(), request.strip(), answer)


def _further(line: str, path: str) -> Filling:
    before, written = _halves(line, path, "REQUEST => JSON, or PORT: TEXT | REQUEST => JSON")
    if found := _GIVEN.fullmatch(before):
        port, text, request = found.groups()
        return Filling("", request, _compact(written, path), (port, text))
    return Filling("", before, _compact(written, path))


def _plan(line: str, path: str) -> Filling:
    found = _further(line, path)
    told = json.loads(found.written)
    nodes = told.get("nodes") if is_mapping(told) else None
    if not is_list(nodes) or not all(is_mapping(call) and isinstance(call.get("tool"), str) for call in nodes):
        right = 'write REQUEST => {"nodes": [{"tool": NAME, PORT: VALUE}, ...]}'
        raise AuthorError([Fault(path, 0, 0, f"example {line!r} holds no plan", right)])
    return found


def _compact(written: str, path: str) -> str:
    """JSON without free space, as constrained decoding writes it: an example that is spelt otherwise misleads."""
    try:
        return json.dumps(json.loads(written), ensure_ascii=False, separators=(",", ":"))
    except ValueError as error:
        raise AuthorError([Fault(path, 0, 0, f"example {written!r} is not JSON", str(error))]) from error


def _halves(line: str, path: str, right: str) -> tuple[str, str]:
    before, arrow, after = line.rpartition(" => ")
    if not arrow:
        raise AuthorError([Fault(path, 0, 0, f"example {line!r} cannot be read", f"write {right}")])
    return before.strip(), after.strip()
