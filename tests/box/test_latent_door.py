"""What a language model's worker refuses at its door, whoever negotiated: real weights."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
import pytest_asyncio

from sensorium.errors import CallerError, LatentError, OperatorError
from sensorium.latent.frame import FrameLimits, Tensor
from sensorium.latent.frame_head import Entry, Told
from sensorium.latent.frame_lead import make_lead
from sensorium.latent.recipe import CUT, ROW, THOUGHT
from sensorium.latent.sealing import Sealer, latent_in
from sensorium.latent.spaces import EMBEDS, KV
from sensorium.model.contract import Message
from sensorium.parts import Blob, Latent
from tests.box.latent_ends import CONTEXT_TOKENS, DTYPE, Served, behind, pulled, resealed, serve

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]

PLAIN = Message("user", "What colour is a ripe cherry?")
WIDTH = 576
VOCABULARY = 49152


@dataclass(frozen=True, slots=True)
class Door:
    """A model, what it held once, and the honest frames of it."""

    served: Served
    context: Latent
    kv: Blob
    embeds: Blob
    recipe: Blob
    plain: bytes
    """All logits behind a plain question."""

    @property
    def sealer(self) -> Sealer:
        return self.served.sealer

    def told(self, *entries: int, positions: int | None = None, rows: int = 0) -> Blob:
        """A sealed recipe of any entries."""
        array = np.asarray(entries, dtype=np.int32)
        num = int((array != CUT).sum()) if positions is None else positions
        extra = {"rows": Tensor(np.ones((rows, WIDTH), np.float32), "float32")} if rows else {}
        return resealed(self.sealer, self.recipe, {"latent": Tensor(array, "int32"), **extra}, positions=num)

    def long(self, num: int) -> Blob:
        """A sealed recipe of so many tokens."""
        array = np.full(num, 64, dtype=np.int32)
        return resealed(self.sealer, self.recipe, {"latent": Tensor(array, "int32")}, positions=num)

    def shaped(self, blob: Blob, *shape: int, dtype: str = DTYPE, **changes: int) -> Blob:
        """A frame whose tensor has another shape or type."""
        kinds = {"bfloat16": np.uint16, "float32": np.float32, "int32": np.int32}
        return resealed(self.sealer, blob, {"latent": Tensor(np.zeros(shape, kinds[dtype]), dtype)}, **changes)

    def parted(self, *sizes: int) -> Blob:
        """Input embeddings in pieces of any sizes."""
        return resealed(self.sealer, self.embeds, {"sizes": Tensor(np.asarray(sizes, np.int32), "int32")})

    @property
    def num(self) -> int:
        return self.sealer.open(self.kv).head.positions


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    async with serve(pulled(), "1" * 64, tmp_path_factory.mktemp("home")) as served:
        context = await served.held("The box on the table is red, and the other one is blue.")
        kv, embeds = await served.frames(context, KV, EMBEDS)
        yield Door(
            served, context, kv, embeds, served.sealer.recipe(context), bits((await served.scored(PLAIN)).logits)
        )


def bits(logits: np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None) -> bytes:
    assert logits is not None
    return logits.tobytes()


def damaged(door: Door, change: Callable[[bytearray], bytearray | bytes]) -> Blob:
    return door.sealer.store.put(bytes(change(bytearray(door.kv.read()))), "application/x-sensorium-frame")


def flipped(at: int) -> Callable[[bytearray], bytearray]:
    def flip(data: bytearray) -> bytearray:
        data[at] ^= 1
        return data

    return flip


def by_another(door: Door) -> Blob:
    """The same frame under another installation's key."""
    other = Sealer(door.sealer.store, door.sealer.home / "another")
    frame = door.sealer.open(door.kv)
    return other.seal(frame.head, {"latent": latent_in(frame)})


def with_nan(door: Door) -> Blob:
    """Input embeddings with one NaN, under right tags, as `seal` would never make them."""
    head = door.sealer.open(door.embeds).head
    rows = np.zeros((head.positions, WIDTH), "<f4")
    rows[1, 7] = np.nan
    words, lead = make_lead(Told(head, (Entry("latent", "float32", rows.shape),)), door.sealer.key, FrameLimits())
    body = rows.tobytes().ljust(lead.lengths.body_bytes, b"\0")
    lead.hasher.update(body)
    return door.sealer.store.put(words + body + lead.hasher.digest(), "application/x-sensorium-frame")


def nameless(door: Door) -> Blob:
    frame = door.sealer.open(door.kv)
    return door.sealer.seal(frame.head, {"other": latent_in(frame)})


