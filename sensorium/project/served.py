"""What a profile says of a language model that vLLM serves, with the variables of the environment in place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sensorium.checkpoint import Checkpoints
from sensorium.errors import OperatorError
from sensorium.model import VLLM_REQUIREMENTS
from sensorium.model.vllm.endpoints import Attachment, Endpoint
from sensorium.project.profiles import choose_device
from sensorium.spec.projectfile import ModelSetting
from sensorium.spec.read import expand_environment

__all__ = ["attachment_of", "is_attached", "model_device", "model_requirements"]

_VARIABLE = re.compile(r"\$\{env:([^}]*)\}")


def is_attached(setting: ModelSetting, environ: Mapping[str, str]) -> bool:
    """Whether the model is served by servers that run already."""
    return bool(_urls(setting, environ))


def attachment_of(setting: ModelSetting, checkpoints: Checkpoints, environ: Mapping[str, str]) -> Attachment | None:
    """The servers that run already; None for a model that is not served by such.

    Raises:
        AuthorError: A variable is not set, and no checkpoint says what to serve instead.
        OperatorError: A URL is none.
    """
    urls = _urls(setting, environ)
    if not urls:
        return None
    key = _told(setting.key, environ)
    served = _told(setting.served, environ)
    if served is None and setting.checkpoint is None and setting.served is not None:
        expand_environment(setting.served, environ)  # which tells of the variable that is not set
    digest = None if setting.checkpoint is None else checkpoints.digest(setting.checkpoint)
    endpoints = tuple(Endpoint.at(url, key, name) for name, url in urls.items())
    return Attachment(endpoints, served, setting.checkpoint, digest, frozenset(setting.reads))


def model_requirements(setting: ModelSetting) -> Path | None:
    """The requirements of the environment that is made for a model's server; None where none is."""
    return VLLM_REQUIREMENTS if setting.backend == "vllm" and setting.environment is None else None


def model_device(setting: ModelSetting) -> str:
    """`cpu` or `cuda:N`. The environment that is made here serves on the CPU.

    Raises:
        OperatorError: A GPU is wanted, and no environment that can use it is named.
    """
    if model_requirements(setting) is None:
        return choose_device(setting.device)
    if setting.device not in ("auto", "cpu"):
        raise OperatorError(
            f"the profile wants a server of vLLM on {setting.device}, and the environment that `sensorium models pull` "
            "makes has vLLM for the CPU; name a Python that has vLLM for the GPU by environment: in the profile"
        )
    return "cpu"


def _urls(setting: ModelSetting, environ: Mapping[str, str]) -> dict[str, str]:
    """URLs by how the profile writes them, without those that count as absent."""
    if setting.checkpoint is None:
        return {text: expand_environment(text, environ) for text in setting.urls}
    told = {text: _told(text, environ) for text in setting.urls}
    return {text: url for text, url in told.items() if url is not None}


def _told(text: str | None, environ: Mapping[str, str]) -> str | None:
    """The text with its variables in place; None where one is not set, or is empty."""
    if text is None or any(not environ.get(name) for name in _VARIABLE.findall(text)):
        return None
    return expand_environment(text, environ)
