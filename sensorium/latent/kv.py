"""KV caches in fewer bytes: the codecs of the rung `kv`. A decoder gets no token ids and runs no layer of a model.

    tensors = encode("klt2", kv, rope, tables)          # dict of small arrays, for a frame
    kv = decode("klt2", tensors, rope, tables, shape)

A cache is float32 [layers, 2, heads, positions, dim], keys before values, as a model holds it: keys rotated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sensorium.latent.kv_learned import decode_learned, encode_learned
from sensorium.latent.kv_plain import decode_plain, encode_plain
from sensorium.latent.kv_shape import Array, Floats, KvError, KvShape, Rope
from sensorium.latent.kv_tables import KvTables

__all__ = ["CODECS", "LEARNED", "PLAIN", "KvError", "KvShape", "KvTables", "Rope", "decode", "encode"]

PLAIN: Final[Mapping[str, int]] = {"int8": 8, "int4": 4, "int3": 3, "int2": 2}
"""Bits of a value, and half a bit more for what each group of 64 is scaled by. Every model, no tables."""
LEARNED: Final[Mapping[str, float]] = {"klt4": 4, "klt3": 3, "klt2": 2, "klt1": 1, "klt0.5": 0.5}
"""Bits of a value, all included. They need the tables of the very weights."""
CODECS: Final = (*PLAIN, *LEARNED)


def encode(codec: str, kv: Floats, rope: Rope | None = None, tables: KvTables | None = None) -> dict[str, Array]:
    """The tensors that a cache is sent as; their bytes are all that is sent, but for the shape.

    Raises:
        KvError: The cache is not float32 of this rank, is not finite, or is not of the model that the tables are of.
    """
    if codec in PLAIN:
        return encode_plain(kv, PLAIN[codec])
    return encode_learned(kv, _bits(codec), *_known(codec, rope, tables))


def decode(
    codec: str, tensors: Mapping[str, Array], rope: Rope | None, tables: KvTables | None, shape: KvShape
) -> Floats:
    """The cache of the shape that the receiver expects.

    Raises:
        KvError: The tensors are not of this codec and shape, were cut off or changed, or stand for what is not finite.
    """
    if codec in PLAIN:
        return decode_plain(tensors, PLAIN[codec], shape.checked())
    _bits(codec)
    return decode_learned(tensors, *_known(codec, rope, tables), shape)


def _bits(codec: str) -> float:
    if codec not in LEARNED:
        raise KvError(f"there is no KV codec {codec!r}; there are {', '.join(CODECS)}")
    return LEARNED[codec]


def _known(codec: str, rope: Rope | None, tables: KvTables | None) -> tuple[Rope, KvTables]:
    if rope is None or tables is None:
        raise KvError(f"{codec} needs the model's rotation and tables of its weights; int8 and int4 need neither")
    return rope, tables
