"""The contract of every host: where a tool lives, and how it is called."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from sensorium.parts import Blob, Part, Value
from sensorium.spec.tool import ToolSpec

__all__ = ["Binding", "BlobStore", "Done", "Host", "HostEvent", "Item", "Progress", "WorkerState"]


class BlobStore(Protocol):
    """Where a host puts the media that tools make."""

    def put(self, data: bytes, media_type: str) -> Blob:
        """A reference to `data`, which is on the disk when this returns. Called from several threads at once.

        Raises:
            OperatorError: The disk is full or cannot be written.
        """
        ...


@dataclass(frozen=True, slots=True)
class Binding:
    """A tool with all that a profile decides about it."""

    spec: ToolSpec
    folder: Path
    """The folder that holds `worker.py`."""
    folder_digest: str
    """SHA-256 over the folder's files."""
    checkpoints: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Directory of the checkpoint for each role."""
    checkpoint_digests: Mapping[str, str] = field(default_factory=dict[str, str])
    """Identity of the checkpoint for each role."""
    device: str = "cpu"
    """`cpu` or `cuda:N`."""
    python: Path | None = None
    """Interpreter of the tool's own environment; None for the engine's."""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """Environment variables for the worker's process."""
    keep_warm_s: float = 300.0
    """How long a worker outlives the last host that was connected to it; 0: it ends with that host."""
    setup_s: float = 300.0
    """How long `setup` may take."""
    call_s: float = 900.0
    """How long a call may take where nobody says, counted from when `run` has it: waiting for its turn is free."""

    @property
    def weights(self) -> str:
        """Identity of what makes the tool's latents: SHA-256 of its checkpoints; that of the tool where it has none."""
        if not self.checkpoint_digests:
            return self.identity
        lines = [f"{role}={digest}" for role, digest in sorted(self.checkpoint_digests.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def identity(self) -> str:
        """SHA-256 of what decides the result of a call: folder, checkpoints, runtime, device kind, settings."""
        lines = [
            self.folder_digest,
            *(f"{role}={digest}" for role, digest in sorted(self.checkpoint_digests.items())),
            str(self.python or "engine"),
            self.device.split(":")[0],
            *(f"{name}={value}" for name, value in sorted(self.settings.items())),
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Progress:
    """A call has come this far."""

    share: float
    """0 to 1."""
    note: str = ""
    is_loading: bool = False
    """Whether the tool is still being made ready, as the note says; a last one without a note says that it is."""


@dataclass(frozen=True, slots=True)
class Item:
    """One element of a list output."""

    port: str
    part: Part


@dataclass(frozen=True, slots=True)
class Done:
    """A call's outputs: the last event of a call."""

    outputs: dict[str, Value]
    seconds: float
    """Time in the tool's `run`, shared among the calls of a batch."""


HostEvent: TypeAlias = Progress | Item | Done


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker as `models ps` shows it."""

    tool: str
    identity: str
    pid: int | None
    """None for a tool that lives in this process."""
    device: str
    started_s: float
    """Seconds since the epoch."""
    idle_s: float
    calls: int
    memory_bytes: int


class Host(Protocol):
    """Where tools live.

    Calls may be made at once from many tasks; the host gathers them into batches as the tool declares. Its queue is
    bounded. Cancelling the task that iterates over `call` cancels the call; it reaches the tool between two yields
    of its `run`, and after a grace time ends its process.
    """

    async def load(self, binding: Binding) -> None:
        """Makes the tool ready for calls.

        Raises:
            ToolError: `setup` raised, ended the process, or took longer than `binding.setup_s`.
            OperatorError: A checkpoint's directory or the environment is missing.
        """
        ...

    def call(
        self, binding: Binding, inputs: Mapping[str, Value], *, key: str, deadline_s: float | None = None
    ) -> AsyncIterator[HostEvent]:
        """Events of one call; the last is `Done`.

        Args:
            binding: The tool; loaded first where it is not.
            inputs: Value of each input port; list ports hold tuples.
            key: Identity of the call, the same when the call is made again. A tool that acts on the world is given it.
            deadline_s: Seconds that the call may take from now, loading and waiting included; `binding.call_s` for
                its time in `run` alone where None.

        Raises:
            CallerError: The tool refuses the input; LanguageError where it is a matter of language.
            ToolError: The tool failed, or its answer does not fit its ports; `can_retry` as the tool says.
            DeadlineError: The deadline passed.
        """
        ...

    async def unload(self, binding: Binding) -> None:
        """Ends the tool's worker, if it has one."""
        ...

    async def health(self, binding: Binding) -> bool:
        """Whether the tool is loaded and answers."""
        ...

    async def stats(self) -> list[WorkerState]:
        """The workers that this host knows of."""
        ...

    async def close(self) -> None:
        """Lets go of every connection. Workers that are to stay warm stay."""
        ...
