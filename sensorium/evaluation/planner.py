"""Who is asked for plans, and what becomes of one request."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from sensorium.evaluation.outline import Outline
from sensorium.model.contract import Ask, Model, ModelEvent, Preparing, Reply

__all__ = ["Listener", "Planned", "Planner"]


@dataclass(frozen=True, slots=True)
class Planned:
    """What one request led to."""

    given: Outline
    """The plan in the end; empty where there is none."""
    refused: tuple[tuple[str, ...], ...] = ()
    """What the checker found in each plan that it refused before, in order."""


class Planner(Protocol):
    """Makes plans for requests."""

    @property
    def identity(self) -> str:
        """Digest of all that decides its plans, but the request: equal identities, equal greedy plans."""
        ...

    async def plan(self, request: str) -> Planned:
        """The plan for a request. Nothing is called.

        Raises:
            ModelError: The model failed.
            CallerError: The request does not fit into the model's context.
            OperatorError: The model's checkpoint or service is missing.
        """
        ...


@dataclass(slots=True)
class Listener:
    """A `Model` that passes every ask on to another, and keeps the replies since `forget`."""

    model: Model
    replies: list[Reply] = field(default_factory=list[Reply])

    @property
    def identity(self) -> str:
        """That of the model."""
        return self.model.identity

    @property
    def reads(self) -> frozenset[str]:
        """Those of the model."""
        return self.model.reads

    def prompt(self, ask: Ask) -> str:
        """That of the model."""
        return self.model.prompt(ask)

    async def ask(self, ask: Ask) -> AsyncGenerator[ModelEvent, None]:
        """The model's own events, but for those of its preparation."""
        async with aclosing(cast("Any", self.model.ask(ask))) as events:
            async for event in events:
                if isinstance(event, Reply):
                    self.replies.append(event)
                if not isinstance(event, Preparing):
                    yield event

    async def close(self) -> None:
        """Nothing: the model belongs to somebody else."""

    def forget(self) -> None:
        """Begins anew."""
        self.replies.clear()
