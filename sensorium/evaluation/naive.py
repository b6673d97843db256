"""The baseline: one ask for a whole plan under a JSON Schema, which nobody checks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from sensorium.agent.asking import reply_to
from sensorium.evaluation.outline import Outline
from sensorium.evaluation.planner import Planned
from sensorium.evaluation.taskbench import Sample, TaskBench
from sensorium.model.contract import Ask, Message, Model

__all__ = ["NaivePlanner"]

_MOST_NODES = 12
_PLAN_TOKENS = 800
_SYSTEM = """You plan which tools serve the user's request.
Tools:
{tools}
Reply with JSON: task_nodes are the tools that are needed, and task_links say which tool's output another tool takes."""


@dataclass(frozen=True, slots=True)
class NaivePlanner:
    """A `Planner` that takes the model's first word for it."""

    bench: TaskBench
    model: Model
    examples: tuple[Sample, ...] = ()
    """Shown before the request, each with the plan that is right for it."""

    @property
    def identity(self) -> str:
        """Digest of the model and of what it is asked."""
        ask = self._ask("")
        said = json.dumps([self.model.identity, [message.content for message in ask.messages], ask.schema])
        return hashlib.sha256(said.encode()).hexdigest()

    async def plan(self, request: str) -> Planned:
        """See `Planner.plan`. A reply that its limit of tokens cut off counts as no plan."""
        reply = await reply_to(self.model, self._ask(request))
        return Planned(_outline(reply.text))

    def _ask(self, request: str) -> Ask:
        tools = "\n".join(tool.line(tool.id) for tool in self.bench.tools.values())
        shown = [
            message
            for example in self.examples
            for message in (Message("user", example.request), Message("assistant", _written(example.gold)))
        ]
        system = Message("system", _SYSTEM.replace("{tools}", tools))
        messages = (system, *shown, Message("user", request))
        return Ask(messages, max_tokens=_PLAN_TOKENS, schema=_schema(list(self.bench.tools)))


def _schema(names: list[str]) -> Mapping[str, Any]:
    name = {"type": "string", "enum": names}
    return {
        "type": "object",
        "properties": {
            "task_nodes": _list({"task": name}, least=1),
            "task_links": _list({"source": name, "target": name}, least=0),
        },
        "required": ["task_nodes", "task_links"],
        "additionalProperties": False,
    }


def _list(properties: Mapping[str, Any], *, least: int) -> Mapping[str, Any]:
    element = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "array", "items": element, "minItems": least, "maxItems": _MOST_NODES}


def _written(plan: Outline) -> str:
    told = {
        "task_nodes": [{"task": tool} for tool in plan.in_order],
        "task_links": [{"source": source, "target": target} for source, target in plan.links],
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _outline(text: str) -> Outline:
    try:
        plan = cast("dict[str, list[dict[str, str]]]", json.loads(text))
        return Outline(
            tuple(node["task"] for node in plan["task_nodes"]),
            tuple((link["source"], link["target"]) for link in plan["task_links"]),
        )
    except (ValueError, KeyError, TypeError):
        return Outline()
