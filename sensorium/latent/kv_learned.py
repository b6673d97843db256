"""KV caches in a few bits a value, by what a checkpoint's caches usually hold.

Each layer is guessed from the layer before, as the receiver will have it. What the guess misses is turned into numbers
that hardly depend on each other, scaled by how much an error in each of them costs the receiver (a Karhunen-Loève
transform in the metric of the loss), rounded to whole steps, and written by a range coder in the number of bits that
their usual spread calls for. One step holds for all of them, and is searched for until the message fits its budget.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from sensorium.latent.kv_shape import Array, Floats, KvError, KvShape, Rope, floats, taken, unrotated
from sensorium.latent.kv_stream import kept, read_stream, write_stream
from sensorium.latent.kv_tables import NODE_STEPS, STEPS, KvTables

__all__ = ["Rounded", "decode_learned", "encode_learned", "rebuilt", "rounded"]

KEPT = 0.42
"""What is added before a number is cut to whole steps: under a half, since a zero is cheap to write."""
FIRST_TOLERANCE = 0.02
"""How far from the table's the first position may be, as a share of its greatest value, and still be taken for it."""
LEAST_STEP, GREATEST_STEP = -40 * STEPS, 20 * STEPS
TRIES = 8
FURTHER = 12
"""Nodes by which a search may leave those of the tables at once."""
FULL, AIM = 0.985, 0.994
"""How much of its budget a message uses at the least, where a search of so many tries gets there."""
EXPECTED: dict[str, tuple[type, tuple[int, ...] | None]] = {
    "step": (np.int32, (1,)),
    "first": (np.float16, None),
    "stream": (np.int32, None),
    "beyond": (np.int32, None),
    "check": (np.int32, (1,)),
}


@dataclass(frozen=True, slots=True)
class Rounded:
    """A message in whole numbers."""

    symbols: Array
    """int32 [positions, layers * width]."""
    spread: Floats
    """[layers * width]: the root of each number's mean square, in steps, before it was cut."""


def encode_learned(kv: Floats, bits: float, rope: Rope, tables: KvTables) -> dict[str, Array]:
    """The tensors of a message of at most `bits` a value, all included.

    `step` int32 [1]; `stream`, `beyond` and `check` as `write_stream` gives them; `first` float16 [0], or
    [layers * width] where position 0 is not the one that the tables know.
    """
    shape = floats(kv)
    _check_tables(shape, rope, tables)
    first, learned = _split(_rows(unrotated(kv, rope)), rope, tables)
    budget = bits * shape.num_values / 8
    search = _Search(tables, bits)
    best: dict[str, Array] | None = None
    for _ in range(TRIES):
        message = {"first": first, **_written(learned, search.step, tables)}
        size = sum(tensor.nbytes for tensor in message.values())
        if size <= budget:
            best = message
        if search.ended(size / budget):
            break
    if best is None:
        raise KvError(f"{shape.positions} positions do not fit {budget:,.0f} bytes; more positions or bits would")
    return best


class _Search:
    """The finest step whose message fits, by the rates that the tables tell of, corrected by the sizes met."""

    def __init__(self, tables: KvTables, bits: float) -> None:
        # Beyond the nodes the rate goes on as it did between the last two, and to nothing where steps are coarse.
        finest = tables.rates[-1] + FURTHER * (tables.rates[-1] - tables.rates[-2])
        self.rates = np.array([0, *tables.rates, finest])
        nodes = np.array([-FURTHER, *range(len(tables.rates)), len(tables.rates) - 1 + FURTHER])
        self.steps = tables.first_step - nodes * NODE_STEPS
        self.too_fine, self.fits = LEAST_STEP, GREATEST_STEP
        self.step = self._step_of(bits)

    def ended(self, size: float) -> bool:
        """Whether nothing better is to be found, by the last message's size as a share of its budget."""
        if size <= 1:
            self.fits = self.step
        else:
            self.too_fine = self.step
        if FULL <= size <= 1 or self.fits - self.too_fine <= 1:
            return True
        usual = float(np.interp(-self.step, -self.steps, self.rates))
        wanted = self._step_of(usual * AIM / size)
        if wanted == self.step:
            wanted += 1 if size > 1 else -1
        self.step = min(self.fits - 1, max(self.too_fine + 1, wanted))
        return False

    def _step_of(self, bits: float) -> int:
        return round(float(np.interp(bits, self.rates, self.steps)))


def _written(learned: Floats, step: int, tables: KvTables) -> dict[str, Array]:
    symbols = rounded(learned, step, tables).symbols
    return {"step": np.array([step], np.int32), **write_stream(symbols, tables.classes(step), tables)}


