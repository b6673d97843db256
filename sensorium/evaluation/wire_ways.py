"""Ways by which a passage goes from one language model to another, those of a run and those that are only measured."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from sensorium import media
from sensorium.errors import CallerError
from sensorium.evaluation.wire_numbers import Floats, as_noise
from sensorium.evaluation.wire_pair import Pair, Read
from sensorium.latent import kv
from sensorium.latent.bridge import Bridge
from sensorium.latent.coding import coded, decoded
from sensorium.latent.sealing import latent_in
from sensorium.latent.spaces import EMBEDS, KV, hidden_space
from sensorium.latent.ways import bridge_tap
from sensorium.parts import Latent
from sensorium.spec.nearest import meant

__all__ = ["Others", "Sent", "Way", "chosen", "require_rungs", "ways"]

_THOUGHTS = 8
_FLOAT_BYTES = 4
_OTHER_WORDS = (
    "You keep the books of a harbour. Say what you are asked in few words, and do not guess what you do not know. "
)


@dataclass(frozen=True, slots=True)
class Others:
    """Other passages than the one that is sent: what words and ids of a control are drawn from."""

    words: Sequence[str]
    ids: Sequence[int]


Noise: TypeAlias = Callable[[np.random.Generator, Others], Latent]


@dataclass(frozen=True, slots=True)
class Sent:
    """A passage as it goes to its receiver."""

    latent: Latent
    num_bytes: int
    """Of the numbers, ids or letters that cross, without what a frame says of them."""
    num_tokens: int
    """Tokens that they stand for."""
    noise: Noise
    """The same way with noise on it, of the same size and norms."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way."""

    rung: str
    about: str
    send: Callable[[Pair, Read], Awaitable[Sent]]
    by: str = ""
    """Name of the codec or bridge."""
    needs_same: bool = True
    """Whether both ends have to have the same weights."""
    needs_float32: bool = False
    """Whether it would be the same as another in 16 bits."""
    needs_tables: bool = False
    """Whether its codec has learned from these very weights."""

    def can_join(self, pair: Pair) -> bool:
        """Whether it leads from the sender to the receiver."""
        return (
            (pair.is_same or not self.needs_same)
            and (pair.sender.end.dtype == "float32" or not self.needs_float32)
            and (pair.tables is not None or not self.needs_tables)
        )


def ways(pair: Pair) -> tuple[Way, ...]:
    """The ways that there are between two models, those that lose nothing first, and bridges last."""
    bridges = [
        Way("bridge", bridge.spec.about, _bridged(bridge), bridge.spec.name, needs_same=False)
        for bridge in pair.bridges
    ]
    return tuple(way for way in (*_WAYS, *bridges) if way.can_join(pair))


def require_rungs(rungs: Sequence[str]) -> None:
    """Nothing, where each of the rungs is one that can be measured between some models.

    Raises:
        CallerError: There is no such rung.
    """
    known = (*dict.fromkeys(way.rung for way in _WAYS), "bridge")
    for rung in rungs:
        if rung not in known:
            raise CallerError(f"there is no rung {rung!r} to measure; {meant(rung, known, 'rungs:')}")


def chosen(pair: Pair, rungs: Sequence[str]) -> tuple[Way, ...]:
    """Those of the ways whose rungs are named; all where none is.

    Raises:
        CallerError: There is no such rung, or none between these two models.
    """
    require_rungs(rungs)
    found = [way for way in ways(pair) if not rungs or way.rung in rungs]
    absent = [rung for rung in rungs if rung not in {way.rung for way in found}]
    if absent:
        raise CallerError(
            f"{', '.join(absent)} cannot be measured between {pair.sender.name} and {pair.receiver.name}: what one "
            "model holds means nothing to other weights, no bridge leads there, kv/half is for float32, or learned "
            "codecs have no tables of these weights; leave it out"
        )
    return tuple(found)


async def _text(pair: Pair, read: Read) -> Sent:
    def noise(rng: np.random.Generator, others: Others) -> Latent:
        words = rng.choice(np.asarray(others.words), len(read.text.split()))
        return pair.text(read, " ".join(map(str, words)))

    return Sent(pair.text(read, read.text), len(read.text.encode()), len(read.ids), noise)


async def _recipe(pair: Pair, read: Read) -> Sent:
    def noise(rng: np.random.Generator, others: Others) -> Latent:
        drawn = read.recipe.copy()
        drawn[read.recipe >= 0] = rng.choice(np.asarray(others.ids, dtype=np.int32), int((read.recipe >= 0).sum()))
        drawn[: read.start] = read.recipe[: read.start]
        return pair.recipe(read, drawn)

    return Sent(pair.recipe(read, read.recipe), read.recipe.nbytes, read.num_positions, noise)


async def _embeds(pair: Pair, read: Read) -> Sent:
    given = await pair.give(read, EMBEDS)
    sent = _rows(pair, read, given.numbers[read.start :])
    size = len(given.numbers) * pair.sender.end.row_bytes
    return Sent(pair.framed(read, "embeds", given.frame), size, len(given.numbers), sent.noise)


async def _kv(pair: Pair, read: Read) -> Sent:
    given = await pair.give(read, KV)
    sent = _cache(pair, read, given.numbers, read.num_positions * pair.sender.end.kv_token_bytes)
    return replace(sent, latent=pair.framed(read, "kv", given.frame))


async def _thoughts(pair: Pair, read: Read) -> Sent:
    return await _kv(pair, await pair.read(read.text, thoughts=_THOUGHTS))


