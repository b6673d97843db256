"""How a run is to go, said by whoever starts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sensorium.events import Event, RunId
from sensorium.parts import Value
from sensorium.spec.ports import PortType

__all__ = ["Approver", "Question", "RunOptions", "Verdict"]


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked before a node with `approve`, or a tool with effects that a model chose, is called."""

    run: RunId
    node: str
    """Path of the node."""
    callee: str
    """`tool send`, `agent assistant` or `graph publish`; `plan` where the agent's plan is asked about."""
    inputs: Mapping[str, Value]
    """What it would be called with, an `each` its list as `$item`; or the `plan`, as a graph file's text."""
    types: Mapping[str, PortType] = field(default_factory=dict[str, PortType])
    """The inputs that the person may change, with what they take."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the person said."""

    is_approved: bool
    why: str = ""
    """Why not, in the person's words."""
    inputs: Mapping[str, object] = field(default_factory=dict[str, object])
    """What the call is to have instead, by input, as `sensorium.admit.Admission.admit` takes it."""


class Approver(Protocol):
    """Asks a person. Other nodes go on while it does."""

    async def ask(self, question: Question) -> Verdict:
        """The person's verdict, however long it takes. A verdict is written down, and its question is not asked again.

        Raises:
            PausedError: Nobody answered; the question stays open, and the run ends as `paused`.
        """
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
    shows_plans: bool = False
    """Whether a person approves the plan of every agent before any of it is carried out, as with `approve: plan`."""
    on_event: Callable[[Event], None] | None = None
    """Sees every event as it happens, in the run's event loop. What it raises is logged and does not fail the run."""
    raise_on_failure: bool = True
    """Whether a run that is not done raises its error, which has the `Result` as `result`."""
    run: RunId | None = None
    """The run's id; a new one where None. A run that is given the id of an earlier one of the graph goes on with it, as
    it is asked now; `Graph.resume` takes the inputs and the seed that it had."""
