"""Two language models at the ends of a latent wire, and what the one holds of a passage that the other is to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from sensorium import media
from sensorium.evaluation.wire_numbers import Floats
from sensorium.latent.bridge import Bridge
from sensorium.latent.frame import FrameHead, Tensor
from sensorium.latent.kv import KvTables
from sensorium.latent.recipe import Recipe, head_positions, num_positions
from sensorium.latent.sealing import Sealer, latent_in
from sensorium.latent.spaces import EMBEDS, KV, End
from sensorium.model.contract import Message
from sensorium.model.transformers import TransformersModel
from sensorium.parts import Blob, Latent

__all__ = ["Given", "Pair", "Party", "Read"]

_KEPT_BYTES = 64 << 10
"""Contexts are smaller, frames and logits larger."""


@dataclass(frozen=True, slots=True)
class Party:
    """A language model at an end."""

    name: str
    """Its checkpoint."""
    model: TransformersModel
    end: End


class Given(NamedTuple):
    """What a context comes to in a space."""

    frame: Blob
    numbers: Floats


@dataclass(frozen=True)
class Read:
    """What the sender holds once it has read a passage."""

    text: str
    context: Latent
    recipe: Recipe
    given: dict[str, Given] = field(default_factory=dict[str, Given])
    """What it came to so far, by space."""

    @property
    def start(self) -> int:
        """Position at which the passage begins, behind what the chat template puts before it."""
        return head_positions(self.recipe)

    @property
    def num_positions(self) -> int:
        """Of all that was read, and thought."""
        return num_positions(self.recipe)

    @property
    def ids(self) -> Recipe:
        """The passage's tokens."""
        passage = self.recipe[self.start :]
        return passage[passage >= 0]


@dataclass(frozen=True)
class Pair:
    """Sender and receiver; what crosses is sealed by an installation's own key."""

    sender: Party
    receiver: Party
    sealer: Sealer
    bridges: tuple[Bridge, ...] = ()
    """Those that lead from the one to the other."""
    tables: KvTables | None = None
    """What learned codecs know of these very weights."""
    _reads: dict[tuple[str, int], Read] = field(default_factory=dict[tuple[str, int], Read])

    @property
    def is_same(self) -> bool:
        """Whether both ends have the same weights."""
        return self.sender.end.weights == self.receiver.end.weights

    async def read(self, text: str, *, thoughts: int = 0) -> Read:
        """What the sender holds of a passage, after so many thoughts; read once."""
        if (text, thoughts) not in self._reads:
            self._reads[text, thoughts] = await self._read(text, thoughts)
        return self._reads[text, thoughts]

    def let_go(self) -> None:
        """Lets go of all tensors that were given, in memory and on the disk; the store is the pair's own."""
        for read in self._reads.values():
            read.given.clear()
        for path in self.sealer.store.root.glob("??/*"):
            if path.stat().st_size > _KEPT_BYTES:
                path.unlink(missing_ok=True)

    async def _read(self, text: str, thoughts: int) -> Read:
        context = (await self.sender.model.hold((Message("user", text),), thoughts=thoughts)).context
        return Read(text, context, context.load())

    async def give(self, read: Read, space: str) -> Given:
        """What the sender's context comes to in a space; computed once."""
        if space not in read.given:
            frame = (await self.sender.model.give(read.context, space)).blob
            tensor = latent_in(self.sealer.open(frame))
            read.given[space] = Given(frame, media.as_floats(tensor.array, tensor.dtype))
        return read.given[space]

    def text(self, read: Read, twin: str) -> Latent:
        """A message that crosses as text."""
        return msgspec.structs.replace(read.context, rung="text", frame=None, twin=twin)

    def context(self, recipe: Recipe) -> Latent:
        """What the sender would hold by another recipe."""
        end = self.sender.end
        return self.sealer.context(recipe, None, weights=end.weights, runtime=end.runtime, chunks=end.chunks)

    def recipe(self, read: Read, recipe: Recipe) -> Latent:
        """A message that crosses as what has to be read."""
        context = self.context(recipe)
        return msgspec.structs.replace(context, rung="recipe", frame=self.sealer.recipe(context), twin=read.text)

    def framed(self, read: Read, rung: str, frame: Blob) -> Latent:
        """A message that crosses in a sealed frame, and begins the receiver's prompt."""
        return msgspec.structs.replace(read.context, rung=rung, frame=frame, twin=read.text)

    def cache(self, read: Read, numbers: Floats) -> Latent:
        """A message that crosses as keys and values, [layers, 2, heads, positions, width of a head]."""
        return self.framed(read, "kv", self._sealed(KV, numbers, numbers.shape[3]))

    def rows(self, read: Read, rows: Floats) -> Latent:
        """A message that crosses as input embeddings, and stands behind the beginning of the receiver's own prompt."""
        frame = self._sealed(EMBEDS, rows, len(rows))
        return msgspec.structs.replace(read.context, rung="bridge", frame=frame, twin=read.text)

    def _sealed(self, space: str, numbers: Floats, positions: int) -> Blob:
        end = self.receiver.end
        head = FrameHead(space=space, weights=end.weights, runtime="", positions=positions, chunks=end.chunks)
        tensors: Mapping[str, Tensor] = {"latent": Tensor(media.as_bits(numbers, end.dtype), end.dtype)}
        return self.sealer.seal(head, tensors)
