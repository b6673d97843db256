"""Models of servers that are started here, and of servers that run already."""

from __future__ import annotations

from sensorium.model.hosted import Placement
from sensorium.model.vllm.attached import Attached
from sensorium.model.vllm.client import Waits
from sensorium.model.vllm.endpoints import Attachment, BackOff
from sensorium.model.vllm.model import VllmModel
from sensorium.model.vllm.started import Started, server_binding
from sensorium.spec.projectfile import ModelSetting

__all__ = ["open_attached", "open_started"]


def open_started(setting: ModelSetting, place: Placement) -> VllmModel:
    """A model whose server is started with the first ask, and stays warm as a worker does.

    Raises:
        OperatorError: The checkpoint's directory is gone, or the interpreter has no vLLM.
    """
    servers = Started(server_binding(setting, place), place.host, BackOff())
    return VllmModel(servers, Waits(call_s=place.call_s), is_local=True)


def open_attached(attachment: Attachment, *, back_off: BackOff | None = None, waits: Waits | None = None) -> VllmModel:
    """A model of servers that run already. Nobody is asked before the first ask.

    Raises:
        OperatorError: The profile contradicts itself about the weights.
    """
    return VllmModel(Attached(attachment, back_off or BackOff()), waits or Waits(), is_local=False)
