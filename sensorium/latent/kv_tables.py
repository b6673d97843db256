"""What a checkpoint's KV cache usually holds: the tables that the learned codecs share between both ends.

They are made once for a checkpoint by `benchmarks/kv_tables.py`, and travel with it, not with a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sensorium.latent.kv_shape import Array, Floats, KvError, KvShape

__all__ = ["CLASS_STEPS", "MOST", "NODE_STEPS", "STEPS", "SYMBOLS", "KvTables", "Matrices"]

STEPS = 32
"""Sizes of the quantiser's step in an octave: a step of number n is 2 ** (n / STEPS)."""
NODE_STEPS = 16
"""Numbers between two steps at which spreads were counted: half an octave."""
CLASS_STEPS = 8
"""Numbers between two classes of spread: a quarter of an octave."""
MOST = 40
"""The largest symbol; those beyond it are written apart."""
SYMBOLS = 2 * MOST + 1


@dataclass(frozen=True, slots=True)
class Matrices:
    """A matrix of each layer in bytes: entry [layer, i, j] is rows[layer, i] * bytes * columns[layer, j]."""

    values: Array
    """int8 [layers, width, width]."""
    rows: Floats
    """[layers, width]."""
    columns: Floats
    """[layers, width]."""

    @staticmethod
    def of(whole: Array) -> Matrices:
        """The nearest such matrices to [layers, width, width]."""
        rows = np.maximum(np.sqrt((whole**2).mean(axis=2)), 1e-12).astype(np.float32)
        even = whole / rows[:, :, None]
        columns = np.maximum(np.abs(even).max(axis=1) / 127, 1e-12).astype(np.float32)
        return Matrices(np.rint(even / columns[:, None, :]).clip(-127, 127).astype(np.int8), rows, columns)

    def layer(self, number: int) -> Floats:
        """One of them, float32 [width, width]."""
        whole: Floats = self.rows[number][:, None] * self.values[number].astype(np.float32) * self.columns[number]
        return whole


@dataclass(frozen=True, eq=False)
class KvTables:
    """What is known of a checkpoint's KV before a message comes. A layer's width is all of its keys, then its values.

    Keys are as before RoPE. A layer's values are guessed from the layer before as it was decoded; what the guess
    misses is `basis @ numbers`, with numbers that hardly depend on each other, each a whole multiple of one step.
    """

    shape: KvShape
    """Of one position."""
    mean: Floats
    """[layers, width]: what positions hold on average, the first one apart."""
    first: Floats
    """[layers, width]: what the first position holds where a message begins as those did that were learned from."""
    guess: Matrices
    """[layers, width, width]: from what the layer before holds beyond its mean; that of the first layer is not used."""
    basis: Matrices
    """[layers, width, width]: a column is what one number stands for."""
    spreads: Array
    """int16 [nodes, layers * width]: class of spread of each number, where the step is that of the node."""
    rates: Floats
    """[nodes]: bits that a value took on average, rising."""
    first_step: int
    """Number of the step of the first node; those of the others follow, NODE_STEPS smaller each."""
    frequencies: Array
    """uint16 [classes, SYMBOLS]: how often each symbol comes, of numbers of each class of spread, narrowest first."""
    lowest_class: int
    """The class that the first row of `frequencies` is of; narrower ones are always 0."""

    @cached_property
    def inverses(self) -> list[Floats]:
        """The inverse of each basis: what an encoder needs."""
        layers = range(self.shape.layers)
        return [np.linalg.inv(self.basis.layer(number).astype(np.float64)).astype(np.float32) for number in layers]

    def classes(self, step: int) -> Array:
        """The class of spread of each number, int64 [layers * width], where the step is that of number `step`."""
        node = np.clip(round((self.first_step - step) / NODE_STEPS), 0, len(self.spreads) - 1)
        moved = self.first_step - int(node) * NODE_STEPS - step
        classes: Array = self.spreads[node].astype(np.int64) + moved // CLASS_STEPS
        return classes

    def checked(self) -> KvTables:
        """The tables themselves. Raises KvError where they don't fit each other."""
        layers, width = self.shape.layers, self.shape.width
        nodes, classes = len(self.rates), len(self.frequencies)
        right: Mapping[str, tuple[Array, tuple[int, ...]]] = {
            "mean": (self.mean, (layers, width)),
            "first": (self.first, (layers, width)),
            "guess": (self.guess.values, (layers, width, width)),
            "basis": (self.basis.values, (layers, width, width)),
            "spreads": (self.spreads, (nodes, layers * width)),
            "frequencies": (self.frequencies, (classes, SYMBOLS)),
        }
        for name, (table, shape) in right.items():
            if table.shape != shape or not np.isfinite(table).all():
                raise KvError(f"the table {name} is {list(table.shape)}, not {list(shape)}, or not finite")
        if nodes < 2 or classes < 1 or not (np.diff(self.rates) > 0).all() or not self.frequencies.all():
            raise KvError("the tables tell of no rates that rise, or of symbols that never come")
        return self
