"""Requests, each with the tool that is right for it: a file with the header `request<TAB>tool`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sensorium.agent.render import has_han
from sensorium.errors import AuthorError, Fault
from sensorium.evaluation.json_values import MOST_LINES, read_text
from sensorium.spec.agent import ANSWER
from sensorium.spec.nearest import meant

__all__ = ["HEADER", "RightTool", "read_requests"]

HEADER = "request\ttool"
_MOST_FAULTS = 20


@dataclass(frozen=True, slots=True)
class RightTool:
    """A request, and the tool that serves it."""

    request: str
    tool: str
    """Name of a tool, or `answer` where words alone serve it."""

    @property
    def language(self) -> str:
        """`zh` where the request has a Chinese character, else `en`."""
        return "zh" if has_han(self.request) else "en"


def read_requests(path: Path, tools: Collection[str]) -> list[RightTool]:
    """The requests of a file.

    Args:
        path: The file.
        tools: Tools that may be right; `answer` always may.

    Raises:
        AuthorError: The file is missing or wrong; up to 20 faults, each with its line.
        OperatorError: It cannot be read.
    """
    lines = read_text(path).split("\n")
    if lines[0].rstrip("\r") != HEADER:
        _refuse(path, 1, f"the first line is {lines[0][:60]!r}", "write the header: request, a tab, tool")
    if len(lines) > MOST_LINES + 2:
        right = f"at most {MOST_LINES:,} are read; take a part of them"
        _refuse(path, MOST_LINES + 2, f"there are more than {MOST_LINES:,} requests", right)
    known = {*tools, ANSWER}
    read, faults, first = list[RightTool](), list[Fault](), dict[str, int]()
    for number, line in _filled(lines):
        fault = _fault(line, known, first)
        if fault is not None:
            faults.append(Fault(str(path), number, 1, *fault))
        else:
            request, tool = line.split("\t")
            first[request] = number
            read.append(RightTool(request, tool))
    if faults:
        raise AuthorError(faults[:_MOST_FAULTS])
    if not read:
        _refuse(path, 2, "there is no request", "write a request, a tab and a tool on each line")
    return read


def _filled(lines: list[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines[1:], 2):
        if line.strip("\r "):
            yield number, line.rstrip("\r")


def _fault(line: str, known: Collection[str], first: dict[str, int]) -> tuple[str, str] | None:
    """What is wrong with a line, and what would be right."""
    request, *rest = line.split("\t")
    if len(rest) != 1:
        return f"the line has {len(rest)} tabs", "write a request, one tab, and a tool"
    if not request.strip():
        return "the request is empty", "write one before the tab"
    if rest[0] not in known:
        return f"there is no tool {rest[0]!r} for the agent", meant(rest[0], sorted(known))
    if request in first:
        return f"the request stands on line {first[request]} already", "keep one of them"
    return None


def _refuse(path: Path, line: int, found: str, right: str) -> NoReturn:
    raise AuthorError([Fault(str(path), line, 1, found, right)])
