"""What can go wrong. The type says who must act; the message says what happened, where, and what would be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = [
    "AuthorError",
    "CallerError",
    "Cancelled",
    "DeadlineError",
    "Fault",
    "InternalError",
    "LanguageError",
    "LatentError",
    "ModelError",
    "OperatorError",
    "PausedError",
    "RefusedError",
    "SensoriumError",
    "ToolError",
]


class SensoriumError(Exception):
    """Base of every error that Sensorium raises on purpose."""

    kind: ClassVar[str] = "internal"
    """Stands in `error.kind` of JSON output."""
    exit_code: ClassVar[int] = 1
    """What the command line exits with."""
    can_retry: bool = False
    """Whether the same call may succeed when it is made again."""
    node: str = ""
    """Path of the node in whose call it came up; empty outside a run."""
    result: Any = None
    """The `sensorium.graph.Result` of the run that it ended, with what outputs could be had; None outside a run."""

    def __init__(self, message: str, *, can_retry: bool = False) -> None:
        super().__init__(message)
        self.can_retry = can_retry

    @property
    def message(self) -> str:
        """The message, whole."""
        return str(self)


class InternalError(SensoriumError):
    """Our own fault."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a declared file."""

    path: str
    """The file, as the author would name it; empty for a graph built in Python."""
    line: int
    """Counted from 1; 0 where there is no file."""
    column: int
    """Counted from 1; 0 where there is no file."""
    found: str
    """What was found."""
    right: str
    """What would be right, with the nearest name where there is one."""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}: " if self.line else (f"{self.path}: " if self.path else "")
        return f"{place}{self.found}; {self.right}" if self.right else f"{place}{self.found}"


class AuthorError(SensoriumError):
    """The author of a graph, tool, agent or project file must act. Holds every fault that was found."""

    kind = "author"
    exit_code = 2

    def __init__(self, faults: Sequence[Fault] | str) -> None:
        self.faults: tuple[Fault, ...] = (Fault("", 0, 0, faults, ""),) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class CallerError(SensoriumError):
    """Whoever gave the input must act: bad usage, file or media."""

    kind = "caller"
    exit_code = 2


class LanguageError(CallerError):
    """The input is in a language that the tool does not know."""

    kind = "language"


class LatentError(CallerError):
    """A latent is not one that its reader can take; it may go another way."""

    kind = "latent"


class RefusedError(SensoriumError):
    """A person refused."""

    kind = "refused"
    exit_code = 3


class ToolError(SensoriumError):
    """A tool failed; its author or operator must act."""

    kind = "tool"
    exit_code = 4


class DeadlineError(ToolError):
    """A deadline passed before the call was done."""

    kind = "deadline"


class ModelError(SensoriumError):
    """A language model failed, or said what nothing can be made of."""

    kind = "model"
    exit_code = 4


class OperatorError(SensoriumError):
    """The operator must act: a checkpoint, service, disk or permission is missing."""

    kind = "operator"
    exit_code = 5


class PausedError(SensoriumError):
    """The run waits for a person."""

    kind = "paused"
    exit_code = 6


class Cancelled(SensoriumError):
    """The run was interrupted."""

    kind = "cancelled"
    exit_code = 130
