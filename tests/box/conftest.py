"""Tests of the box load torch and its like in many processes: those without real weights are `slow`."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and not any(item.get_closest_marker(name) for name in ("models", "vllm")):
            item.add_marker(pytest.mark.slow)
