"""Language models opened to be measured, in a home of their own that is gone afterwards."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sensorium.errors import CallerError, OperatorError
from sensorium.evaluation.wire_pair import Pair, Party
from sensorium.host import WorkerHost
from sensorium.latent.bridge import Bridge
from sensorium.latent.sealing import Sealer
from sensorium.latent.spaces import End
from sensorium.model.hosted import Placement, bind
from sensorium.model.template import ChatTemplate
from sensorium.model.transformers import TransformersModel
from sensorium.project import Project
from sensorium.project.served import model_device
from sensorium.spec.nearest import meant
from sensorium.spec.plain import is_mapping
from sensorium.spec.projectfile import ModelSetting
from sensorium.store import Store

__all__ = ["opened", "setting_of"]

_PLAIN = (
    "{{ bos_token }}A message, and what is answered when one is asked about it.\n\n"
    "{% for message in messages %}{{ message.content }}\n{% endfor %}Answer:{{ '\\n' }}"
)
"""For a checkpoint that continues text and knows no chat."""
_LAYOUT = "config.json"
"""A checkpoint in the transformers layout has it."""


def setting_of(project: Project, name: str, dtype: str = "auto") -> ModelSetting:
    """How a checkpoint is measured that is called by its name.

    Raises:
        CallerError: There is none of that name, or it is not in the transformers layout.
        OperatorError: It was not pulled.
    """
    if name not in project.manifests:
        raise CallerError(f"there is no checkpoint {name!r}; {meant(name, project.manifests, 'checkpoints here:')}")
    if not (project.checkpoints.directory(name) / _LAYOUT).is_file():
        raise CallerError(
            f"checkpoint {name!r} is not in the transformers layout, and only such models give latents; a manifest "
            f"`of: {name}` with `convert: gguf-to-transformers` makes one of a GGUF file"
        )
    return ModelSetting(checkpoint=name, backend="transformers", dtype=dtype)


@asynccontextmanager
async def opened(project: Project, settings: Sequence[ModelSetting]) -> AsyncGenerator[Pair]:
    """Sender and receiver, warm as long as the block runs. Equal settings are one model, loaded once.

    Raises:
        OperatorError: transformers is not installed, or a checkpoint was not pulled.
        ModelError: A model cannot be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="sensorium-measure-") as folder:
        home = Path(folder)
        store = Store(home / "store")
        host, sealer = WorkerHost(home, store), Sealer(store, home)
        parties: dict[str, Party] = {}
        try:
            for setting in settings:
                key = setting.model_dump_json()
                parties[key] = parties.get(key) or await _party(project, setting, host, sealer)
            sender, receiver = (parties[setting.model_dump_json()] for setting in settings)
            bridges = tuple(_leading(project.bridges, sender.end, receiver.end))
            yield Pair(sender, receiver, sealer, bridges, project.kv_tables(sender.end.weights))
        finally:
            await host.stop()
            await host.close()


def _leading(bridges: Sequence[Bridge], sender: End, receiver: End) -> Iterator[Bridge]:
    for bridge in bridges:
        if bridge.leads(sender.weights, receiver.weights) and bridge.spec.sender.tap.startswith("hidden["):
            yield bridge


async def _party(project: Project, setting: ModelSetting, host: WorkerHost, sealer: Sealer) -> Party:
    name = setting.checkpoint
    assert name is not None, "a model that is measured has a checkpoint"
    directory = project.checkpoints.directory(name)
    digest, device = project.checkpoints.digest(name), model_device(setting)
    place = Placement(directory, digest, host, device, keep_warm_s=0, call_s=1800.0)
    binding = bind("transformers", "transformers", setting, place)
    model = TransformersModel(binding, _template(directory), host, sealer)
    return Party(name, model, await model.end())


def _template(directory: Path) -> ChatTemplate:
    try:
        return ChatTemplate.from_directory(directory)
    except OperatorError:
        return ChatTemplate(_PLAIN, {"bos_token": _begin_token(directory / "tokenizer_config.json")})


def _begin_token(path: Path) -> str:
    """What a text begins with; empty where the tokenizer tells of nothing."""
    config: Any = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    token: object = config.get("bos_token") if is_mapping(config) else None
    return token if isinstance(token, str) else ""
