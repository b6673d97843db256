"""Whole numbers whose spreads are known, in as few bits as they come to: a range coder over the tables' frequencies."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from sensorium.errors import OperatorError
from sensorium.latent.kv_shape import Array, KvError
from sensorium.latent.kv_tables import CLASS_STEPS, MOST, STEPS, KvTables

__all__ = ["SPARSEST", "kept", "read_stream", "write_stream"]

SPARSEST = 64
"""Numbers for which a stream has a bit at the least, so that a few bytes cannot claim a great deal of memory."""
MOST_SHIFT = 24
SHIFTS = MOST_SHIFT + 1


class _Alike(NamedTuple):
    """Numbers that are written by one model."""

    row: int
    """Of the tables' frequencies."""
    shift: int
    """How many low bits are written apart: of wide numbers they are as good as random."""
    columns: Array
    """Which numbers of a position they are."""


def kept(classes: Array, tables: KvTables) -> Array:
    """Whether each number is written at all, bool [numbers]: one that is nearly always 0 is not."""
    return classes >= tables.lowest_class


def write_stream(symbols: Array, classes: Array, tables: KvTables) -> dict[str, Array]:
    """int32 [positions, numbers] as `stream` [words], `beyond` [those too large for it] and `check` [1].

    All are int32, which a frame carries; the words of `stream`, and `check`, the CRC-32 of the numbers, are the bits of
    unsigned ones. A number's class of spread is in `classes`, int64 [numbers].
    """
    coder: Any = _coding().queue.RangeEncoder()
    beyond: list[Array] = [np.zeros(0, np.int32)]
    for alike in _groups(classes, tables):
        values = symbols[:, alike.columns].ravel()
        high = (values >> alike.shift).clip(-MOST, MOST)
        coder.encode(np.ascontiguousarray(high + MOST, np.int32), _model(tables, alike.row))
        inside = np.abs(high) < MOST
        beyond.append(values[~inside])
        if alike.shift:
            low = values[inside] & ((1 << alike.shift) - 1)
            coder.encode(np.ascontiguousarray(low, np.int32), _coding().model.Uniform(1 << alike.shift))
    words = np.asarray(coder.get_compressed(), np.uint32)
    least = -(-symbols.size // (SPARSEST * 32))
    return {
        "stream": np.concatenate([words, np.zeros(max(0, least - len(words)), np.uint32)]).view(np.int32),
        "beyond": np.concatenate(beyond).astype(np.int32),
        "check": _check(symbols),
    }


def read_stream(message: Mapping[str, Array], classes: Array, positions: int, tables: KvTables) -> Array:
    """The numbers again, int32 [positions, numbers]. Raises KvError where the message does not hold them."""
    stream, beyond = message["stream"], message["beyond"]
    if positions * len(classes) > stream.size * 32 * SPARSEST:
        raise KvError(f"a stream of {stream.nbytes:,} bytes is too short for {positions} positions; it was cut off")
    coder: Any = _coding().queue.RangeDecoder(np.ascontiguousarray(stream).view(np.uint32))
    symbols = np.zeros((positions, len(classes)), np.int32)
    taken = 0
    for alike in _groups(classes, tables):
        try:
            high: Array = coder.decode(_model(tables, alike.row), positions * len(alike.columns)) - MOST
            inside = np.abs(high) < MOST
            if alike.shift:
                uniform = _coding().model.Uniform(1 << alike.shift)
                high[inside] = (high[inside] << alike.shift) | coder.decode(uniform, int(inside.sum()))
        except AssertionError as error:
            raise KvError("the stream is not one that these tables write; it was changed or is another's") from error
        outside = len(high) - int(inside.sum())
        if taken + outside > len(beyond):
            raise KvError(f"the message has {len(beyond)} numbers beyond its stream, and more are called for")
        high[~inside] = beyond[taken : taken + outside]
        taken += outside
        symbols[:, alike.columns] = high.reshape(positions, -1)
    if taken != len(beyond) or (_check(symbols) != message["check"]).any():
        raise KvError("the numbers of the message are not those that were written; it was cut off or changed")
    return symbols


def _coding() -> Any:
    """The range coder, which an engine without the box has not, and which ships no types."""
    try:
        return importlib.import_module("constriction").stream
    except ImportError as error:
        raise OperatorError("learned KV codecs need the package constriction: pip install 'sensorium[box]'") from error


def _groups(classes: Array, tables: KvTables) -> Iterator[_Alike]:
    octave = STEPS // CLASS_STEPS
    row = classes - tables.lowest_class
    top = len(tables.frequencies) - 1
    shift = np.clip(-((top - row) // octave), 0, MOST_SHIFT)
    keys = np.minimum(row - shift * octave, top) * SHIFTS + shift
    for key in np.unique(keys[kept(classes, tables)]):
        yield _Alike(int(key) // SHIFTS, int(key) % SHIFTS, np.flatnonzero((keys == key) & (row >= 0)))


def _model(tables: KvTables, row: int) -> Any:
    weights = tables.frequencies[row].astype(np.float32)
    return _coding().model.Categorical(weights / weights.sum(), perfect=False)


def _check(symbols: Array) -> Array:
    return np.array([zlib.crc32(np.ascontiguousarray(symbols, "<i4").data)], np.uint32).view(np.int32)
