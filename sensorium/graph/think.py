"""An agent at work in a run."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from sensorium.agent import Agent, Script
from sensorium.errors import AuthorError
from sensorium.events import HistoryTrimmed, TextPiece
from sensorium.graph.ask import RunModel
from sensorium.graph.cross import CrossedModel, settle_wires
from sensorium.graph.flow import Settle
from sensorium.graph.leaf import CallContext
from sensorium.graph.toolbox import RunToolbox
from sensorium.parts import Text, Value
from sensorium.spec.agent import SENTENCES
from sensorium.spec.catalogue import AgentEntry
from sensorium.spec.graph import WireSpec

__all__ = ["think"]

_MOST_DEEP = 4
"""Most agents at work for each other, one within the next."""


async def think(
    context: CallContext,
    entry: AgentEntry,
    inputs: Mapping[str, Value],
    settle: Settle,
    *,
    shows_plan: bool = False,
    wires: Mapping[str, WireSpec] | None = None,
) -> dict[str, Value]:
    """A value for each of the agent's outputs. The answer goes to `context` as it comes, by pieces and sentences.

    Args:
        context: Where in the run the agent is.
        entry: The agent.
        inputs: A value for each of its inputs; an optional one may be missing.
        settle: Carries out the nodes of its plans.
        shows_plan: Whether a person approves its plan before any of it is carried out.
        wires: What the graph says of its latent inputs, by port.

    Raises:
        AuthorError: The agent's file names what it cannot call, too many agents work for each other, or what a person
            made of the plan has faults.
        ModelError: The model failed.
        CallerError: The request does not fit into the model's context, or a latent input has no text.
        OperatorError: The model is missing.
        RefusedError: A person refused the plan.
        PausedError: A call, or the plan, waits for a person.
    """
    _require_shallow(context, entry.spec.name)
    model = await context.services.model(entry.spec.model)
    asked = RunModel(context, model, entry.spec.model)
    crossing = await settle_wires(asked, inputs, wires or {})
    crossed = CrossedModel(asked, crossing)
    numbers = count()
    agent = Agent(
        entry.spec,
        Script.parse(entry.prompt, str(entry.folder / "prompt.md")),
        crossed,
        RunToolbox.of(context, entry, settle),
        lambda piece: context.emit(TextPiece(context.run, context.node, piece)),
        lambda sentence: context.pass_on(SENTENCES, next(numbers), Text(sentence)),
        crossed.hold,
        context.services.way(entry.spec.model),
        shows_plan or context.shows_plans,
        lambda left_out, why: context.emit(HistoryTrimmed(context.run, context.node, left_out, why)),
    )
    return await agent.work(crossing.inputs(inputs))


def _require_shallow(context: CallContext, name: str) -> None:
    if len(context.agents) >= _MOST_DEEP:
        trail = " → ".join((*context.agents, name))
        raise AuthorError(
            f"{context.node}: {len(context.agents) + 1} agents work for each other ({trail}), and at most {_MOST_DEEP} "
            "may; have one of them call its tools itself"
        )
