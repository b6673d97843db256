"""Plans as agents make them: typed, checked, never illegal."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sensorium.agent.hand import Hand, Held
from sensorium.agent.planning import Planning, Way
from sensorium.agent.script import Choice, Filling, Script
from sensorium.agent.task import Task
from sensorium.agent.whole import WholePlans
from sensorium.evaluation.at_hand import named_types
from sensorium.evaluation.cards import Cards, port_name, port_type
from sensorium.evaluation.outline import Outline
from sensorium.evaluation.planner import Planned
from sensorium.evaluation.taskbench import Sample, TaskBench
from sensorium.model.contract import Model
from sensorium.spec.agent import ANSWER
from sensorium.spec.wires import InputWire

__all__ = ["TypedPlanner"]

_PROMPT = Path(__file__).parent / "prompt.md"
_MOST_NODES = 12
_STEP_CHARS = 80
_REPAIRS = 0
"""A small model that is told what is wrong with its plan mostly writes the same again, which takes as long again."""


@dataclass(frozen=True)
class TypedPlanner:
    """A `Planner` by `sensorium.agent.planning`."""

    bench: TaskBench
    model: Model
    way: Way
    examples: tuple[Sample, ...] = ()
    """Shown before the request, each with the plan that is right for it."""

    @property
    def identity(self) -> str:
        """Digest of the model, of the words it is asked in, of the tools and their links, and of the way."""
        links = sorted(self.bench.allowed) if self.bench.allowed is not None else None
        tools = [(card.name, card.about, str(card.signature)) for card in self._cards.cards]
        told = [self.model.identity, self.way, _MOST_NODES, _REPAIRS, repr(self._script), tools, links]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    async def plan(self, request: str) -> Planned:
        """See `Planner.plan`."""
        planning = Planning(
            self._script,
            self._cards.cards,
            self.model,
            self._cards.check,
            self.way,
            max_nodes=_MOST_NODES,
            repairs=_REPAIRS,
            leaves_out=True,
        )
        proposal = await planning.propose(self._task(request))
        given = Outline() if proposal.spec is None else self._cards.outline(proposal.spec)
        return Planned(given, tuple(tuple(fault.found for fault in faults) for faults in proposal.refused))

    def _task(self, request: str) -> Task:
        held = [Held(port_type(kind), InputWire(port_name(kind))) for kind in named_types(request, self._types)]
        return Task(request, (), (), Hand(tuple(held)), ())

    @cached_property
    def _types(self) -> tuple[str, ...]:
        """Every type that a tool takes, but text: that is in the request."""
        taken = (kind for tool in self.bench.tools.values() for kind in tool.takes if kind != "text")
        return tuple(dict.fromkeys(taken))

    @cached_property
    def _cards(self) -> Cards:
        return Cards.of(self.bench)

    @cached_property
    def _script(self) -> Script:
        told = Script.parse(_PROMPT.read_text(encoding="utf-8"), str(_PROMPT))
        script = replace(told, planning=told.planning.replace("{tools}", "\n".join(map(self._line, self.bench.tools))))
        return replace(
            script,
            plans=tuple(self._plan(example, script) for example in self.examples),
            choices=tuple(choice for example in self.examples for choice in self._choices(example)),
        )

    def _line(self, tool: str) -> str:
        return self.bench.tools[tool].line(self._cards.names[tool])

    def _plan(self, example: Sample, script: Script) -> Filling:
        """The plan of an example, behind the words that a request is put in."""
        ask = WholePlans(script, self._cards.cards, _MOST_NODES).ask(self._task(example.request))
        tools = example.gold.in_order
        steps = example.steps or tuple(self.bench.tools[tool].about for tool in tools)
        nodes = [
            {"step": step[:_STEP_CHARS], "tool": self._cards.names[tool]}
            for step, tool in zip(steps, tools, strict=True)
        ]
        written = json.dumps({"nodes": nodes}, ensure_ascii=False, separators=(",", ":"))
        return Filling("", ask.messages[-1].content, written)

    def _choices(self, example: Sample) -> list[Choice]:
        """The choices of an example, one after another, and then to answer."""
        names = [self._cards.names[tool] for tool in example.gold.in_order]
        return [Choice(example.request, ", ".join(names[:done]), name) for done, name in enumerate((*names, ANSWER))]