TAG = "does not bear its tag: it was altered, or sealed with another key"
NO_KV = rf"the keys and values are .*; this model's are \[30, 2, 3, \d+, 64\] of {DTYPE}"
NO_ROWS = r"the input embeddings are .*; this model's are \[positions, 576\]"
BAD: dict[str, tuple[Callable[[Door], Blob], str]] = {
    "another space": (
        lambda door: resealed(door.sealer, door.kv, space="see.patches"),
        "and the frame holds see.patches",
    ),
    "a recipe called keys and values": (lambda door: resealed(door.sealer, door.recipe, space=KV), NO_KV),
    "input embeddings called a recipe": (
        lambda door: resealed(door.sealer, door.embeds, space="lm.recipe"),
        "a recipe is int32",
    ),
    "a layer too few": (lambda door: door.shaped(door.kv, 29, 2, 3, door.num, 64), NO_KV),
    "a head too many": (lambda door: door.shaped(door.kv, 30, 2, 4, door.num, 64), NO_KV),
    "keys without values": (lambda door: door.shaped(door.kv, 30, 1, 3, door.num, 64), NO_KV),
    "a narrow head": (lambda door: door.shaped(door.kv, 30, 2, 3, door.num, 63), NO_KV),
    "keys and values in 16 bits": (lambda door: door.shaped(door.kv, 30, 2, 3, door.num, 64, dtype="bfloat16"), NO_KV),
    "keys and values for more positions": (lambda door: resealed(door.sealer, door.kv, positions=door.num + 1), NO_KV),
    "keys and values of nothing": (lambda door: door.shaped(door.kv, 30, 2, 3, 0, 64, positions=0), "has no positions"),
    "other chunks": (lambda door: resealed(door.sealer, door.kv, chunks=32), "read in chunks of 32 tokens"),
    "another runtime": (
        lambda door: resealed(door.sealer, door.kv, runtime="torch 1.0, cuda"),
        "were computed by torch 1.0, cuda",
    ),
    "a wide row": (lambda door: door.shaped(door.embeds, door.num, WIDTH + 1), NO_ROWS),
    "flat rows": (lambda door: door.shaped(door.embeds, door.num), NO_ROWS),
    "rows of whole numbers": (lambda door: door.shaped(door.embeds, door.num, WIDTH, dtype="int32"), NO_ROWS),
    "rows for more positions": (
        lambda door: resealed(door.sealer, door.embeds, positions=door.num + 1),
        "right is one for each position",
    ),
    "no rows": (lambda door: door.shaped(door.embeds, 0, WIDTH, positions=0), "at least one"),
    "pieces that leave rows over": (lambda door: door.parted(1, 2), "into 3; its sizes are wrong"),
    "pieces that run backwards": (lambda door: door.parted(door.num + 1, -1), "its sizes are wrong"),
    "pieces of nothing": (lambda door: door.parted(door.num, 0), "its sizes are wrong"),
    "NaN under right tags": (with_nan, "tensor latent holds NaN or infinity"),
    "no main tensor": (nameless, "has no tensor 'latent'"),
    "a flipped bit in the lengths": (lambda door: damaged(door, flipped(9)), "the frame (has|claims)"),
    "a flipped bit in the head": (lambda door: damaged(door, flipped(40)), f"head {TAG}"),
    "a flipped bit in the body": (lambda door: damaged(door, flipped(-5000)), f"body {TAG}"),
    "a flipped bit in the tag": (lambda door: damaged(door, flipped(-1)), f"body {TAG}"),
    "another installation's key": (by_another, TAG),
    "half a frame": (lambda door: damaged(door, lambda data: data[: len(data) // 2]), "where its beginning claims"),
    "a byte too few": (lambda door: damaged(door, lambda data: data[:-1]), "where its beginning claims"),
    "a byte too many": (lambda door: damaged(door, lambda data: data + b"\0"), "where its beginning claims"),
    "the first bytes alone": (lambda door: damaged(door, lambda data: data[:10]), "the frame has 10 bytes"),
    "no frame": (lambda door: damaged(door, lambda data: b"PK" * len(data)), "no frame begins with these bytes"),
    "a token beyond the vocabulary": (lambda door: door.told(5, VOCABULARY), f"holds token {VOCABULARY}, which"),
    "an unknown code": (lambda door: door.told(5, -4), "a recipe holds -4"),
    "the least code": (lambda door: door.told(5, -(2**31)), "a recipe holds -2147483648"),
    "a thought about nothing": (lambda door: door.told(THOUGHT, 5), "begins with a thought"),
    "a thought behind a cut alone": (lambda door: door.told(CUT, THOUGHT, 5), "begins with a thought"),
    "rows that are not there": (lambda door: door.told(5, ROW), "wants 1 rows from elsewhere, and has fewer"),
    "more rows than are there": (lambda door: door.told(5, ROW, ROW, CUT, ROW, rows=2), "wants 3 rows"),
    "fewer rows than are there": (
        lambda door: door.told(5, ROW, rows=2),
        "wants 1 rows from elsewhere, and comes with 2",
    ),
    "a recipe in two dimensions": (lambda door: door.shaped(door.recipe, 2, 3, dtype="int32"), "a recipe is int32"),
    "a recipe in floats": (lambda door: door.shaped(door.recipe, 6, dtype="float32"), "a recipe is int32"),
    "an empty recipe": (lambda door: door.told(), "at least one"),
    "a recipe of cuts": (lambda door: door.told(CUT, CUT), "fills 0 positions"),
    "a recipe of a million cuts": (lambda door: door.told(5, *[CUT] * 1_000_000), "the rest are cuts in vain"),
    "a recipe for more positions": (
        lambda door: door.told(5, 6, positions=3),
        "fills 2 positions and its frame tells of 3",
    ),
}


async def goes_on(door: Door) -> bool:
    """Whether the model answers as it did at first."""
    return bits((await door.served.scored(PLAIN, fresh=False)).logits) == door.plain


@pytest.mark.parametrize("name", BAD)
async def test_what_is_wrong_is_refused_and_the_model_goes_on(door: Door, name: str) -> None:
    make, message = BAD[name]
    with pytest.raises(LatentError, match=message):
        await door.served.scored(behind(door.context, "kv", make(door)))
    assert await goes_on(door)


async def test_what_is_right_is_taken(door: Door) -> None:
    for blob in (door.kv, door.embeds, door.recipe, door.told(5, CUT, ROW, ROW, THOUGHT, rows=2)):
        assert (await door.served.scored(behind(door.context, "kv", blob))).logs
        assert (await door.served.scored(behind(door.context, "kv", resealed(door.sealer, blob)))).logs
    claims_no_bits: list[dict[str, Any]] = [{"chunks": 0}, {"runtime": ""}]
    for changes in claims_no_bits:
        blob = resealed(door.sealer, door.kv, None, **changes)
        assert (await door.served.scored(behind(door.context, "kv", blob))).logs


async def test_keys_and_values_that_are_not_first_are_refused(door: Door) -> None:
    latent = msgspec.structs.replace(door.context, rung="bridge", frame=door.kv)
    with pytest.raises(LatentError, match="hold at the beginning of a prompt alone; send the recipe instead"):
        await door.served.scored(Message("user", "What colour is it?", parts=(latent,)))
    assert await goes_on(door)


async def test_nothing_is_thought_or_said_right_behind_keys_and_values(door: Door) -> None:
    alone = behind(door.context, "kv", door.kv, question="")
    for attempt in (
        door.served.model.hold((alone,), thoughts=2),
        door.served.model.score((alone,), "It is red.", is_open=True),
    ):
        with pytest.raises(LatentError, match="keys and values tell of no next token"):
            await attempt
        assert await goes_on(door)
    assert (await door.served.model.hold((alone,))).context.load().tolist() == door.context.load().tolist()


async def test_a_blob_that_was_altered_in_the_store_is_caught_there_and_at_the_door(door: Door) -> None:
    blob = resealed(door.sealer, door.kv, made_by="one that is altered")
    data = bytearray(blob.read())
    data[len(data) // 2] ^= 4
    blob.path.chmod(0o600)
    blob.path.write_bytes(data)
    with pytest.raises(LatentError, match=TAG):
        await door.served.scored(behind(door.context, "kv", blob))
    with pytest.raises(OperatorError, match="is damaged: its bytes do not have this digest"):
        door.sealer.open(blob)
    assert await goes_on(door)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
async def test_what_is_not_finite_is_not_sealed(door: Door, wrong: float) -> None:
    rows = np.zeros((4, WIDTH), np.float32)
    rows[2, 5] = wrong
    with pytest.raises(LatentError, match="tensor latent holds NaN or infinity; give finite numbers"):
        door.sealer.rows(rows, weights=door.served.end.weights)


@pytest.mark.parametrize("num", [CONTEXT_TOKENS + 1, 600, 5_000_000])
async def test_a_recipe_that_does_not_fit_says_by_how_much(door: Door, num: int) -> None:
    message = rf"the frame of lm.recipe has {num} positions, {num - CONTEXT_TOKENS} more than the {CONTEXT_TOKENS} "
    with pytest.raises(CallerError, match=message) as refusal:
        await door.served.scored(behind(door.context, "recipe", door.long(num)))
    assert not isinstance(refusal.value, LatentError)
    assert await goes_on(door)


async def test_a_recipe_that_just_fits_leaves_no_room_for_more(door: Door) -> None:
    with pytest.raises(CallerError, match=rf"the prompt has \d+ tokens, \d+ more than the {CONTEXT_TOKENS} "):
        await door.served.scored(behind(door.context, "recipe", door.long(CONTEXT_TOKENS)))
    assert await goes_on(door)


async def test_nothing_to_read_is_refused(door: Door) -> None:
    with pytest.raises(CallerError, match="the prompt is empty"):
        await door.served.model.reading("")
    assert await goes_on(door)


async def test_a_text_of_nothing_is_not_scored(door: Door) -> None:
    with pytest.raises(CallerError, match="the text that is scored is empty; give some text to score"):
        await door.served.model.score((PLAIN,), "")
    assert await goes_on(door)


async def test_what_is_scored_counts_against_the_context(door: Door) -> None:
    message = rf"the prompt and the text that is scored have \d+ tokens, \d+ more than the {CONTEXT_TOKENS} "
    with pytest.raises(CallerError, match=message):
        await door.served.model.score((PLAIN,), "red " * CONTEXT_TOKENS)
    assert await goes_on(door)
