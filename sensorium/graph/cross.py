"""How latents come to a language model in a run: a way is settled and made ready; where it fails, the next is taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec

from sensorium import media
from sensorium.errors import AuthorError, CallerError, LatentError, ModelError, OperatorError, ToolError
from sensorium.events import WireCrossed
from sensorium.graph.ask import RunModel
from sensorium.graph.holding import RunHolder
from sensorium.latent.coding import coded, decoded
from sensorium.latent.kv import LEARNED
from sensorium.latent.negotiation import Ladder, Lossy, Sent, Step, negotiate
from sensorium.latent.recipe import ROW, num_positions, num_thoughts
from sensorium.latent.spaces import CONTEXT, EMBEDS, KV, End
from sensorium.latent.ways import bridge_tap, lossy_ways, read_states
from sensorium.model.contract import Ask, Message, ModelEvent
from sensorium.parts import Blob, Latent, Value
from sensorium.spec.graph import WireSpec

__all__ = ["CrossedModel", "Wires", "settle_wires"]

_FAILURES = (AuthorError, CallerError, ModelError, OperatorError, ToolError)
"""After which another way is made ready."""
_REFUSALS = (LatentError, OperatorError)
"""With which a model refuses what was made ready, before its first word; the latter where bytes are damaged or gone."""
_SPACES = {"kv": KV, "embeds": EMBEDS}


class _Ready(NamedTuple):
    latent: Latent
    """As it goes to the model."""
    num_bytes: int
    """What crosses."""


@dataclass(slots=True)
class _Wire:
    latent: Latent
    """As it came to the node."""
    ladder: Ladder
    """What may be taken, the way that is taken first."""
    ready: Latent
    """As it goes to the model."""
    known: set[Blob] = field(default_factory=set[Blob])
    """What it is known by in messages: as it came, and as it went."""


@dataclass(slots=True)
class Wires:
    """The latents that go into an agent at work."""

    model: RunModel
    """Who reads them."""
    reader: End | None
    """The same, as it was loaded; None for one that takes no latents."""
    by_port: dict[str, _Wire] = field(default_factory=dict[str, _Wire])

    @property
    def begins_prompts(self) -> bool:
        """Whether what was held can begin a prompt of the reader; a server begins its prompts itself."""
        return self.reader is not None and "recipe" in self.reader.reads

    def inputs(self, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """The inputs, with the latents as they go to the model."""
        return {**inputs, **{port: wire.ready for port, wire in self.by_port.items()}}

    def ready(self, latent: Latent) -> Latent:
        """A latent as it goes to the model now."""
        found = (wire.ready for wire in self.by_port.values() if latent.blob in wire.known)
        return next(found, latent)

    async def settle(self, port: str, latent: Latent, ladder: Ladder) -> None:
        """Takes the best way that can be made ready.

        Raises:
            CallerError: None can.
        """
        known = self.by_port[port].known if port in self.by_port else {latent.blob}
        self.by_port[port] = wire = _Wire(latent, ladder, latent, known)
        while wire.ladder.steps:
            step = wire.ladder.steps[0]
            try:
                wire.ready, num_bytes = await self._made_ready(latent, step)
            except _FAILURES as error:
                wire.ladder = wire.ladder.below(step, str(error))
                continue
            known.add(wire.ready.blob)
            context = self.model.context
            context.emit(WireCrossed(context.run, context.node, port, step.rung, step.why, num_bytes))
            return
        reasons = "; ".join(f"{rung}: {why}" for rung, why in wire.ladder.refused)
        raise CallerError(
            f"input {port}: no way is left by which the latent of {latent.space} can be read ({reasons}); allow text "
            "in the wire's rungs, or serve both ends by the same model"
        )

    async def fall(self, why: str) -> bool:
        """Takes the next way for whatever the model read as a latent. Whether there was anything.

        Raises:
            CallerError: No way is left for one of them.
        """
        falling = [port for port, wire in self.by_port.items() if wire.ready.frame is not None]
        for port in falling:
            wire = self.by_port[port]
            await self.settle(port, wire.latent, wire.ladder.below(wire.ladder.steps[0], why))
        return bool(falling)

    async def _made_ready(self, latent: Latent, step: Step) -> _Ready:
        if step.rung == "text":
            told = msgspec.structs.replace(latent, rung="text") if self.begins_prompts else latent
            return _Ready(told, len((latent.twin or "").encode()))
        if step.rung.startswith("kv/"):
            return await self._coded(latent, step.by)
        if step.rung == "recipe":
            frame = self.model.sealer.recipe(latent)
        elif step.rung == "bridge":
            frame = await self._bridged(latent, step.by)
        else:
            frame = await self._given(latent, _SPACES[step.rung])
            if not self.begins_prompts:
                return _Ready(self._opened(latent, step, frame), frame.size_bytes)
        return _Ready(msgspec.structs.replace(latent, rung=step.rung, frame=frame), frame.size_bytes)

    async def _coded(self, latent: Latent, codec: str) -> _Ready:
        """What a reader makes of keys and values that cross in fewer bytes."""
        assert self.reader is not None, "keys and values go to a reader of latents"
        sealer, whole = self.model.sealer, await self._given(latent, KV)
        tables = self.model.context.services.kv_tables(self.reader.weights) if codec in LEARNED else None
        crossing = await asyncio.to_thread(coded, sealer, whole, codec, self.reader, tables)
        frame = await asyncio.to_thread(decoded, sealer, crossing, self.reader, tables)
        return _Ready(msgspec.structs.replace(latent, rung="kv", frame=frame), crossing.size_bytes)

    def _opened(self, latent: Latent, step: Step, frame: Blob) -> Latent:
        """The input embeddings of what was read, for a server, which begins its prompts itself."""
        rows = self.model.sealer.unsealed(frame)
        array = read_states(latent, rows.load())
        blob = self.model.sealer.store.put(array.tobytes(), rows.blob.media_type)
        return msgspec.structs.replace(
            rows, blob=blob, shape=array.shape, rung=step.rung, frame=frame, twin=latent.twin, made_by=latent.made_by
        )

    async def _given(self, latent: Latent, space: str) -> Blob:
        sender = await self.model.of(latent.made_by)
        return (await RunHolder(sender).give(latent, space)).blob

    async def _bridged(self, latent: Latent, name: str) -> Blob:
        """The rows that a bridge makes of a latent."""
        assert self.reader is not None, "a bridge leads to a reader of latents"
        bridge = next(each for each in self.model.context.services.bridges if each.spec.name == name)
        sealer, computed = self.model.sealer, latent
        if latent.space == CONTEXT:
            computed = sealer.unsealed(await self._given(latent, bridge_tap(bridge)))
        states = read_states(latent, media.as_floats(computed.load(), computed.dtype))
        rows = await asyncio.to_thread(bridge.cross, states)
        if not len(rows):
            raise LatentError(f"bridge {name} heard no token in {len(states)} states")
        return sealer.rows(rows, weights=self.reader.weights, made_by=name)


@dataclass(frozen=True, slots=True)
class CrossedModel:
    """A `Model` whose asks hold latents that go by the ways that are taken, and by the next where those fail."""

    model: RunModel
    wires: Wires

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
        return self.model.prompt(self._crossing(ask))

    async def ask(self, ask: Ask) -> AsyncGenerator[ModelEvent, None]:
        """See `Model.ask`."""
        while True:
            try:
                async with aclosing(self.model.ask(self._crossing(ask))) as events:
                    async for event in events:
                        yield event
                return
            except _REFUSALS as refusal:
                if not await self.wires.fall(str(refusal)):
                    raise

    async def hold(self, ask: Ask, thoughts: int, twin: str) -> Latent:
        """What the model holds; see `RunHolder.hold`."""
        while True:
            try:
                return await RunHolder(self.model).hold(self._crossing(ask), thoughts, twin)
            except _REFUSALS as refusal:
                if not await self.wires.fall(str(refusal)):
                    raise

    async def close(self) -> None:
        """The model belongs to the project; nothing is let go of here."""

    def _crossing(self, ask: Ask) -> Ask:
        return replace(ask, messages=tuple(map(self._message, ask.messages)))

    def _message(self, message: Message) -> Message:
        """A message with its latents as they go now; those that are left to their text, as text."""
        parts = [self.wires.ready(part) if isinstance(part, Latent) else part for part in message.parts]
        told = [part.twin or "" for part in parts if isinstance(part, Latent) and not part.rung]
        kept = tuple(part for part in parts if not isinstance(part, Latent) or part.rung)
        return replace(message, content="\n\n".join((*told, message.content)), parts=kept)


async def settle_wires(model: RunModel, inputs: Mapping[str, Value], terms: Mapping[str, WireSpec]) -> Wires:
    """The ways that an agent's latent inputs take.

    What a language model held can only begin a prompt, so that the first of several goes as it is, and the others as
    their text.

    Raises:
        CallerError: No way is left for one of them.
        ModelError: The model cannot be loaded.
    """
    latents = {port: value for port, value in inputs.items() if isinstance(value, Latent)}
    wires = Wires(model, await model.end() if latents else None)
    has_begun = False
    for port, latent in latents.items():
        reader = None if has_begun and latent.space == CONTEXT else wires.reader
        ways = _ways(model, latent, reader, terms.get(port)) if reader else ()
        ladder = negotiate(_sent(latent), reader, ways, terms.get(port))
        await wires.settle(port, latent, ladder)
        has_begun |= latent.space == CONTEXT
    return wires


def _ways(model: RunModel, latent: Latent, reader: End, terms: WireSpec | None) -> tuple[Lossy, ...]:
    services = model.context.services
    asked = terms.rungs if terms is not None and terms.rungs is not None else ()
    return tuple(lossy_ways(latent, reader, services.bridges, services.cards, asked))


def _sent(latent: Latent) -> Sent:
    plain = Sent(
        latent.space, latent.weights, latent.runtime, latent.chunks, 0, twin=latent.twin, checkpoint=latent.checkpoint
    )
    if latent.space != CONTEXT or latent.dtype != "int32":
        return plain
    recipe = latent.load()
    return replace(
        plain,
        positions=num_positions(recipe),
        thoughts=num_thoughts(recipe),
        has_foreign=bool((recipe == ROW).any()),
    )
