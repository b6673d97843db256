"""The first tool that an agent would call, with every tool legal."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NoReturn, cast

from sensorium.agent import Agent, Card, Script
from sensorium.agent.task import Call
from sensorium.errors import CallerError, Fault
from sensorium.model.contract import Ask, Model, ModelEvent, Preparing, Reply, Usage
from sensorium.parts import Audio, Boxes, Image, Masks, Points, Segment, Segments, Text, Value
from sensorium.spec.agent import ANSWER, AgentSpec
from sensorium.spec.catalogue import AgentEntry
from sensorium.spec.graph import GraphSpec
from sensorium.store import Store

__all__ = ["FirstTool"]

_MADE_UP = ("image", "audio", "masks", "boxes", "points", "segments")


class FirstTool:
    """An agent that is stopped at its first call, and every part that its tools take at hand.

    Args:
        entry: The agent.
        cards: The tools that it may call.
        model: Its language model.
        store: Where the made-up parts lie; nobody opens them.

    Raises:
        CallerError: The agent takes no request as text.
    """

    def __init__(self, entry: AgentEntry, cards: Sequence[Card], model: Model, store: Store) -> None:
        texts = [port for port, kind in entry.spec.signature.inputs.items() if kind.kind == "text"]
        if not texts:
            raise CallerError(f"agent {entry.spec.name!r} takes no text, so that nothing can be asked of it")
        self._port = "request" if "request" in texts else texts[0]
        self._parts = _at_hand(cards, store)
        self._recorder = _Recorder(tuple(cards))
        self.heard = _Choices(model)
        script = Script.parse(entry.prompt, str(entry.folder / "prompt.md"))
        self._agent = Agent(_widened(entry.spec, self._parts), script, self.heard, self._recorder)

    async def choose(self, request: str) -> str:
        """The name of the tool, or `answer`.

        Raises:
            ModelError: The model failed.
            CallerError: The request does not fit into its context.
            OperatorError: It is missing.
        """
        try:
            await self._agent.work({self._port: Text(request), **self._parts})
        except _FirstCall as call:
            return str(call)
        return ANSWER


class _FirstCall(Exception):
    """The agent calls the tool of this name; that is all that is asked here."""


@dataclass(frozen=True, slots=True)
class _Recorder:
    """A toolbox that never gives anything."""

    cards: tuple[Card, ...]

    async def call(self, name: str, inputs: Mapping[str, Value]) -> dict[str, Value]:
        raise _FirstCall(name)

    def check(self, plan: GraphSpec) -> Sequence[Fault]:
        _stop(plan)

    async def approved(self, plan: GraphSpec) -> GraphSpec:
        _stop(plan)

    async def carry_out(self, plan: GraphSpec, inputs: Mapping[str, Value]) -> list[Call]:
        _stop(plan)

    def tell_plan(self, plan: GraphSpec | None, faults: Sequence[Fault] = ()) -> None:
        if plan is not None and not faults:
            _stop(plan)


def _stop(plan: GraphSpec) -> NoReturn:
    first = next(iter(plan.nodes.values()))
    raise _FirstCall(first.callee[1])


@dataclass(slots=True)
class _Choices:
    """The model, but for replies whose words nobody looks at here."""

    model: Model
    num_illegal: int = 0
    """Choices that were none of those allowed."""
    seconds: list[float] = field(default_factory=list[float])
    """Of each choice."""

    @property
    def identity(self) -> str:
        return self.model.identity

    @property
    def reads(self) -> frozenset[str]:
        """Nothing: the parts at hand are made up."""
        return frozenset()

    def prompt(self, ask: Ask) -> str:
        return self.model.prompt(ask)

    async def ask(self, ask: Ask) -> AsyncGenerator[ModelEvent, None]:
        """Asks the model for choices; a text is what the schema wants, an answer is empty."""
        if ask.choices is None:
            names = (ask.schema or {}).get("required", [])
            yield Reply(json.dumps(dict.fromkeys(names, "x")), Usage(0, 0), "stop")
            return
        began_s = perf_counter()
        async with aclosing(cast("Any", self.model.ask(ask))) as events:
            async for event in events:
                if isinstance(event, Reply):
                    self.seconds.append(perf_counter() - began_s)
                    self.num_illegal += event.text not in ask.choices
                if not isinstance(event, Preparing):
                    yield event

    async def close(self) -> None:
        """Nothing: the model belongs to somebody else."""


def _widened(spec: AgentSpec, parts: Mapping[str, Value]) -> AgentSpec:
    """The agent, with an optional input for each part that it takes not already."""
    further = {port: f"{port}?" for port in parts if port not in spec.inputs}
    return spec.model_copy(update={"inputs": {**spec.inputs, **further}})


def _at_hand(cards: Sequence[Card], store: Store) -> dict[str, Value]:
    """A part of each kind that a tool takes and no model writes."""
    blob = store.put(b"nothing here is opened", "application/octet-stream")
    made: dict[str, Value] = {
        "image": Image(blob, 640, 480),
        "audio": Audio(blob, 4.0, 16000),
        "masks": Masks(blob, 1, 480, 640),
        "boxes": Boxes(((10.0, 10.0, 90.0, 90.0),)),
        "points": Points(((10.0, 10.0),)),
        "segments": Segments((Segment(0.0, 1.0, "hello"),)),
    }
    taken = {kind.kind for card in cards for kind in card.signature.inputs.values()}
    return {kind: made[kind] for kind in _MADE_UP if kind in taken}
