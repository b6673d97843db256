"""What a language model holds goes on bit for bit, hop by hop, and to no other model: real weights on all sides."""

from __future__ import annotations

import filecmp
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import pytest_asyncio

from sensorium.errors import LatentError
from sensorium.latent.frame import Tensor
from sensorium.latent.negotiation import Sent, negotiate
from sensorium.latent.recipe import CUT, ROW, num_positions, num_thoughts
from sensorium.latent.sealing import latent_in
from sensorium.latent.spaces import EMBEDS, KV
from sensorium.model.contract import Message
from sensorium.model.transformers import Score
from sensorium.parts import Blob, Latent
from tests.box.latent_ends import Served, behind, pulled, resealed, serve, tuned, with_other_tokenizer

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]

WIDTH = 576
RUNGS = ("kv", "embeds", "recipe")
PROMPTS = [f"Box {number} is {colour}. " * (number + 1) for number, colour in enumerate(("red", "blue") * 5)]
ALIKE = {"tuned": tuned, "other tokenizer": with_other_tokenizer}
DIFFERS = {"tuned": "model.safetensors", "other tokenizer": "tokenizer.json"}


class Other(NamedTuple):
    """A model that is easily taken for the first one."""

    name: str
    served: Served


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all models have one key and one store."""
    return tmp_path_factory.mktemp("home")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def own(home: Path) -> AsyncIterator[Served]:
    async with serve(pulled(), "1" * 64, home) as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(ALIKE))
async def other(request: pytest.FixtureRequest, home: Path) -> AsyncIterator[Other]:
    name: str = request.param
    directory = ALIKE[name](pulled(), home / name)
    async with serve(directory, "2" * 64, home) as served:
        yield Other(name, served)


async def test_another_looks_alike_and_has_an_identity_of_its_own(own: Served, other: Other) -> None:
    names = sorted(path.name for path in own.directory.iterdir())
    same, different, missing = filecmp.cmpfiles(own.directory, other.served.directory, names, shallow=False)
    assert (different, missing) == ([DIFFERS[other.name]], [])
    assert "config.json" in same
    ends = own.end, other.served.end
    differing = {name for name in own.end.__dataclass_fields__ if len({getattr(end, name) for end in ends}) > 1}
    assert "weights" in differing
    assert differing <= {"weights", "checkpoint"}


async def crossings(sender: Served, context: Latent) -> dict[str, Blob]:
    """The frames in which a context may cross, by rung."""
    kv, embeds = await sender.frames(context, KV, EMBEDS)
    return {"kv": kv, "embeds": embeds, "recipe": sender.sealer.recipe(context)}


@pytest.mark.parametrize("backwards", [False, True], ids=["to the other", "from the other"])
async def test_all_that_one_holds_is_refused_by_another(own: Served, other: Other, backwards: bool) -> None:
    sender, reader = (other.served, own) if backwards else (own, other.served)
    refused = Counter[str]()
    for text in PROMPTS:
        context = await sender.held(text)
        sent = Sent(context.space, context.weights, context.runtime, context.chunks, num_positions(context.load()))
        ladder = negotiate(sent, reader.end)
        assert ladder.steps == ()
        for rung, frame in (await crossings(sender, context)).items():
            assert "its reader has other weights" in dict(ladder.refused)[rung]
            with pytest.raises(LatentError, match="means nothing to another") as refusal:
                await reader.scored(behind(context, rung, frame))
            assert sender.end.weights[:12] in refusal.value.message
            assert reader.end.weights[:12] in refusal.value.message
            refused[rung] += 1
    assert refused == dict.fromkeys(RUNGS, len(PROMPTS))
    assert (await reader.scored(Message("user", "What colour is it?"))).logs


async def test_a_context_of_another_is_given_in_no_space(own: Served, other: Other) -> None:
    context = await other.served.held(PROMPTS[1])
    for space in (KV, EMBEDS):
        with pytest.raises(LatentError, match="means nothing to another"):
            await own.model.give(context, space)


async def equal_bits(served: Served, context: Latent) -> bytes:
    """The logits behind a context: what the model itself comes to, and then by each rung with nothing kept."""
    kv, embeds = await served.frames(context, KV, EMBEDS)
    recipe = served.sealer.recipe(context)
    own = bits(await served.scored(behind(context, "recipe", recipe), fresh=False))
    for rung, frame in (("kv", kv), ("embeds", embeds), ("recipe", recipe)):
        assert bits(await served.scored(behind(context, rung, frame))) == own, rung
    return own


def bits(score: Score) -> bytes:
    assert score.logits is not None
    return score.logits.tobytes()


FIRST = "The box is red. " * 20
SECOND = "\n\nThe other box is blue. " * 12


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("thoughts", [(0, 0), (2, 3)])
async def test_a_context_behind_another_holds_what_both_tell(own: Served, rung: str, thoughts: tuple[int, int]) -> None:
    first = await own.held(FIRST, thoughts[0])
    frame = (await crossings(own, first))[rung]
    second = (await own.model.hold((behind(first, rung, frame, SECOND),), thoughts=thoughts[1])).context
    begun = len(first.load())
    assert second.load()[:begun].tolist() == first.load().tolist()
    assert second.load()[begun] == CUT
    assert num_thoughts(second.load()) == sum(thoughts)
    assert (second.weights, second.runtime, second.chunks) == (first.weights, first.runtime, first.chunks)
    await equal_bits(own, second)


async def test_what_was_held_behind_each_rung_is_the_same(own: Served) -> None:
    first = await own.held(FIRST, 2)
    logits, entries = set[bytes](), set[bytes]()
    for rung, frame in (await crossings(own, first)).items():
        second = (await own.model.hold((behind(first, rung, frame, SECOND),), thoughts=2)).context
        logits.add(await equal_bits(own, second))
        entries.add(second.load().tobytes())
    assert (len(logits), len(entries)) == (1, 1)


def bridged(served: Served, rows: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Latent:
    """What came by a bridge, ready to cross."""
    frame = served.sealer.rows(rows, weights=served.end.weights, made_by="a bridge")
    blob = served.sealer.store.put(rows.tobytes(), "application/octet-stream")
    return Latent("see.patches", "ab" * 32, rows.shape, "float32", blob, rung="bridge", frame=frame)


@pytest.mark.parametrize(("nums", "thoughts"), [((5,), 0), ((70,), 2), ((5, 3), 2)], ids=str)
async def test_rows_that_came_by_a_bridge_are_held_like_any_other(
    own: Served, nums: tuple[int, ...], thoughts: int
) -> None:
    chance = np.random.default_rng(len(nums) + thoughts)
    rows = [(0.1 * chance.standard_normal((num, WIDTH))).astype(np.float32) for num in nums]
    latents = tuple(bridged(own, each) for each in rows)
    message = Message("user", "What do you see?", parts=latents)
    context = (await own.model.hold((message,), thoughts=thoughts)).context
    assert int((context.load() == ROW).sum()) == sum(nums)
    assert context.rows is not None
    kept = latent_in(own.sealer.open(context.rows)).array
    assert kept.tobytes() == np.concatenate(rows).tobytes()
    await equal_bits(own, context)


async def test_16_bits_go_on_bit_for_bit_too_and_take_no_greater_numbers(home: Path) -> None:
    async with serve(pulled(), "3" * 64, home, dtype="bfloat16") as served:
        context = await served.held("The box is red.", 1)
        await equal_bits(served, context)
        (embeds,) = await served.frames(context, EMBEDS)
        num = served.sealer.open(embeds).head.positions
        great = Tensor(np.full((num, WIDTH), 3.4e38, np.float32), "float32")
        with pytest.raises(LatentError, match="too large for bfloat16"):
            await served.scored(behind(context, "embeds", resealed(served.sealer, embeds, {"latent": great})))


async def test_other_rows_are_another_context(own: Served) -> None:
    seen = set[bytes]()
    for scale in (0.1, 0.2):
        latent = bridged(own, np.full((4, WIDTH), scale, np.float32))
        context = (await own.model.hold((Message("user", "What do you see?", parts=(latent,)),))).context
        seen.add(await equal_bits(own, context))
    assert len(seen) == 2


async def test_bridged_rows_go_on_over_two_hops(own: Served) -> None:
    latent = bridged(own, np.random.default_rng(7).normal(0, 0.1, (6, WIDTH)).astype(np.float32))
    first = (await own.model.hold((Message("user", "What do you see?", parts=(latent,)),), thoughts=2)).context
    for rung, frame in (await crossings(own, first)).items():
        second = (await own.model.hold((behind(first, rung, frame, SECOND),))).context
        assert second.rows is not None
        await equal_bits(own, second)
