"""Language models by transformers, on a checkpoint directory; these give latents."""

from __future__ import annotations

from dataclasses import dataclass

from sensorium.errors import ModelError
from sensorium.host.contract import Done
from sensorium.model.hosted import HostedModel, Placement, bind
from sensorium.model.template import ChatTemplate
from sensorium.parts import Latent
from sensorium.spec.projectfile import ModelSetting

__all__ = ["Reading", "TransformersModel", "open_transformers"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model computed while it read a text, one row for each token."""

    embeds: Latent
    """Input embeddings, [tokens, width], space `lm.embeds`."""
    hidden: Latent
    """The last layer's hidden states, [tokens, width], space `lm.hidden`."""


class TransformersModel(HostedModel):
    """A `Model` that also gives the latents of what it reads."""

    async def read(self, text: str) -> Reading:
        """The latents of a text, which is read as it stands, without a chat template.

        Raises:
            ModelError: The model failed.
            CallerError: The text does not fit into the model's context.
        """
        async for event in self._call(text, {"latents": True}):
            if isinstance(event, Done):
                embeds, hidden = event.outputs.get("embeds"), event.outputs.get("hidden")
                if isinstance(embeds, Latent) and isinstance(hidden, Latent):
                    return Reading(embeds, hidden)
        raise ModelError("the language model's worker gave no latents")


def open_transformers(setting: ModelSetting, place: Placement) -> TransformersModel:
    """A model in a directory of the transformers layout.

    Raises:
        OperatorError: transformers is not installed, or the checkpoint has no chat template.
    """
    binding = bind("transformers", "transformers", setting, place)
    return TransformersModel(binding, ChatTemplate.from_directory(place.checkpoint), place.host)
