"""Language models by llama.cpp, on a GGUF file as it is."""

from __future__ import annotations

from pathlib import Path

from sensorium.errors import OperatorError
from sensorium.model.hosted import HostedModel, Placement, bind
from sensorium.model.template import ChatTemplate
from sensorium.spec.projectfile import ModelSetting

__all__ = ["open_llamacpp"]


def open_llamacpp(setting: ModelSetting, place: Placement) -> HostedModel:
    """A model in the only `.gguf` file of a checkpoint.

    Raises:
        OperatorError: xllamacpp is not installed, or the checkpoint has no such file with a chat template.
    """
    binding = bind("llamacpp", "xllamacpp", setting, place)
    return HostedModel(binding, ChatTemplate.from_gguf(_weights(place.checkpoint)), place.host)


def _weights(directory: Path) -> Path:
    found = sorted(directory.glob("*.gguf"))
    if len(found) != 1:
        raise OperatorError(f"{directory} has {len(found)} .gguf files; llama.cpp reads a checkpoint of one")
    return found[0]
