"""Outputs as they come from a worker, with their media put into the store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from sensorium.host.contract import BlobStore
from sensorium.parts import Audio, Blob, Image, Latent, Masks, Part, Value, decode_values

__all__ = ["settle"]


async def settle(values: bytes, blobs: list[bytes], store: BlobStore) -> dict[str, Value]:
    """Named values whose blobs are in `store`.

    Raises:
        OperatorError: The disk is full or cannot be written.
    """
    if not blobs:
        return decode_values(values, _Nowhere())
    return await asyncio.to_thread(_put_all, values, blobs, store)


def _put_all(values: bytes, blobs: list[bytes], store: BlobStore) -> dict[str, Value]:
    def place(part: Part | None) -> Part | None:
        if not isinstance(part, Image | Audio | Masks | Latent):
            return part
        held: Blob = part.blob
        return msgspec.structs.replace(part, blob=store.put(blobs[int(held.digest)], held.media_type))

    decoded = decode_values(values, _Nowhere())
    return {
        port: tuple(place(part) for part in value) if isinstance(value, tuple) else place(value)
        for port, value in decoded.items()
    }


class _Nowhere:
    """Where the bytes of a blob lie that is named by its index."""

    def read(self, digest: str) -> bytes:
        raise KeyError(digest)

    def path(self, digest: str) -> Path:
        raise KeyError(digest)
