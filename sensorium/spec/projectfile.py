"""`sensorium.yaml`: a project's profiles and checkpoints."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sensorium.spec.declared import CheckpointName, Declared, Name
from sensorium.spec.manifest import Manifest

__all__ = ["Limits", "ModelSetting", "Profile", "ProjectFile", "ToolSetting"]


class ModelSetting(Declared):
    """Which language model serves a role."""

    checkpoint: CheckpointName | None = None
    backend: Literal["llamacpp", "transformers", "vllm", "scripted"] = "llamacpp"
    replies: list[str] = []
    """What a scripted model says, in order: for tests of graphs without weights."""
    device: str = "auto"
    dtype: str = "auto"
    plan: Literal["steps", "whole"] = "steps"
    context_tokens: Annotated[int, Field(ge=256)] = 8192
    reads: list[Literal["image", "audio"]] = []
    """What the model takes beside text, so that an agent's pictures and sounds reach it as they are."""

    @model_validator(mode="after")
    def _has_voice(self) -> ModelSetting:
        if (self.backend == "scripted") != (self.checkpoint is None) or (self.backend == "scripted") != bool(
            self.replies
        ):
            raise ValueError("a model has a checkpoint, or is backend: scripted with replies: [TEXT, ...]")
        return self


class ToolSetting(Declared):
    """Where and with what a tool runs."""

    checkpoint: CheckpointName | dict[Name, CheckpointName] | None = None
    """A checkpoint for the tool's only role, or one for each role."""
    host: Literal["inline", "worker", "ray", "remote"] = "worker"
    device: str = "auto"
    environment: str | None = None
    """A requirements file in the tool's folder, or the path of a Python."""
    replicas: Annotated[int, Field(ge=1)] = 1


class Limits(Declared):
    """What a profile may spend."""

    keep_warm_s: Annotated[float, Field(ge=0)] | None = None
    """How long an idle worker outlives its last call, in seconds; 300 where no profile says."""
    setup_s: Annotated[float, Field(gt=0)] | None = None
    """How long a tool may take to load; 300 where no profile says."""
    call_s: Annotated[float, Field(gt=0)] | None = None
    """How long a call may take where its node sets no timeout; 900 where no profile says."""
    parallel: Annotated[int, Field(ge=1)] | None = None
    """Most calls at once in one run; 16 where no profile says."""
    store_days: Annotated[float, Field(ge=0)] | None = None
    """How long `store gc` leaves what runs made after they ended, in days; 30 where no profile says."""
    store_gb: Annotated[float, Field(ge=0)] | None = None
    """How large the store may be after `store gc`, in 10^9 bytes; as large as it is where no profile says."""


class Profile(Declared):
    """Which checkpoint serves which role, on which host and device."""

    extends: Name | None = None
    models: dict[Name, ModelSetting] = {}
    tools: dict[Name, ToolSetting] = {}
    limits: Limits = Limits()
    database: Annotated[str, Field(min_length=1)] | None = None
    """URL of a PostgreSQL database, best as `${env:NAME}`, or the path of an SQLite file."""
    allow: list[Name] = []
    """Tools with effects that a language model may call without asking a person."""


class ProjectFile(Declared):
    """A project file as it is written."""

    sensorium: Literal[1]
    name: Name
    profile: Name | None = None
    profiles: dict[Name, Profile] = {}
    checkpoints: dict[CheckpointName, Manifest] = {}
