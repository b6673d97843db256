"""Graphs of several shapes, whose every call leaves a mark in the outside log."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path

import msgspec
from killing.outside import Outside
from killing.tools import fill

from sensorium.graph import Graph
from sensorium.model.contract import Ask, ModelEvent, Reply
from sensorium.model.scripted import ScriptedModel
from sensorium.testing import Scratch

__all__ = ["INPUTS", "SHAPES", "graph_of", "project_of"]

INPUTS: Mapping[str, object] = {"text": "abcdef"}

_INNER = """
    name: inner
    inputs: {text: text}
    nodes:
      paint: {tool: paint, with: {text: $text}}
      look:  {tool: look, with: {image: $paint.image}}
      act:   {tool: act, with: {text: $look.text}}
    outputs: {text: $act.text, image: $paint.image}
"""

SHAPES: Mapping[str, str] = {
    "chain": """
        name: chain
        inputs: {text: text}
        nodes:
          paint: {tool: paint, with: {text: $text}}
          look:  {tool: look, with: {image: $paint.image}}
          one:   {tool: say, with: {text: $look.text}}
          two:   {tool: say, with: {text: $one.text}}
          three: {tool: say, with: {text: $two.text}}
        outputs: {image: $paint.image, text: $three.text}
    """,
    "each": """
        name: each
        inputs: {text: text}
        nodes:
          split: {tool: split, with: {text: $text}, cache: off}
          paint: {tool: paint, with: {text: $letter}, each: $split.words, as: letter, when: $split.mark != none}
          look:  {tool: look, with: {image: $one}, each: $paint.image, as: one}
          join:  {tool: join, with: {texts: $look.text}}
        outputs: {images: $paint.image, text: $join.text}
    """,
    "diamond": """
        name: diamond
        inputs: {text: text}
        nodes:
          top:    {tool: say, with: {text: $text}}
          left:   {tool: paint, with: {text: $top.text}}
          right:  {tool: say, with: {text: $top.text, more: right}}
          under:  {tool: look, with: {image: $left.image}}
          bottom: {tool: say, with: {text: $under.text, more: $right.text}}
        outputs: {image: $left.image, text: $bottom.text}
    """,
    "agent": """
        name: agent
        inputs: {text: text}
        nodes:
          say:   {tool: say, with: {text: $text}}
          think: {agent: clerk, with: {request: $say.text}}
          after: {tool: say, with: {text: $think.answer, more: $say.text}}
        outputs: {answer: $think.answer, text: $after.text}
    """,
    "retry": """
        name: retry
        inputs: {text: text}
        nodes:
          split: {tool: split, with: {text: $text}}
          slip:  {tool: slip, with: {text: $letter}, each: $split.words, as: letter, retry: 3}
          join:  {tool: join, with: {texts: $slip.text}}
          last:  {tool: slip, with: {text: $join.text}, retry: 3}
          after: {tool: say, with: {text: $last.text}}
        outputs: {text: $after.text}
    """,
    "until": """
        name: until
        inputs: {text: text}
        nodes:
          count:
            tool: count
            with: {text: $text, number: 0}
            until: $self.enough
            at_most: 9
            carry: {number: $self.number}
          other: {tool: say, with: {text: $text}}
          again:
            tool: count
            with: {text: $other.text, number: $count.number}
            until: $self.number > 6
            at_most: 9
            carry: {number: $self.number}
          after: {tool: say, with: {text: $again.mark, more: $other.text}}
        outputs: {number: $again.number, text: $after.text}
    """,
    "graph": """
        name: graph
        inputs: {text: text}
        nodes:
          one:   {graph: inner, with: {text: $text}}
          say:   {tool: say, with: {text: $one.text}}
          two:   {graph: inner, with: {text: $say.text}}
        outputs: {text: $two.text, image: $two.image}
    """,
    "effects": """
        name: effects
        inputs: {text: text}
        nodes:
          one:   {tool: act, with: {text: $text}}
          two:   {tool: send, with: {text: $one.text}}
          three: {tool: act, with: {text: $two.text}}
          side:  {tool: say, with: {text: $one.text}}
          after: {tool: act, with: {text: $side.text}}
          join:  {tool: say, with: {text: $three.text, more: $after.text}}
        outputs: {text: $join.text}
    """,
    "stream": """
        name: stream
        inputs: {text: text}
        nodes:
          split: {tool: split, with: {text: $text}}
          one:   {tool: say, with: {text: $letter}, each: $split.words, as: letter}
          two:   {tool: say, with: {text: $letter, more: again}, each: $one.text, as: letter}
          join:  {tool: join, with: {texts: $two.text}}
        outputs: {words: $two.text, text: $join.text}
    """,
}


def project_of(home: Path, outside: Outside) -> Scratch:
    """A project whose tools run in processes of their own."""
    project = Scratch(home, host="worker")
    fill(project, outside.log, outside.bell)
    project.allowed = frozenset({"send"})
    project.agent("clerk", tools=["say", "send"], inputs={"request": "text"}, outputs={"answer": "text"})
    project.models["central"] = _LoggedModel(outside.note)
    project.graph(_INNER)
    return project


def graph_of(project: Scratch, shape: str) -> Graph:
    """One of the shapes."""
    return project.graph(SHAPES[shape])


class _LoggedModel(ScriptedModel):
    """A scripted model that writes down when it is asked, and when it has answered."""

    def __init__(self, note: Callable[[str, str], None]) -> None:
        super().__init__(_reply)
        self._note = note

    async def ask(self, ask: Ask) -> AsyncGenerator[ModelEvent, None]:
        mark = f"ask {hashlib.sha256(msgspec.json.encode(ask)).hexdigest()[:12]}"
        self._note("begin", mark)
        async for event in super().ask(ask):
            if isinstance(event, Reply):
                self._note("end", mark)
            yield event


def _reply(ask: Ask) -> str:
    """Says something, then sends it, then answers."""
    told = ask.messages[-1].content
    if ask.choices:
        return "answer" if "send)" in told else "send" if "(done: say" in told else "say"
    return '{"text": "clerk"}' if ask.schema else "It was sent."
