"""A language model whose heavy half lives in a worker's process, warm between commands like every tool."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from sensorium.errors import DeadlineError, ModelError, OperatorError, ToolError
from sensorium.host.contract import Binding, Done, Host, HostEvent, Item, Progress
from sensorium.model.contract import Ask, ModelEvent, Piece, Preparing, Reply, Usage, require_readable
from sensorium.model.template import ChatTemplate
from sensorium.parts import Data, Text, Value, values_digest
from sensorium.spec.projectfile import ModelSetting
from sensorium.spec.read import read_tool

__all__ = ["HostedModel", "Placement", "bind", "replies", "settings_of", "worker_binding"]

_WORKERS = Path(__file__).parent / "workers"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model's weights and its worker live."""

    checkpoint: Path
    """Directory of the weights."""
    digest: str
    """Identity of the weights."""
    host: Host
    device: str = "cpu"
    """`cpu` or `cuda:N`."""
    keep_warm_s: float = 300.0
    setup_s: float = 300.0
    call_s: float = 900.0
    python: Path | None = None
    """Interpreter of the backend's own environment; None for the engine's."""


def bind(backend: str, package: str, setting: ModelSetting, place: Placement) -> Binding:
    """The worker of a backend with all that is decided about it.

    Raises:
        OperatorError: The package that runs the model is not installed, or the checkpoint's directory is gone.
    """
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise OperatorError(
            f"backend {backend!r} needs the package {package}; install it with: pip install 'sensorium[box]'"
        ) from error
    own = {"SENSORIUM_CONTEXT_TOKENS": str(setting.context_tokens), "SENSORIUM_DTYPE": setting.dtype}
    return worker_binding(backend, f"{package} {version}", own, place)


def worker_binding(backend: str, runtime: str, settings: dict[str, str], place: Placement) -> Binding:
    """The worker of a backend.

    Args:
        backend: Name of its folder.
        runtime: What runs the model, and its version.
        settings: Environment variables for its process.
        place: Where weights and worker live.

    Raises:
        OperatorError: The checkpoint's directory is gone.
    """
    if not place.checkpoint.is_dir():
        raise OperatorError(f"the checkpoint's directory {place.checkpoint} is gone; run: sensorium models pull")
    folder = _WORKERS / backend
    return Binding(
        spec=read_tool(folder),
        folder=folder,
        folder_digest=_digest(folder),
        checkpoints={"weights": place.checkpoint},
        checkpoint_digests={"weights": place.digest},
        device=place.device,
        python=place.python,
        settings={**settings, "SENSORIUM_RUNTIME": runtime},
        keep_warm_s=place.keep_warm_s,
        setup_s=place.setup_s,
        call_s=place.call_s,
    )


class HostedModel:
    """A `Model` that asks a worker.

    Args:
        binding: The worker: input ports `prompt` and `settings`, output ports `text`, `pieces` and `report`.
        template: How messages become the prompt.
        host: Where the worker lives.
    """

    def __init__(self, binding: Binding, template: ChatTemplate, host: Host) -> None:
        self.binding = binding
        self.template = template
        self.host = host

    @property
    def identity(self) -> str:
        """Digest of the weights, the runtime and its settings."""
        return self.binding.identity

    @property
    def reads(self) -> frozenset[str]:
        """Text alone."""
        return frozenset()

    def prompt(self, ask: Ask) -> str:
        """Exactly what `ask` sends, as text."""
        return self.template.render(ask.messages)

    async def ask(self, ask: Ask) -> AsyncGenerator[ModelEvent, None]:
        """See `Model.ask`."""
        require_readable(ask, self.reads)
        async with aclosing(self._call(self.prompt(ask), settings_of(ask))) as events:
            async for event in replies(events):
                yield event

    async def _call(
        self, prompt: str, settings: dict[str, Any], more: Mapping[str, Value] | None = None
    ) -> AsyncGenerator[HostEvent, None]:
        inputs: dict[str, Value] = {"prompt": Text(prompt), "settings": Data(settings), **(more or {})}
        key = values_digest({"identity": Text(self.identity), **inputs})
        try:
            async for event in self.host.call(self.binding, inputs, key=key):
                yield event
        except DeadlineError:
            raise
        except ToolError as error:
            raise ModelError(f"the language model failed: {error}", can_retry=error.can_retry) from error

    async def close(self) -> None:
        """Lets go of the model; its worker stays warm."""


async def replies(events: AsyncGenerator[HostEvent, None]) -> AsyncGenerator[ModelEvent, None]:
    """What a worker's events tell of a reply."""
    async for event in events:
        match event:
            case Item("pieces", Text(piece)):
                yield Piece(piece)
            case Progress(share, note, is_loading):
                yield Preparing(share, note, is_loading)
            case Done(outputs):
                yield _reply(outputs)
            case _:
                pass


def settings_of(ask: Ask) -> dict[str, Any]:
    """What a worker is told of an ask, beside its prompt."""
    settings: dict[str, Any] = {"max_tokens": ask.max_tokens, "temperature": ask.temperature, "stop": list(ask.stop)}
    schema = None if ask.form is None else json.dumps(ask.form)  # data may lose the order in which its keys stand
    given = {"seed": ask.seed, "choices": list(ask.choices) if ask.choices else None, "schema": schema}
    return settings | {name: value for name, value in given.items() if value is not None}


def _reply(outputs: dict[str, Value]) -> Reply:
    text, report = outputs.get("text"), outputs.get("report")
    if not isinstance(text, Text) or not isinstance(report, Data):
        raise ModelError("the language model's worker gave no text and report")
    told = cast("dict[str, Any]", report.value)
    finish: Literal["stop", "length"] = "length" if told["finish"] == "length" else "stop"
    return Reply(text.value, Usage(**told["usage"]), finish, {str(k): float(v) for k, v in told["scores"].items()})


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    shared = [_WORKERS.parent / name for name in ("choosing.py", "cores.py", "../latent/recipe.py")]
    for path in (*sorted(folder.glob("*")), *shared):
        if path.is_file():
            digest.update(f"{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
