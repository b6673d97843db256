"""Language models by transformers, on a checkpoint directory; these give latents and take them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt

from sensorium.errors import ModelError
from sensorium.host.contract import Binding, Done, Host, HostEvent
from sensorium.latent.sealing import Sealer, as_frame
from sensorium.latent.spaces import End
from sensorium.model.contract import Ask, Held, Message, ModelEvent, Usage, require_readable
from sensorium.model.hosted import HostedModel, Placement, bind, replies, settings_of
from sensorium.model.latent_prompt import Prompt, prompt_of, whole_recipe
from sensorium.model.template import ChatTemplate
from sensorium.parts import Data, Latent, Value
from sensorium.spec.projectfile import ModelSetting

__all__ = ["Score", "TransformersModel", "open_transformers"]


@dataclass(frozen=True, slots=True)
class Score:
    """How likely a text is behind a prompt."""

    logs: tuple[float, ...]
    """Logarithm of the probability of each of its tokens."""
    likeliest: tuple[int, ...]
    """For each, the token that the model itself would have said."""
    usage: Usage
    logits: npt.NDArray[np.float32] | None
    """[tokens, vocabulary], where they were asked for."""


class TransformersModel(HostedModel):
    """A `Model` that gives what it computed, and takes what such a model computed.

    Args:
        binding: See `HostedModel`.
        template: See `HostedModel`.
        host: See `HostedModel`.
        sealer: Seals what crosses.
    """

    def __init__(self, binding: Binding, template: ChatTemplate, host: Host, sealer: Sealer) -> None:
        super().__init__(binding, template, host)
        self.sealer = sealer
        self._end: End | None = None

    @property
    def reads(self) -> frozenset[str]:
        """Latents, beside text."""
        return frozenset({"latent"})

    async def end(self) -> End:
        """See `Holder.end`."""
        if self._end is None:
            outputs = await self._outputs(Prompt(("",), ()), {"do": "tell"})
            told = _report(outputs)
            told["rope"] = tuple(told["rope"])
            self._end = End(**told, checkpoint=self.binding.checkpoint_digests["weights"])
        return self._end

    def prompt(self, ask: Ask) -> str:
        """Exactly what `ask` sends, as text; a latent stands in it by its space and rung."""
        return prompt_of(self.template, ask.messages).shown

    async def ask(self, ask: Ask) -> AsyncGenerator[ModelEvent, None]:
        """See `Model.ask`. The rung of a message's latents is settled: they lie in frames, or cross as their twin.

        Raises:
            LatentError: A latent is not one that this model can take.
        """
        require_readable(ask, self.reads)
        prompt = prompt_of(self.template, ask.messages)
        async with aclosing(self._events(prompt, settings_of(ask))) as events:
            async for event in replies(events):
                yield event

    def open_prompt(self, messages: Sequence[Message]) -> str:
        """See `Holder.open_prompt`."""
        return prompt_of(self.template, messages, is_open=True).shown

    async def hold(self, messages: Sequence[Message], *, thoughts: int = 0) -> Held:
        """See `Holder.hold`."""
        return await self._held(prompt_of(self.template, messages, is_open=True), thoughts)

    async def reading(self, text: str) -> Held:
        """What the model holds when it has read a text as it stands, without a chat template.

        Raises:
            ModelError: It failed.
            CallerError: The text does not fit into its context, or is empty.
        """
        return await self._held(Prompt((text,), ()), 0)

    async def _held(self, prompt: Prompt, thoughts: int) -> Held:
        end = await self.end()
        outputs = await self._outputs(prompt, {"do": "hold", "thoughts": thoughts})
        recipe = outputs.get("recipe")
        if not isinstance(recipe, Latent):
            raise ModelError("the language model's worker told of nothing that it holds")
        entries, rows = whole_recipe(recipe.load(), prompt.latents, self.sealer, end.weights)
        context = self.sealer.context(
            entries, rows, weights=end.weights, runtime=end.runtime, chunks=end.chunks, checkpoint=end.checkpoint
        )
        return Held(context, Usage(**_report(outputs)["usage"]))

    async def give(self, context: Latent, space: str) -> Latent:
        """See `Holder.give`."""
        crossing = msgspec.structs.replace(context, rung="recipe", frame=self.sealer.recipe(context))
        frame = (await self._outputs(Prompt((0,), (crossing,)), {"do": "give", "space": space})).get("frame")
        if not isinstance(frame, Latent):
            raise ModelError("the language model's worker gave no frame")
        return frame

    async def score(
        self,
        messages: Sequence[Message],
        text: str,
        *,
        is_open: bool = False,
        logits: bool = False,
        fresh: bool = False,
    ) -> Score:
        """How likely `text` is behind messages.

        Args:
            messages: What is read before it.
            text: What is scored; not empty.
            is_open: Whether the text goes on with the last message, and is no reply to it.
            logits: Whether all logits are given too.
            fresh: Whether everything is read anew, whatever the model still holds.

        Raises:
            ModelError: The model failed.
            CallerError: Messages and text do not fit into its context, or the text is empty; `LatentError` where a
                latent is none that it takes.
        """
        prompt = prompt_of(self.template, messages, is_open=is_open)
        settings = {"do": "score", "text": text, "logits": logits, "fresh": fresh}
        outputs = await self._outputs(prompt, settings)
        told, given = _report(outputs), outputs.get("logits")
        array = given.load() if isinstance(given, Latent) else None
        return Score(tuple(told["logs"]), tuple(told["likeliest"]), Usage(**told["usage"]), array)

    def _events(self, prompt: Prompt, settings: dict[str, Any]) -> AsyncGenerator[HostEvent, None]:
        frames: dict[str, Value] = {"frames": tuple(map(as_frame, prompt.latents))} if prompt.latents else {}
        return self._call(prompt.shown, {**settings, "segments": list(prompt.segments)}, frames)

    async def _outputs(self, prompt: Prompt, settings: dict[str, Any]) -> dict[str, Value]:
        async with aclosing(self._events(prompt, settings)) as events:
            async for event in events:
                if isinstance(event, Done):
                    return event.outputs
        raise ModelError("the language model's worker ended a call without a result")


def _report(outputs: dict[str, Value]) -> dict[str, Any]:
    report = outputs.get("report")
    if not isinstance(report, Data):
        raise ModelError("the language model's worker gave no report")
    return cast("dict[str, Any]", report.value)


def open_transformers(setting: ModelSetting, place: Placement, sealer: Sealer) -> TransformersModel:
    """A model in a directory of the transformers layout.

    Raises:
        OperatorError: transformers is not installed, or the checkpoint has no chat template.
    """
    binding = bind("transformers", "transformers", setting, place)
    return TransformersModel(binding, ChatTemplate.from_directory(place.checkpoint), place.host, sealer)
