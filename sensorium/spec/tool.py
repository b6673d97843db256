"""A tool's `tool.yaml`."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from sensorium.spec.declared import CheckpointName, Declared, Name, PortName, TypeText
from sensorium.spec.ports import IDEMPOTENCY_KEY, PortType, Signature

__all__ = ["BatchSpec", "OutputSpec", "ToolSpec"]


class BatchSpec(Declared):
    """How calls are gathered before they go to `run` together."""

    max: Annotated[int, Field(ge=1, le=1024)] = 1
    """Most calls in a batch."""
    wait_ms: Annotated[float, Field(ge=0, le=10_000)] = 0
    """How long the first call waits for others, in milliseconds."""


class OutputSpec(Declared):
    """An output written out in full."""

    type: TypeText
    twin: PortName | None = None
    """The text output that says the same as this latent."""


class ToolSpec(Declared):
    """What a tool is, takes and gives."""

    name: Name
    about: Annotated[str, Field(min_length=1, max_length=2000)]
    """What a language model reads when it chooses a tool."""
    inputs: dict[PortName, TypeText]
    outputs: Annotated[dict[PortName, TypeText | OutputSpec], Field(min_length=1)]
    batch: BatchSpec = BatchSpec()
    checkpoints: dict[Name, CheckpointName] = {}
    """The checkpoint for each role, unless a profile names another."""
    languages: list[str] | None = None
    """Languages that the tool knows, as ISO 639-1 codes; None when language does not matter to it."""
    environment: str | None = None
    """A requirements file beside `tool.yaml`: the tool then runs in a virtual environment of its own."""
    effects: bool = False
    """Whether the tool acts on the world outside: such a call is never reused, asks a person first when a language
    model chose it, and brings its `idempotency_key`, the same where the call is made again after a crash."""

    @model_validator(mode="after")
    def _leaves_the_key_free(self) -> Self:
        if self.effects and IDEMPOTENCY_KEY in self.inputs:
            raise ValueError(f"a tool with effects gets {IDEMPOTENCY_KEY!r} besides its inputs; choose another name")
        return self

    @property
    def signature(self) -> Signature:
        """Parsed ports."""
        outputs = {
            port: PortType.parse(declared.type if isinstance(declared, OutputSpec) else declared)
            for port, declared in self.outputs.items()
        }
        return Signature({port: PortType.parse(text) for port, text in self.inputs.items()}, outputs)

    @property
    def twins(self) -> dict[str, str]:
        """The text output that stands in for each latent output that has one."""
        return {
            port: declared.twin
            for port, declared in self.outputs.items()
            if isinstance(declared, OutputSpec) and declared.twin is not None
        }
