"""Sealed frames as blobs of a store, under the key of an installation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sensorium.errors import CallerError, LatentError
from sensorium.latent.frame import Frame, FrameHead, Tensor, frame_key, open_frame, seal
from sensorium.latent.recipe import Recipe, num_positions
from sensorium.latent.spaces import CONTEXT, EMBEDS, FRAME, RECIPE
from sensorium.parts import Blob, Latent
from sensorium.store import Store

__all__ = ["Sealer", "as_frame", "latent_in"]

_MEDIA_TYPE = "application/x-sensorium-frame"


@dataclass(frozen=True)
class Sealer:
    """Seals what goes to a language model, and opens what came from one.

    Args:
        store: Where the frames lie.
        home: `SENSORIUM_HOME`, which holds the key; it is made when it is first wanted.
    """

    store: Store
    home: Path

    @cached_property
    def key(self) -> bytes:
        """32 bytes.

        Raises:
            OperatorError: It cannot be read or made, or others may read it.
        """
        return frame_key(self.home)

    def seal(self, head: FrameHead, tensors: Mapping[str, Tensor]) -> Blob:
        """A sealed frame in the store.

        Raises:
            OperatorError: The disk is full or cannot be written.
        """
        return self.store.put(seal(head, tensors, self.key), _MEDIA_TYPE)

    def open(self, blob: Blob) -> Frame:
        """What a sealed frame holds.

        Raises:
            LatentError: It is none, or not as it was sealed.
            OperatorError: It is gone.
        """
        return open_frame(blob.read(), self.key)

    def unsealed(self, blob: Blob) -> Latent:
        """What a sealed frame holds, as a latent that lies open in the store.

        Raises:
            LatentError: It is none, or not as it was sealed.
            OperatorError: It is gone, or the disk is full.
        """
        frame = self.open(blob)
        tensor, head = latent_in(frame), frame.head
        opened = self.store.put(tensor.array.tobytes(), "application/octet-stream")
        shape = tuple(tensor.array.shape)
        return Latent(head.space, head.weights, shape, tensor.dtype, opened, runtime=head.runtime, chunks=head.chunks)

    def context(self, entries: Recipe, rows: Blob | None, **fields: Any) -> Latent:
        """A latent of space `lm.context` by its recipe."""
        blob = self.store.put(entries.astype("<i4").tobytes(), "application/octet-stream")
        return Latent(CONTEXT, shape=entries.shape, dtype="int32", blob=blob, rows=rows, **fields)

    def recipe(self, context: Latent) -> Blob:
        """The sealed frame of a context's recipe, with the rows that came from elsewhere.

        Raises:
            LatentError: The latent is no context, or its rows are damaged.
            OperatorError: Its bytes are gone.
        """
        if context.space != CONTEXT or context.dtype != "int32":
            raise LatentError(f"a latent of {context.space} has no recipe; one of {CONTEXT} has")
        entries = context.load()
        tensors = {"latent": Tensor(entries, "int32")}
        if context.rows is not None:
            tensors["rows"] = latent_in(self.open(context.rows))
        head = FrameHead(
            space=RECIPE,
            weights=context.weights,
            runtime=context.runtime,
            positions=num_positions(entries),
            chunks=context.chunks,
        )
        return self.seal(head, tensors)

    def rows(self, rows: Any, *, weights: str, made_by: str = "") -> Blob:
        """The sealed frame of input embeddings that came by a bridge.

        Args:
            rows: Float32 [positions, width].
            weights: Identity of the language model that reads them.
            made_by: Name of the bridge.

        Raises:
            LatentError: The rows are none.
        """
        array = np.ascontiguousarray(rows, dtype="<f4")
        if array.ndim != 2 or not array.size:
            raise LatentError(f"rows are [positions, width], and these are {list(array.shape)}")
        head = FrameHead(space=EMBEDS, weights=weights, runtime="", positions=len(array), made_by=made_by)
        return self.seal(head, {"latent": Tensor(array, "float32")})


def latent_in(frame: Frame) -> Tensor:
    """A frame's main tensor.

    Raises:
        LatentError: It has none.
    """
    if "latent" not in frame.tensors:
        raise LatentError(f"the frame of {frame.head.space} has no tensor 'latent'")
    return Tensor(frame.tensors["latent"], frame.dtypes["latent"])


def as_frame(latent: Latent) -> Latent:
    """The sealed frame in which a latent crosses, as a latent of bytes.

    Raises:
        CallerError: It lies in none.
    """
    if latent.frame is None:
        raise CallerError(f"the latent of {latent.space} was not made ready to cross; settle its rung first")
    return Latent(FRAME, latent.weights, (latent.frame.size_bytes,), "uint8", latent.frame)
