"""Language models behind one Protocol. The heavy half of each runs in a worker's process."""

from __future__ import annotations

from pathlib import Path

from sensorium.errors import OperatorError
from sensorium.host.contract import Host
from sensorium.model.contract import Model
from sensorium.model.hosted import HostedModel, Placement
from sensorium.model.llamacpp import open_llamacpp
from sensorium.model.transformers import TransformersModel, open_transformers
from sensorium.spec.projectfile import ModelSetting

__all__ = ["HostedModel", "Placement", "TransformersModel", "open_model"]


def open_model(
    role: str,
    setting: ModelSetting,
    *,
    checkpoint: Path,
    digest: str,
    host: Host,
    device: str = "cpu",
    keep_warm_s: float = 300.0,
    setup_s: float = 300.0,
    call_s: float = 900.0,
) -> Model:
    """The model that serves `role`. Nothing is loaded before the first ask.

    Args:
        role: Role of the profile, for messages.
        setting: What the profile says of it.
        checkpoint: Directory of its weights.
        digest: Identity of the weights.
        host: Where its worker lives.
        device: `cpu` or `cuda:N`.
        keep_warm_s: How long the idle worker outlives its last ask.
        setup_s: How long loading may take.
        call_s: How long a reply may take.

    Raises:
        OperatorError: The backend is not there, or cannot read the checkpoint.
    """
    place = Placement(checkpoint, digest, host, device, keep_warm_s, setup_s, call_s)
    if setting.backend == "llamacpp":
        return open_llamacpp(setting, place)
    if setting.backend == "transformers":
        return open_transformers(setting, place)
    raise OperatorError(
        f"the profile serves role {role!r} by backend {setting.backend!r}, which this version does not have; "
        "backends here: llamacpp, transformers, scripted"
    )
