"""Prompts of text and latents: which pieces a model reads, one by one."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sensorium.errors import LatentError
from sensorium.latent.frame import FrameHead, Tensor
from sensorium.latent.recipe import CUT, ROW, Recipe, joined
from sensorium.latent.sealing import Sealer, latent_in
from sensorium.latent.spaces import CONTEXT, EMBEDS
from sensorium.model.contract import Message
from sensorium.model.template import ChatTemplate, harmless
from sensorium.parts import Blob, Latent

__all__ = ["Prompt", "prompt_of", "whole_recipe"]

_FRAME = -16
"""In a recipe that a worker gives, entry `_FRAME - n` stands for the n-th latent of the prompt."""
_BEGINS = ("kv", "embeds", "recipe")
"""Rungs by which a context brings the beginning of its prompt along."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model reads."""

    segments: tuple[str | int, ...]
    """Texts, each tokenised by itself, and numbers of latents."""
    latents: tuple[Latent, ...]

    @property
    def shown(self) -> str:
        """The prompt as text; a latent stands in it by its space and rung."""
        return "".join(part if isinstance(part, str) else _named(self.latents[part]) for part in self.segments)


def prompt_of(template: ChatTemplate, messages: Sequence[Message], *, is_open: bool = False) -> Prompt:
    """The prompt that messages make.

    A context that crosses as what it is brings the beginning of the conversation: what stands before it is left out.
    As text it stands where it would be read. In both cases what was read is tokenised apart from what stands before
    and behind it, so that the same tokens are read.

    Args:
        template: The checkpoint's.
        messages: Their latents have a rung and, but for `text`, a frame.
        is_open: Whether the prompt ends with the last message's text, and its turn goes on.
    """
    latents = [part for message in messages for part in message.parts if isinstance(part, Latent)]
    if not latents and not is_open:
        return Prompt((template.render(messages),), ())
    mark = secrets.token_hex(16)  # so that nothing in a message can be taken for a mark
    numbers = iter(range(len(latents)))
    marked = [_marked(message, mark, numbers) for message in messages]
    if is_open:
        last = marked[-1]
        marked[-1] = replace(last, content=f"{mark}begin{mark}{last.content}{mark}end{mark}")
    words = template.render(tuple(marked)).split(mark)
    return _prompt(words, latents)


def _marked(message: Message, mark: str, numbers: Any) -> Message:
    places = [f"{mark}{next(numbers)}{mark}" for part in message.parts if isinstance(part, Latent)]
    return Message(message.role, "".join(places) + message.content)


def _prompt(words: Sequence[str], latents: Sequence[Latent]) -> Prompt:
    segments: list[str | int] = []
    sent: list[Latent] = []
    for place, word in enumerate(words):
        if place % 2 == 0:
            segments.append(word)
        elif word == "begin":
            continue
        elif word == "end":
            break
        elif (latent := latents[int(word)]).rung == "text":
            segments.append(harmless(latent.twin or ""))
        else:
            if latent.space == CONTEXT and latent.rung in _BEGINS:
                segments, sent = [], []
            segments.append(len(sent))
            sent.append(latent)
    return Prompt(tuple(segment for segment in segments if segment != ""), tuple(sent))


def whole_recipe(told: Recipe, latents: Sequence[Latent], sealer: Sealer, weights: str) -> tuple[Recipe, Blob | None]:
    """The recipe of a prompt with those of its latents in their places, and the frame of rows that came by bridges.

    Args:
        told: What was read, with the numbers of latents in it.
        latents: Those.
        sealer: Opens their frames, and closes that of the rows.
        weights: Identity of the reader, whose input embeddings the rows are.

    Raises:
        LatentError: A latent's frame is damaged.
        OperatorError: Its bytes are gone.
    """
    parts: list[Recipe] = []
    rows: list[Tensor] = []
    for stretch in np.split(told, np.flatnonzero(told == CUT)):
        entries = stretch[stretch != CUT]
        if len(entries) and entries[0] <= _FRAME:
            entries, own = _recipe_of(latents[_FRAME - int(entries[0])], sealer)
            rows += own
        parts.append(entries)
    return joined(parts), _sealed(rows, sealer, weights)


def _recipe_of(latent: Latent, sealer: Sealer) -> tuple[Recipe, list[Tensor]]:
    if latent.space == CONTEXT and latent.rung in _BEGINS:
        own = [] if latent.rows is None else [latent_in(sealer.open(latent.rows))]
        return latent.load(), own
    if latent.frame is None:
        raise LatentError(f"the latent of {latent.space} was not made ready to cross")
    tensor = latent_in(sealer.open(latent.frame))
    return np.full(len(tensor.array), ROW, dtype=np.int32), [tensor]


def _sealed(rows: Sequence[Tensor], sealer: Sealer, weights: str) -> Blob | None:
    if not rows:
        return None
    if len({tensor.dtype for tensor in rows}) > 1:
        raise LatentError("rows of several element types cannot be held together")
    array = np.concatenate([tensor.array for tensor in rows])
    head = FrameHead(space=EMBEDS, weights=weights, runtime="", positions=len(array))
    return sealer.seal(head, {"latent": Tensor(array, rows[0].dtype)})


def _named(latent: Latent) -> str:
    size = "" if latent.frame is None else f", {latent.frame.size_bytes:,} bytes"
    return f"[{latent.space} by {latent.rung}{size}]"
