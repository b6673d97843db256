"""A turn of a conversation: what the user asked, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from sensorium.errors import InternalError, SensoriumError
from sensorium.events import RunId, RunStatus
from sensorium.graph import ErrorReport, Result
from sensorium.parts import Audio, Image, Masks, Text, Value
from sensorium.project.session import SessionMessage

__all__ = ["Turn", "TurnStatus", "gather"]

TurnStatus: TypeAlias = RunStatus | Literal["interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A request and what came of it."""

    request: str
    at_hand: dict[str, Value]
    """What the user had attached, by port of the graph."""
    run: RunId | None
    """The run that answers; None where it is not known."""
    status: TurnStatus = "interrupted"
    """How the run ended; `interrupted` where its end was not kept: it goes on still, or its process was killed."""
    answer: str = ""
    media: dict[str, Value] = field(default_factory=dict[str, Value])
    """Pictures, sounds and masks that came with the answer, by output of the graph."""
    gave: tuple[tuple[str, str], ...] = ()
    """What tools gave its agents, as their model was told: tool and text."""
    error: ErrorReport | None = None

    @property
    def messages(self) -> Iterator[SessionMessage]:
        """The turn as a session keeps it: the user's message, and the assistant's where the end is known."""
        yield SessionMessage(role="user", text=self.request, parts=self.at_hand, run=self.run)
        if self.status != "interrupted":
            yield self.reply(self.status)

    def reply(self, status: RunStatus) -> SessionMessage:
        """The assistant's message."""
        return SessionMessage(
            role="assistant",
            text=self.answer,
            parts=self.media,
            run=self.run,
            status=status,
            gave=self.gave,
            error=self.error,
        )

    def ended(self, result: Result) -> Turn:
        """The turn with what its run gave."""
        answer = result.outputs.get("answer")
        return replace(
            self,
            status=result.status,
            answer=answer.value if isinstance(answer, Text) else "",
            media={port: part for port, part in result.outputs.items() if isinstance(part, Image | Audio | Masks)},
            error=result.error,
        )

    def stopped(self, why: BaseException) -> Turn:
        """The turn whose run gave nothing, or raised: cancelled where `why` is no error."""
        if not isinstance(why, Exception):
            return replace(self, status="cancelled")
        if isinstance(why, SensoriumError):
            if isinstance(why.result, Result):
                return self.ended(why.result)
            return replace(self, status="failed", error=ErrorReport(why.kind, str(why), why.node))
        told = ErrorReport(InternalError.kind, f"{type(why).__name__}: {why}", "")
        return replace(self, status="failed", error=told)


def gather(messages: Iterable[SessionMessage], before: Mapping[str, Turn]) -> dict[str, Turn]:
    """Turns in the order in which they began, by run, or by their number where that is not known.

    Turns of several processes may lie between each other. A request that is known already stays as it is, and a reply
    whose request is gone counts for nothing.

    Args:
        messages: As a session gives them.
        before: Turns that earlier messages gave.
    """
    turns = dict(before)
    unnamed = ""
    for message in messages:
        if message.role == "user":
            unnamed = unnamed if message.run else f"#{len(turns)}"
            turns.setdefault(message.run or unnamed, Turn(request=message.text, at_hand=message.parts, run=message.run))
        elif (key := message.run or unnamed) in turns:
            turns[key] = replace(
                turns[key],
                status=message.status,
                answer=message.text,
                media=message.parts,
                gave=message.gave,
                error=message.error,
            )
    return turns
