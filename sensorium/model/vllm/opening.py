"""Models of servers that are started here, and of servers that run already; what a model computes while it reads."""

from __future__ import annotations

from sensorium.model.hosted import Placement
from sensorium.model.vllm.attached import Attached
from sensorium.model.vllm.client import Waits
from sensorium.model.vllm.embeds import EmbedsForm
from sensorium.model.vllm.endpoints import Attachment, BackOff
from sensorium.model.vllm.model import VllmModel
from sensorium.model.vllm.pooling import POOLING_FLAGS, Pooling
from sensorium.model.vllm.pooling_server import PoolingServer
from sensorium.model.vllm.started import Started, server_binding
from sensorium.spec.projectfile import ModelSetting
from sensorium.store import Store

__all__ = ["open_attached", "open_pooling", "open_started"]


def open_started(setting: ModelSetting, place: Placement) -> VllmModel:
    """A model whose server is started with the first ask, and stays warm as a worker does.

    Raises:
        OperatorError: The checkpoint's directory is gone, or the interpreter has no vLLM.
    """
    servers = Started(server_binding(setting, place), place.host, BackOff())
    form = EmbedsForm.of(place.checkpoint, setting.context_tokens)
    return VllmModel(
        servers,
        Waits(call_s=place.call_s),
        is_local=True,
        reads={*setting.reads, "latent"},
        form=form,
        checkpoint=place.digest,
    )


def open_attached(attachment: Attachment, *, back_off: BackOff | None = None, waits: Waits | None = None) -> VllmModel:
    """A model of servers that run already. Nobody is asked before the first ask.

    Raises:
        OperatorError: The profile contradicts itself about the weights.
    """
    servers = Attached(attachment, back_off or BackOff())
    return VllmModel(servers, waits or Waits(), is_local=False, reads=attachment.reads)


def open_pooling(setting: ModelSetting, place: Placement, store: Store) -> Pooling:
    """The hidden states of a model, from a second server on the same weights, which starts with the first text.

    Args:
        setting: What the profile says of the model.
        place: Weights, host, device and the interpreter that has vLLM.
        store: Where the latents go.

    Raises:
        OperatorError: The checkpoint's directory is gone, or the interpreter has no vLLM.
    """
    started = Started(server_binding(setting, place, extra=POOLING_FLAGS), place.host, BackOff())
    form = EmbedsForm.of(place.checkpoint, setting.context_tokens)
    return Pooling(PoolingServer(started, Waits(call_s=place.call_s), form), started.identity, store, form)
