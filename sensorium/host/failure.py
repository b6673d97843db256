"""What a tool's failure is to the engine: an error whose type says who must act."""

from __future__ import annotations

from sensorium.errors import (
    CallerError,
    DeadlineError,
    LanguageError,
    LatentError,
    OperatorError,
    SensoriumError,
    ToolError,
)
from sensorium.spec.tool import ToolSpec
from sensorium.worker.frames import FailureKind

__all__ = ["deadline_error", "failure_error"]


def failure_error(spec: ToolSpec, kind: FailureKind, why: str, *, can_retry: bool = False) -> SensoriumError:
    """The error for a failure that the tool, or its process, tells of."""
    message = f"tool {spec.name}: {why}"
    match kind:
        case "caller":
            return CallerError(message, can_retry=can_retry)
        case "language":
            known = ", ".join(spec.languages or ())
            return LanguageError(f"{message}; it knows {known}" if known else message, can_retry=can_retry)
        case "latent":
            return LatentError(message, can_retry=can_retry)
        case "operator":
            return OperatorError(message, can_retry=can_retry)
        case "tool":
            return ToolError(message, can_retry=can_retry)


def deadline_error(spec: ToolSpec, seconds: float, doing: str) -> DeadlineError:
    """The error for a call that took too long."""
    return DeadlineError(
        f"tool {spec.name}: {doing} after {seconds:g} s, its deadline; allow more time, or give it less to do",
        can_retry=True,
    )
