"""How a run is to go, said by whoever starts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sensorium.events import Event, RunId
from sensorium.parts import Value

__all__ = ["Approver", "Question", "RunOptions", "Verdict"]


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked before a node with `approve` is called."""

    run: RunId
    node: str
    """Path of the node."""
    callee: str
    """`tool send`, `agent assistant` or `graph publish`."""
    inputs: Mapping[str, Value]
    """What it would be called with."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the person said."""

    is_approved: bool
    why: str = ""
    """Why not, in the person's words."""


class Approver(Protocol):
    """Asks a person. Other nodes go on while it does."""

    async def ask(self, question: Question) -> Verdict:
        """The person's verdict, however long it takes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run is to go."""

    seed: int | None = None
    """Seed of everything that draws lots; None leaves language models at temperature 0 and others free."""
    fresh: bool = False
    """Whether results of earlier runs are left aside."""
    approver: Approver | None = None
    """Who asks a person; without one, a run that needs a person ends as `paused`."""
    on_event: Callable[[Event], None] | None = None
    """Sees every event as it happens, in the run's event loop. What it raises is logged and does not fail the run."""
    raise_on_failure: bool = True
    """Whether a run that is not done raises its error, which has the `Result` as `result`."""
    run: RunId | None = None
    """The run's id; a new one where None. A run that is given the id of an earlier one goes on with it."""
