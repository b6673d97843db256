"""What a language model holds in a run: kept as its recipe, and as what a reader wanted it to come to."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import msgspec

from sensorium.errors import LatentError
from sensorium.events import PromptSent
from sensorium.graph.ask import RunModel
from sensorium.graph.leaf import call_key, kept
from sensorium.model.contract import Ask, Held, Holder, Reply
from sensorium.parts import Data, Latent, Value, encode_values
from sensorium.spec.ports import CONTEXT

__all__ = ["RunHolder"]


@dataclass(frozen=True, slots=True)
class RunHolder:
    """A language model in a run, as far as it hands on what it holds."""

    model: RunModel

    async def hold(self, ask: Ask, thoughts: int, twin: str) -> Latent:
        """What the model holds when it has read the messages of an ask, and thought.

        A model that hands on nothing but text is asked to write what it thinks, and that is added to the text.

        Args:
            ask: The last message is the user's.
            thoughts: Steps that it thinks then.
            twin: The text that says the same as what it read.

        Raises:
            ModelError: The model failed.
            CallerError: The messages do not fit into its context; `LatentError` where a latent is none that it takes.
        """
        holder = self.model.model
        if not isinstance(holder, Holder):
            replies = (
                [event.text async for event in self.model.ask(ask) if isinstance(event, Reply)] if thoughts else []
            )
            return self._as_text("\n\n".join((twin, *replies)))
        context, key = self.model.context, self.model.key(ask, f"holds after {thoughts} thoughts")
        context.emit(PromptSent(context.run, context.node, self.model.role, holder.open_prompt(ask.messages)))
        async with context.services.results.flight(key):
            outputs = await kept(context, key)
            context.tally.count(is_kept=outputs is not None)
            if outputs is None:
                held = await self._held(holder, ask, thoughts)
                told = msgspec.structs.replace(held.context, twin=twin, made_by=self.model.role)
                outputs = await self._kept(key, {"context": told, "usage": Data(msgspec.to_builtins(held.usage))})
        latent = outputs["context"]
        assert isinstance(latent, Latent), "only contexts are kept under such a key"
        return latent

    async def give(self, latent: Latent, space: str) -> Latent:
        """The sealed frame of what a context comes to in a space; see `Holder.give`.

        Raises:
            ModelError: The model failed.
            LatentError: The context is another model's, or this one gives none.
        """
        holder, context = self.model.model, self.model.context
        if not isinstance(holder, Holder):
            raise LatentError(f"the language model of role {self.model.role} hands on text alone")
        key = call_key(context, f"model {self.model.identity} gives {space}", {"context": latent}, shared=True)
        async with context.services.results.flight(key):
            outputs = await kept(context, key)
            if outputs is None:
                async with context.gate:
                    frame = await holder.give(latent, space)
                outputs = await self._kept(key, {"frame": frame})
        given = outputs["frame"]
        assert isinstance(given, Latent), "only frames are kept under such a key"
        return given

    async def _held(self, holder: Holder, ask: Ask, thoughts: int) -> Held:
        began_s = perf_counter()
        async with self.model.context.gate:
            held = await holder.hold(ask.messages, thoughts=thoughts)
        self.model.tell(ask, Reply("", held.usage, "stop"), perf_counter() - began_s)
        return held

    async def _kept(self, key: str, outputs: dict[str, Value]) -> dict[str, Value]:
        context = self.model.context
        data = encode_values(outputs)
        await context.services.results.keep(key, data, run=context.run, node=context.node)
        return outputs

    def _as_text(self, text: str) -> Latent:
        data = text.encode("utf-8", "replace")
        blob = self.model.context.services.store.put(data, "text/plain")
        return Latent(CONTEXT, self.model.identity, (len(data),), "uint8", blob, twin=text, made_by=self.model.role)