async def _half(pair: Pair, read: Read) -> Sent:
    numbers = (await pair.give(read, KV)).numbers
    return _cache(pair, read, media.as_floats(media.as_bits(numbers, "bfloat16"), "bfloat16"), 2 * numbers.size)


def _coded(codec: str) -> Callable[[Pair, Read], Awaitable[Sent]]:
    """Through a codec of keys and values, as in a run: packed where they leave, unpacked where they arrive."""

    async def send(pair: Pair, read: Read) -> Sent:
        packed = coded(pair.sealer, (await pair.give(read, KV)).frame, codec, pair.sender.end, pair.tables)
        size = sum(tensor.nbytes for tensor in pair.sealer.open(packed).tensors.values())
        frame = decoded(pair.sealer, packed, pair.receiver.end, pair.tables)
        tensor = latent_in(pair.sealer.open(frame))
        sent = _cache(pair, read, media.as_floats(tensor.array, tensor.dtype), size)
        return replace(sent, latent=pair.framed(read, "kv", frame))

    return send


def _bridged(bridge: Bridge) -> Callable[[Pair, Read], Awaitable[Sent]]:
    """By a trained map from the sender's states of the passage to input embeddings, as in a run."""

    async def send(pair: Pair, read: Read) -> Sent:
        states = (await pair.give(read, bridge_tap(bridge))).numbers[read.start :]
        sent = _rows(pair, read, bridge.cross(states))
        frame = pair.sealer.rows(bridge.cross(states), weights=pair.receiver.end.weights, made_by=bridge.spec.name)
        size = -(-len(states) // bridge.spec.stride) * bridge.spec.receiver.width * _FLOAT_BYTES
        return replace(sent, latent=pair.framed(read, "bridge", frame), num_bytes=size)

    return send


def _middle(share: float) -> Callable[[Pair, Read], Awaitable[Sent]]:
    async def send(pair: Pair, read: Read) -> Sent:
        numbers = (await pair.give(read, KV)).numbers
        count = round(share * len(numbers))
        first = (len(numbers) - count) // 2
        kept = slice(first, first + count)
        cut = numbers.copy()
        cut[:, :, :, read.start :] = 0
        cut[kept] = numbers[kept]
        size = numbers.shape[3] * pair.sender.end.kv_token_bytes * count // len(numbers)
        return _cache(pair, read, cut, size)

    return send


async def _other_prefix(pair: Pair, read: Read) -> Sent:
    own = (await pair.give(read, KV)).numbers
    words = (await pair.sender.model.reading(_OTHER_WORDS)).context.load()
    moved = read.recipe.copy()
    moved[1 : read.start] = np.resize(words, max(read.start - 1, 0))
    numbers = (await pair.give(Read(read.text, pair.context(moved), moved), KV)).numbers.copy()
    numbers[:, :, :, : read.start] = own[:, :, :, : read.start]
    return _cache(pair, read, numbers, read.num_positions * pair.sender.end.kv_token_bytes)


async def _pooled(pair: Pair, read: Read) -> Sent:
    rows = (await pair.give(read, EMBEDS)).numbers[read.start :]
    return _rows(pair, read, np.stack([rows[at : at + 2].mean(0) for at in range(0, len(rows), 2)]))


async def _one_vector(pair: Pair, read: Read) -> Sent:
    rows = (await pair.give(read, EMBEDS)).numbers[read.start :]
    return _rows(pair, read, rows.mean(0, keepdims=True))


async def _hidden(pair: Pair, read: Read) -> Sent:
    states = (await pair.give(read, hidden_space(pair.sender.end.layers))).numbers
    return _rows(pair, read, states[read.start :])


def _rows(pair: Pair, read: Read, rows: Floats) -> Sent:
    def noise(rng: np.random.Generator, _: Others) -> Latent:
        return pair.rows(read, as_noise(rows, rng))

    return Sent(pair.rows(read, rows), len(rows) * pair.receiver.end.row_bytes, len(read.ids), noise)


def _cache(pair: Pair, read: Read, numbers: Floats, num_bytes: int) -> Sent:
    def noise(rng: np.random.Generator, _: Others) -> Latent:
        noisy = numbers.copy()
        noisy[:, :, :, read.start :] = as_noise(numbers[:, :, :, read.start :], rng)
        return pair.cache(read, noisy)

    return Sent(pair.cache(read, numbers), num_bytes, numbers.shape[3], noise)


_WAYS = (
    Way("text", "the passage as words", _text, needs_same=False),
    Way("recipe", "ids of its tokens", _recipe),
    Way("embeds", "its input embeddings", _embeds),
    Way("kv", "its keys and values", _kv),
    Way("kv/half", "the same, rounded from 32 bits to bfloat16", _half, "half", needs_float32=True),
    *(
        Way(f"kv/{codec}", f"by the codec {codec}", _coded(codec), codec, needs_tables=codec in kv.LEARNED)
        for codec in kv.CODECS
    ),
    Way("kv/middle70", "keys and values of the middle 70 % of the layers; zeros in the others", _middle(0.7)),
    Way("kv/middle50", "the same of 50 %", _middle(0.5)),
    Way("kv/middle30", "the same of 30 %", _middle(0.3)),
    Way("kv/other-prefix", "keys and values that were computed behind other words at the beginning", _other_prefix),
    Way("thoughts", f"keys and values of the passage and of {_THOUGHTS} thoughts behind it", _thoughts),
    Way("hidden", "the last layer's hidden states, read as input embeddings", _hidden),
    Way("embeds/pooled2", "means of two neighbouring input embeddings each", _pooled),
    Way("one-vector", "the mean of all its input embeddings", _one_vector),
)
