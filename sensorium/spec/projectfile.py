"""`sensorium.yaml`: a project's profiles and checkpoints."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sensorium.spec.declared import CheckpointName, Declared, FlagName, Name
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
    plan: Literal["steps", "whole", "calls"] = "steps"
    """How agents plan: one choice at a time, all calls in one reply, or one call at a time."""
    context_tokens: Annotated[int, Field(ge=256)] = 8192
    reads: list[Literal["image", "audio", "latent"]] = []
    """What the model takes beside text, so that an agent's pictures and sounds reach it as they are. A server that is
    started here takes latents whether or not it is said."""
    urls: list[Annotated[str, Field(min_length=1)]] = []
    """vllm: where servers run already, each best as `${env:NAME}`. One whose variable is not set counts as absent where
    a checkpoint is named; where all are absent, a server is started on the checkpoint."""
    key: Annotated[str, Field(min_length=1)] | None = None
    """vllm: what those servers are shown, best as `${env:NAME}`; none where the variable is not set."""
    served: Annotated[str, Field(min_length=1)] | None = None
    """vllm: the model that those servers have to serve; the checkpoint's name where it is absent."""
    flags: dict[FlagName, bool | int | float | str] = {}
    """vllm: options of the server that is started: `max-num-seqs: 8` is `--max-num-seqs 8`, true a bare option."""
    environment: str | None = None
    """vllm: the Python that starts the server; absent, that of the environment that `models pull` makes."""

    @model_validator(mode="after")
    def _has_voice(self) -> ModelSetting:
        is_scripted = self.backend == "scripted"
        has_weights = self.checkpoint is not None or (self.backend == "vllm" and bool(self.urls))
        if is_scripted != bool(self.replies) or is_scripted == has_weights:
            raise ValueError(
                "a model has a checkpoint, or is backend: vllm with urls: [URL, ...], or backend: scripted with "
                "replies: [TEXT, ...]"
            )
        return self

    @model_validator(mode="after")
    def _says_what_its_backend_reads(self) -> ModelSetting:
        told = {"urls": self.urls, "key": self.key, "served": self.served, "flags": self.flags}
        extra = [name for name, value in {**told, "environment": self.environment}.items() if value]
        if extra and self.backend != "vllm":
            raise ValueError(f"{', '.join(extra)} is for backend: vllm; backend {self.backend} has no server")
        if self.urls and self.checkpoint is None and self.served is None:
            raise ValueError("urls without a checkpoint want served: NAME, the model that the servers have to serve")
        if (self.key or self.served) and not self.urls:
            raise ValueError("key and served are for servers that run already; write urls: [URL, ...] too")
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
