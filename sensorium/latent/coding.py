"""Keys and values that cross in fewer bytes: coded where they leave, decoded where they arrive."""

from __future__ import annotations

import msgspec
import numpy as np

from sensorium import media
from sensorium.errors import LatentError
from sensorium.latent import kv
from sensorium.latent.frame import Tensor
from sensorium.latent.sealing import Sealer, latent_in
from sensorium.latent.spaces import KV, End
from sensorium.parts import Blob

__all__ = ["coded", "coded_bytes", "decoded"]


def coded(sealer: Sealer, frame: Blob, codec: str, end: End, tables: kv.KvTables | None = None) -> Blob:
    """The sealed frame of keys and values in fewer bytes.

    Args:
        sealer: Seals it.
        frame: The sealed frame of the keys and values as they were computed.
        codec: One of `kv.CODECS`.
        end: Whose they are.
        tables: Of the very weights, for a learned codec.

    Raises:
        LatentError: The frame holds no keys and values, or the codec cannot take them.
    """
    opened = sealer.open(frame)
    tensor = latent_in(opened)
    if opened.head.space != KV or opened.head.codec:
        raise LatentError(f"a frame of {opened.head.space} holds no keys and values as they were computed")
    packed = kv.encode(codec, media.as_floats(tensor.array, tensor.dtype), _rope(end), tables)
    head = msgspec.structs.replace(opened.head, codec=codec)
    return sealer.seal(head, {name: Tensor(array, array.dtype.name) for name, array in packed.items()})


def decoded(sealer: Sealer, frame: Blob, end: End, tables: kv.KvTables | None = None) -> Blob:
    """The sealed frame of keys and values as their reader takes them, from one that `coded` made.

    Args:
        sealer: Opens and seals.
        frame: The coded frame.
        end: Who reads them.
        tables: Of the very weights, for a learned codec.

    Raises:
        LatentError: The frame is not of these weights, or does not hold what its codec says.
    """
    opened = sealer.open(frame)
    head = opened.head
    if head.weights != end.weights:
        raise LatentError("coded keys and values are of other weights than their reader's")
    shape = kv.KvShape(end.layers, end.kv_heads, head.positions, end.head_width)
    values = kv.decode(head.codec, opened.tensors, _rope(end), tables, shape)
    tensor = Tensor(media.as_bits(values, end.dtype), end.dtype)
    return sealer.seal(msgspec.structs.replace(head, codec=""), {"latent": tensor})


def coded_bytes(codec: str, positions: int, end: End) -> int:
    """About how many bytes keys and values take by a codec."""
    bits = kv.PLAIN[codec] + 0.5 if codec in kv.PLAIN else kv.LEARNED[codec]
    return int(positions * end.layers * 2 * end.kv_heads * end.head_width * bits / 8)


def _rope(end: End) -> kv.Rope | None:
    return kv.Rope(np.array(end.rope, np.float64), 0) if end.rope else None
