"""Language models in a run: each ask is a leaf call under a key, told to whoever watches."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from time import perf_counter
from typing import cast

import msgspec

from sensorium.errors import LatentError, ModelError, SensoriumError
from sensorium.events import ModelAsked, NodeProgress, PromptSent
from sensorium.graph.leaf import CallContext, call_key, kept
from sensorium.latent.sealing import Sealer
from sensorium.latent.spaces import CONTEXT, End
from sensorium.model.contract import Ask, Holder, LatentReader, Model, ModelEvent, Piece, Preparing, Reply
from sensorium.parts import Data, Latent, Text, Value, encode_values

__all__ = ["RunModel"]


@dataclass(frozen=True, slots=True)
class RunModel:
    """A `Model` within a run.

    An ask at temperature 0, or with a seed, is reused by every run; any other only where its run is resumed or forked.
    The run's seed holds where an ask names none.
    """

    context: CallContext
    model: Model
    role: str
    """Role of the profile, for whoever watches."""

    @property
    def sealer(self) -> Sealer:
        """Seals what crosses."""
        return Sealer(self.context.services.store, self.context.services.home)

    async def of(self, role: str) -> RunModel:
        """The model of another role.

        Raises:
            OperatorError: The profile names none, or its checkpoint is missing.
        """
        return self if role == self.role else RunModel(self.context, await self.context.services.model(role), role)

    async def end(self) -> End | None:
        """Who the model is on a latent wire; None where it takes no latents.

        Raises:
            ModelError: It cannot be loaded.
        """
        if not isinstance(self.model, LatentReader):
            return None
        async with self.context.gate:
            end = await self.model.end()
        return end if end.reads else None

    @property
    def identity(self) -> str:
        """That of the model."""
        return self.model.identity

    @property
    def reads(self) -> frozenset[str]:
        """Those of the model."""
        return self.model.reads

    def prompt(self, ask: Ask) -> str:
        """Exactly what `ask` sends, as text."""
        return self.model.prompt(ask)

    async def ask(self, ask: Ask) -> AsyncGenerator[ModelEvent, None]:
        """See `Model.ask`. A reply that was kept comes as one piece. Whoever watches is told how it ended."""
        context, began_s = self.context, perf_counter()
        if ask.seed is None and ask.temperature > 0:
            ask = dataclasses.replace(ask, seed=context.seed)
        key = self._key(ask)
        context.emit(PromptSent(context.run, context.node, self.role, self.prompt(ask)))
        try:
            async with context.services.results.flight(key):
                outputs = await kept(context, key)
                context.tally.count(is_kept=outputs is not None)
                async with aclosing(self._made(ask, key) if outputs is None else _again(_reply(outputs))) as events:
                    async for event in events:
                        if isinstance(event, Reply):
                            self._tell(ask, event, perf_counter() - began_s, cached=outputs is not None)
                        yield event
        except (SensoriumError, asyncio.CancelledError) as error:
            self._tell(ask, error, perf_counter() - began_s)
            raise

    async def _made(self, ask: Ask, key: str) -> AsyncGenerator[ModelEvent, None]:
        """What the model says, which is kept before anybody has the whole of it."""
        context = self.context
        async with context.gate, aclosing(cast("AsyncGenerator[ModelEvent, None]", self.model.ask(ask))) as events:
            async for event in events:
                if isinstance(event, Preparing):
                    told = NodeProgress(context.run, context.node, event.share, event.note, event.is_loading)
                    context.emit(told)
                    continue
                if isinstance(event, Reply):
                    await context.services.results.keep(key, _encoded(event), run=context.run, node=context.node)
                yield event

    def _tell(self, ask: Ask, ended: Reply | BaseException, seconds: float, *, cached: bool = False) -> None:
        context = self.context
        asked = ModelAsked(
            context.run,
            context.node,
            self.role,
            self.identity,
            "failed",
            seconds,
            ask.max_tokens,
            ask.temperature,
            ask.seed,
            ask.form is not None,
            cached,
        )
        if isinstance(ended, Reply):
            usage = ended.usage
            context.emit(
                dataclasses.replace(
                    asked,
                    status="done",
                    prompt_tokens=usage.prompt_tokens,
                    answer_tokens=usage.answer_tokens,
                    reused_tokens=usage.cached_tokens,
                    first_token_s=usage.first_token_s,
                    finish=ended.finish,
                )
            )
        else:
            kind = ended.kind if isinstance(ended, SensoriumError) else "cancelled"
            context.emit(dataclasses.replace(asked, kind=kind))

    async def close(self) -> None:
        """The model belongs to the project; nothing is let go of here."""

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
        if not isinstance(self.model, Holder):
            written = [event.text async for event in self.ask(ask) if isinstance(event, Reply)] if thoughts else []
            return self._as_text("\n\n".join((twin, *written)))
        context, began_s, key = self.context, perf_counter(), self._key(ask, f"holds after {thoughts} thoughts")
        context.emit(PromptSent(context.run, context.node, self.role, self.model.open_prompt(ask.messages)))
        async with context.services.results.flight(key):
            outputs: dict[str, Value] | None = await kept(context, key)
            context.tally.count(is_kept=outputs is not None)
            if outputs is None:
                async with context.gate:
                    held = await self.model.hold(ask.messages, thoughts=thoughts)
                told = msgspec.structs.replace(held.context, twin=twin, made_by=self.role)
                outputs = {"context": told, "usage": Data(msgspec.to_builtins(held.usage))}
                data = encode_values(outputs)
                await context.services.results.keep(key, data, run=context.run, node=context.node)
                self._tell(ask, Reply("", held.usage, "stop"), perf_counter() - began_s)
        latent = outputs["context"]
        assert isinstance(latent, Latent), "only contexts are kept under such a key"
        return latent

    async def give(self, latent: Latent, space: str) -> Latent:
        """The sealed frame of what a context comes to in a space; see `Holder.give`.

        Raises:
            ModelError: The model failed.
            LatentError: The context is another model's, or this one gives none.
        """
        if not isinstance(self.model, Holder):
            raise LatentError(f"the language model of role {self.role} hands on text alone")
        context = self.context
        key = call_key(context, f"model {self.identity} gives {space}", {"context": latent}, shared=True)
        async with context.services.results.flight(key):
            outputs: dict[str, Value] | None = await kept(context, key)
            if outputs is None:
                async with context.gate:
                    outputs = {"frame": await self.model.give(latent, space)}
                data = encode_values(outputs)
                await context.services.results.keep(key, data, run=context.run, node=context.node)
        frame = outputs["frame"]
        assert isinstance(frame, Latent), "only frames are kept under such a key"
        return frame

    def _as_text(self, text: str) -> Latent:
        data = text.encode("utf-8", "replace")
        blob = self.context.services.store.put(data, "text/plain")
        return Latent(CONTEXT, self.identity, (len(data),), "uint8", blob, twin=text, made_by=self.role)

    def _key(self, ask: Ask, what: str = "") -> str:
        shared = ask.temperature == 0 or ask.seed is not None
        words = dataclasses.replace(ask, messages=tuple(dataclasses.replace(each, parts=()) for each in ask.messages))
        asked: dict[str, Value] = {"ask": Text(msgspec.json.encode(words).decode())}
        asked |= {f"message {number}": each.parts for number, each in enumerate(ask.messages) if each.parts}
        return call_key(self.context, f"model {self.identity} {what}".rstrip(), asked, shared=shared)


async def _again(reply: Reply) -> AsyncGenerator[ModelEvent, None]:
    yield Piece(reply.text)
    yield reply


def _encoded(reply: Reply) -> bytes:
    try:
        return encode_values({"reply": Data(msgspec.to_builtins(reply))})
    except UnicodeEncodeError as error:
        raise ModelError(f"the language model gave text that is not Unicode: {error.reason}") from error


def _reply(outputs: dict[str, Value]) -> Reply:
    data = outputs["reply"]
    assert isinstance(data, Data), "only replies are kept under a model's key"
    return msgspec.convert(data.value, Reply)
