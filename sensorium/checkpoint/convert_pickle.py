"""A checkpoint in pickle format as safetensors. Only tensors and plain containers are read; nothing in it is run."""

# pyright: reportUnknownVariableType=false
# (safetensors leaves the path's type open)

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file

from sensorium.errors import OperatorError

__all__ = ["PICKLES", "convert"]

PICKLES = {".pth", ".pt", ".ckpt", ".bin"}
_WRAPPERS = ("model", "state_dict", "model_state_dict", "module")
_DEEPEST = 4


def convert(source: Path, target: Path) -> None:
    """Writes `target/model.safetensors` from the only pickle in `source`; names, shapes and dtypes stay.

    Raises:
        OperatorError: There is none or more than one, it holds more than tensors, or no tensors.
    """
    pickles = [path for path in sorted(source.iterdir()) if path.suffix in PICKLES]
    if len(pickles) != 1:
        raise OperatorError(f"{source} holds {len(pickles)} files in pickle format; one is needed")
    tensors = _state(_load(pickles[0]), pickles[0])
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})


def _load(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise OperatorError(
            f"{path} cannot be read as plain weights, and nothing else in it is loaded: {first}"
        ) from error


def _state(loaded: object, path: Path) -> dict[str, torch.Tensor]:
    """The tensors by name, below the wrappers that training programs put around them; shared memory is copied apart."""
    for _ in range(_DEEPEST):
        if not isinstance(loaded, Mapping):
            break
        entries = cast("Mapping[object, object]", loaded)
        tensors = {str(name): value for name, value in entries.items() if isinstance(value, torch.Tensor)}
        if tensors:
            return {name: value.detach().clone().contiguous() for name, value in tensors.items()}
        loaded = next((entries[key] for key in _WRAPPERS if key in entries), None)
    raise OperatorError(f"{path} holds no named tensors, neither by themselves nor under {', '.join(_WRAPPERS)}")
