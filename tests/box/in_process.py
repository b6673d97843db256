"""A tool of the box in this process: loaded as a worker loads it, called without a host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

from sensorium.worker import Failed, Progress
from sensorium.worker.folder import Tool, load_tool

__all__ = ["BOX", "Called", "call", "open_tool", "refusal"]

BOX = Path(__file__).resolve().parents[2] / "tools"


class Called(NamedTuple):
    """What came of one call."""

    outputs: dict[str, Any]
    """Empty for a call that failed."""
    failure: Failed | None
    progress: list[Progress]


def open_tool(name: str, **checkpoints: Path) -> Tool:
    """The tool of that name, set up on the CPU."""
    tool = load_tool(name, BOX / name)
    tool.setup({role: str(path) for role, path in checkpoints.items()}, "cpu")
    return tool


def call(tool: Tool, **inputs: object) -> Called:
    """One call, the only one of its batch."""
    answer = tool.run([inputs])
    said: list[object] = (
        [cast("object", answer)] if isinstance(answer, list) else list(cast("Iterator[object]", answer))
    )
    results = cast("list[dict[str, Any] | None]", said.pop())
    assert len(results) == 1, "one result for one call"
    failures = [event for event in said if isinstance(event, Failed)]
    progress = [event for event in said if isinstance(event, Progress)]
    return Called(results[0] or {}, failures[0] if failures else None, progress)


def refusal(tool: Tool, **inputs: object) -> str:
    """Why the call is refused; fails where it is not, or where the caller is not to blame."""
    failure = call(tool, **inputs).failure
    assert failure is not None, "the call was not refused"
    assert failure.kind == "caller", failure
    return failure.why
