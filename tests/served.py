"""The Python that starts servers of vLLM in tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sensorium.errors import OperatorError
from sensorium.host.environment import Environments
from sensorium.model import VLLM_REQUIREMENTS
from sensorium.project.folders import home_folder

__all__ = ["vllm_python"]


def vllm_python() -> Path:
    """`SENSORIUM_VLLM_PYTHON`, else that of the environment made for the box; with neither, the test is skipped."""
    told = os.environ.get("SENSORIUM_VLLM_PYTHON")
    if told:
        return Path(told)
    try:
        return Environments(home_folder()).python(VLLM_REQUIREMENTS)
    except OperatorError as error:
        pytest.skip(str(error))