def decode_learned(tensors: Mapping[str, Array], rope: Rope, tables: KvTables, shape: KvShape) -> Floats:
    """The cache, float32 [layers, 2, heads, positions, dim]. Raises KvError for tensors that are not of this codec."""
    _check_tables(shape, rope, tables)
    told, first, *_ = taken(tensors, EXPECTED)
    step = int(told[0])
    if not LEAST_STEP <= step <= GREATEST_STEP:
        raise KvError(f"a step of number {step} is not between {LEAST_STEP} and {GREATEST_STEP}")
    opening = _opening(first, rope, tables)
    symbols = read_stream(tensors, tables.classes(step), shape.positions - len(opening), tables)
    learned = rebuilt(symbols, step, tables)
    rows = np.concatenate([opening.reshape(len(opening), *learned.shape[1:]), learned])
    if not np.isfinite(rows).all():
        raise KvError("the message stands for values that are not finite")
    return unrotated(_array(rows, shape), rope, again=True)


def rounded(learned: Floats, step: int, tables: KvTables) -> Rounded:
    """Values [positions, layers, width] in whole numbers; each layer is guessed from what is decoded of the last."""
    size = np.float32(2.0 ** (step / STEPS))
    written = kept(tables.classes(step), tables).reshape(tables.shape.layers, -1)
    numbers: list[Array] = []
    spreads: list[Floats] = []
    for guess, layer in _guesses(tables, len(learned)):
        missed = learned[:, layer] - tables.mean[layer] - guess.value
        whole = missed @ (tables.inverses[layer].T / size)
        cut = (np.sign(whole) * np.floor(np.abs(whole) + np.float32(KEPT))).clip(-(2**30), 2**30) * written[layer]
        spreads.append(np.sqrt((whole**2).mean(axis=0)))
        numbers.append(cut.astype(np.int32))
        guess.take(numbers[-1], size)
    return Rounded(np.concatenate(numbers, axis=1), np.concatenate(spreads))


def rebuilt(symbols: Array, step: int, tables: KvTables) -> Floats:
    """The values [positions, layers, width] that whole numbers stand for."""
    size = np.float32(2.0 ** (step / STEPS))
    width = tables.shape.width
    layers: list[Floats] = []
    for guess, layer in _guesses(tables, len(symbols)):
        guess.take(symbols[:, layer * width : (layer + 1) * width], size)
        layers.append(guess.held + tables.mean[layer])
    return np.stack(layers, axis=1)


class _Guess:
    """What a receiver has of a layer beyond its mean, from which it guesses the next."""

    def __init__(self, tables: KvTables, positions: int) -> None:
        self.tables = tables
        self.layer = -1
        self.held: Floats = np.zeros((positions, tables.shape.width), np.float32)
        self.value: Floats = self.held

    def move(self) -> int:
        """Guesses the next layer."""
        self.layer += 1
        if self.layer:
            self.value = self.held @ self.tables.guess.layer(self.layer).T
        return self.layer

    def take(self, symbols: Array, size: np.float32) -> None:
        """Adds what the guess missed."""
        used = np.flatnonzero(symbols.any(axis=0))
        basis = self.tables.basis.layer(self.layer)[:, used]
        missed: Array = (symbols[:, used].astype(np.float32) * size) @ basis.T
        self.held = self.value + missed


def _guesses(tables: KvTables, positions: int) -> Iterator[tuple[_Guess, int]]:
    guess = _Guess(tables, positions)
    for _ in range(tables.shape.layers):
        layer = guess.move()
        yield guess, layer


def _rows(kv: Floats) -> Floats:
    """[positions, layers, width] of [layers, 2, heads, positions, dim]."""
    return kv.transpose(3, 0, 1, 2, 4).reshape(kv.shape[3], kv.shape[0], -1)


def _array(rows: Floats, shape: KvShape) -> Floats:
    return rows.reshape(shape.positions, shape.layers, 2, shape.heads, shape.dim).transpose(1, 2, 3, 0, 4)


def _check_tables(shape: KvShape, rope: Rope, tables: KvTables) -> None:
    shape.checked()
    rope.checked(shape.dim)
    if shape._replace(positions=1) != tables.shape:
        raise KvError(f"a KV cache of {tuple(shape)} is not of the model that the tables are of: {tuple(tables.shape)}")


def _split(rows: Floats, rope: Rope, tables: KvTables) -> tuple[Array, Floats]:
    """What is said of position 0, and what is written by the tables."""
    if rope.start:
        return np.zeros(0, np.float16), rows
    near = FIRST_TOLERANCE * np.abs(tables.first).max()
    if np.abs(rows[0] - tables.first).max() <= near:
        return np.zeros(0, np.float16), rows[1:]
    if np.abs(rows[0]).max() > 65504:
        raise KvError("the first position holds values beyond 65,504; it is written as float16")
    return rows[0].ravel().astype(np.float16), rows[1:]


def _opening(first: Array, rope: Rope, tables: KvTables) -> Floats:
    """Position 0 as [1, layers * width], or [0, layers * width] where the message does not begin with it."""
    if len(first) not in (0, tables.mean.size) or (rope.start and len(first)):
        raise KvError(f"first has {len(first)} values, not none or, at position 0, {tables.mean.size:,}")
    if rope.start:
        return np.zeros((0, tables.mean.size), np.float32)
    return (first.astype(np.float32) if len(first) else tables.first.ravel())[None]
