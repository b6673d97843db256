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

from sensorium.errors import ModelError, SensoriumError
from sensorium.events import ModelAsked, NodeProgress, PromptSent
from sensorium.graph.leaf import CallContext, call_key, kept
from sensorium.latent.sealing import Sealer
from sensorium.latent.spaces import End
from sensorium.model.contract import Ask, LatentReader, Model, ModelEvent, Piece, Preparing, Reply
from sensorium.parts import Data, Text, Value, encode_values

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
        key = self.key(ask)
        context.emit(PromptSent(context.run, context.node, self.role, self.prompt(ask)))
        try:
            async with context.services.results.flight(key):
                outputs = await kept(context, key)
                context.tally.count(is_kept=outputs is not None)
                async with aclosing(self._made(ask, key) if outputs is None else _again(_reply(outputs))) as events:
                    async for event in events:
                        if isinstance(event, Reply):
                            self.tell(ask, event, perf_counter() - began_s, cached=outputs is not None)
                        yield event
        except (SensoriumError, asyncio.CancelledError) as error:
            self.tell(ask, error, perf_counter() - began_s)
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

    def tell(self, ask: Ask, ended: Reply | BaseException, seconds: float, *, cached: bool = False) -> None:
        """Tells whoever watches how an ask ended."""
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

    def key(self, ask: Ask, what: str = "") -> str:
        """Under which what is made of an ask is kept; `what` that is, where it is no reply."""
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
