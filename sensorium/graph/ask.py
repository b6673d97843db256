"""Language models in a run: each ask is a leaf call under a key, told to whoever watches."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

import msgspec

from sensorium.errors import ModelError
from sensorium.events import PromptSent
from sensorium.graph.leaf import CallContext, call_key, kept
from sensorium.model.contract import Ask, Model, ModelEvent, Piece, Reply
from sensorium.parts import Data, Text, Value, encode_values

__all__ = ["RunModel"]


@dataclass(frozen=True, slots=True)
class RunModel:
    """A `Model` within a run.

    An ask at temperature 0, or with a seed, is reused by every run; any other only where its run is resumed. The run's
    seed holds where an ask names none.
    """

    context: CallContext
    model: Model
    role: str
    """Role of the profile, for whoever watches."""

    @property
    def identity(self) -> str:
        """That of the model."""
        return self.model.identity

    def prompt(self, ask: Ask) -> str:
        """Exactly what `ask` sends, as text."""
        return self.model.prompt(ask)

    async def ask(self, ask: Ask) -> AsyncGenerator[ModelEvent, None]:
        """See `Model.ask`. A reply that was kept comes as one piece."""
        context, results = self.context, self.context.services.results
        if ask.seed is None and ask.temperature > 0:
            ask = dataclasses.replace(ask, seed=context.seed)
        key = self._key(ask)
        context.emit(PromptSent(context.run, context.node, self.role, self.prompt(ask)))
        async with results.flight(key):
            outputs = await kept(context, key)
            if outputs is not None:
                reply = _reply(outputs)
                yield Piece(reply.text)
                yield reply
                return
            async with context.gate, aclosing(cast("AsyncGenerator[ModelEvent, None]", self.model.ask(ask))) as events:
                async for event in events:
                    if isinstance(event, Reply):
                        await results.keep(key, _encoded(event), run=context.run, node=context.node)
                    yield event

    async def close(self) -> None:
        """The model belongs to the project; nothing is let go of here."""

    def _key(self, ask: Ask) -> str:
        shared = ask.temperature == 0 or ask.seed is not None
        asked: dict[str, Value] = {"ask": Text(msgspec.json.encode(ask).decode())}
        return call_key(self.context, f"model {self.identity}", asked, shared=shared)


def _encoded(reply: Reply) -> bytes:
    try:
        return encode_values({"reply": Data(msgspec.to_builtins(reply))})
    except UnicodeEncodeError as error:
        raise ModelError(f"the language model gave text that is not Unicode: {error.reason}") from error


def _reply(outputs: dict[str, Value]) -> Reply:
    data = outputs["reply"]
    assert isinstance(data, Data), "only replies are kept under a model's key"
    return msgspec.convert(data.value, Reply)
