"""An agent's `agent.yaml`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from sensorium.spec.declared import CalleeName, Declared, Name, PortName, TypeText
from sensorium.spec.ports import CONTEXT, PortType, Signature

__all__ = ["ANSWER", "SENTENCES", "AgentLimits", "AgentSpec"]

ANSWER = "answer"
SENTENCES = "sentences"
"""The list output that holds the sentences of the answer, passed on while it is written."""

_DEFAULT_INPUTS = {"request": "text", "image": "image?", "audio": "audio?", "history": "data?"}


class AgentLimits(Declared):
    """What an agent may spend on one request."""

    steps: Annotated[int, Field(ge=1, le=100)] = 6
    """Most tool calls, and most calls of a plan."""
    repairs: Annotated[int, Field(ge=0, le=20)] = 2
    """How often a model that proposed a plan which cannot be carried out is told why, and proposes another."""
    answer_tokens: Annotated[int, Field(ge=1, le=32_768)] = 400
    """Most tokens of an answer."""
    thoughts: Annotated[int, Field(ge=0, le=1024)] = 0
    """Steps that the model thinks before it hands on what it holds: rows that it computed, and that are no words."""


class AgentSpec(Declared):
    """A language model with a role, and the tools that it may call. Its prompt stands in `prompt.md` beside it."""

    name: Name
    about: Annotated[str, Field(min_length=1, max_length=2000)]
    model: Name = "central"
    """A role of the profile."""
    tools: list[CalleeName] = []
    """Tools, agents' graphs and graphs that the agent may call."""
    limits: AgentLimits = AgentLimits()
    inputs: dict[PortName, TypeText] = _DEFAULT_INPUTS
    outputs: Annotated[dict[PortName, TypeText], Field(min_length=1)] = {ANSWER: "text"}
    """A list is filled in one case alone: `sentences: "[text]"`, beside `answer: text`. A `latent(lm.context)` is what
    the model holds once it has read the inputs, as they stand."""

    @property
    def signature(self) -> Signature:
        """Parsed ports."""
        return Signature(
            {port: PortType.parse(text) for port, text in self.inputs.items()},
            {port: PortType.parse(text) for port, text in self.outputs.items()},
        )

    @property
    def context_port(self) -> str | None:
        """The output that is what the model holds."""
        outputs = self.signature.outputs.items()
        return next((port for port, given in outputs if given.space == CONTEXT), None)

    @model_validator(mode="after")
    def _thinks_for_somebody(self) -> AgentSpec:
        held = [port for port, given in self.signature.outputs.items() if given.space == CONTEXT]
        if len(held) > 1:
            raise ValueError(f"outputs {' and '.join(held)} are {CONTEXT}, and an agent holds one; leave one")
        if self.limits.thoughts and not held:
            raise ValueError(f"limits.thoughts is for an agent that hands on what it holds; add an output of {CONTEXT}")
        return self

    @property
    def has_sentences(self) -> bool:
        """Whether the agent gives the sentences of its answer."""
        given = self.signature.outputs.get(SENTENCES)
        return given is not None and given.is_list

    @model_validator(mode="after")
    def _check_lists(self) -> AgentSpec:
        outputs = self.signature.outputs
        for port, given in outputs.items():
            if given.is_list and (port, given.kind) != (SENTENCES, "text"):
                raise ValueError(
                    f"output {port!r} is {given}, which an agent cannot fill; its only list is {SENTENCES}: "
                    '"[text]", the sentences of its answer'
                )
        if self.has_sentences and outputs.get(ANSWER) != PortType("text"):
            raise ValueError(f"output {SENTENCES!r} holds the sentences of the answer; add {ANSWER}: text")
        return self
