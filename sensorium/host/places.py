"""Whether what a tool is loaded from is there."""

from __future__ import annotations

from sensorium.errors import OperatorError
from sensorium.host.contract import Binding

__all__ = ["check_places"]


def check_places(binding: Binding) -> None:
    """Nothing, when folder, checkpoints and interpreter of a tool are where they are said to be.

    Raises:
        OperatorError: One is missing.
    """
    name = binding.spec.name
    if not (binding.folder / "worker.py").is_file():
        raise OperatorError(f"tool {name}: {binding.folder} holds no worker.py; put the tool's folder back")
    for role, path in binding.checkpoints.items():
        if not path.is_dir():
            raise OperatorError(
                f"tool {name}: the checkpoint for {role} is missing from {path}; run `sensorium models pull`"
            )
    if binding.python is not None and not binding.python.exists():
        raise OperatorError(
            f"tool {name}: its interpreter {binding.python} is missing; run `sensorium models pull {name}`"
        )
