"""Language models behind one Protocol. The heavy half of each runs in a worker's process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sensorium.errors import OperatorError
from sensorium.host.contract import Host
from sensorium.latent.sealing import Sealer
from sensorium.model.contract import Model
from sensorium.model.hosted import HostedModel, Placement
from sensorium.model.llamacpp import open_llamacpp
from sensorium.model.transformers import TransformersModel, open_transformers
from sensorium.spec.projectfile import ModelSetting

if TYPE_CHECKING:
    from sensorium.model.vllm.endpoints import Attachment

__all__ = ["VLLM_REQUIREMENTS", "HostedModel", "Placement", "TransformersModel", "open_attached", "open_model"]

VLLM_REQUIREMENTS = Path(__file__).parent / "workers" / "vllm" / "requirements.txt"
"""What the environment of a server of vLLM holds, where a profile names none: its build for the CPU."""


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
    python: Path | None = None,
    sealer: Sealer | None = None,
) -> Model:
    """The model of a checkpoint that serves `role`. Nothing is loaded before the first ask.

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
        python: Interpreter of an environment of its own; vllm has one.
        sealer: Seals what crosses latent wires; transformers wants it.

    Raises:
        OperatorError: The backend is not there, or cannot read the checkpoint.
    """
    place = Placement(checkpoint, digest, host, device, keep_warm_s, setup_s, call_s, python)
    if setting.backend == "llamacpp":
        return open_llamacpp(setting, place)
    if setting.backend == "transformers":
        assert sealer is not None, "whoever opens a model of transformers brings what seals its latents"
        return open_transformers(setting, place, sealer)
    if setting.backend == "vllm":
        # Its HTTP client would cost every command a tenth of a second.
        from sensorium.model.vllm.opening import open_started

        return open_started(setting, place)
    raise OperatorError(
        f"the profile serves role {role!r} by backend {setting.backend!r}, which reads no checkpoint; backends that "
        "do: llamacpp, transformers, vllm"
    )


def open_attached(attachment: Attachment, *, call_s: float = 900.0) -> Model:
    """The model that servers serve which run already. Nobody is asked before the first ask.

    Raises:
        OperatorError: The profile contradicts itself about the weights.
    """
    # Likewise.
    from sensorium.model.vllm.client import Waits
    from sensorium.model.vllm.opening import open_attached as open_servers

    return open_servers(attachment, waits=Waits(call_s=call_s))
