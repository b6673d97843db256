"""The bare import stays light."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "opentelemetry", "transformers", "langgraph", "xllamacpp", "onnxruntime", "cv2")


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_sensorium_loads_nothing_else() -> None:
    loaded = loaded_by("import sensorium")
    assert not loaded & {*HEAVY, "pydantic", "numpy", "typer"}


def test_help_loads_no_engine() -> None:
    assert not loaded_by("import sensorium.cli") & set(HEAVY)


def test_the_checker_loads_no_model_library() -> None:
    assert not loaded_by("import sensorium.spec.check") & set(HEAVY)


def test_a_worker_loads_no_engine() -> None:
    loaded = loaded_by("import sensorium.worker")
    assert not loaded & {*HEAVY, "pydantic", "typer", "httpx"}
