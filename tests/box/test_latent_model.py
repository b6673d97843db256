"""What a language model holds goes on bit for bit, hop by hop, and to no other model: real weights on all sides."""

from __future__ import annotations

import filecmp
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import pytest_asyncio

from sensorium.errors import LatentError
from sensorium.latent.negotiation import Sent, negotiate
from sensorium.latent.recipe import CUT, ROW, num_positions, num_thoughts
from sensorium.latent.sealing import latent_in
from sensorium.latent.spaces import EMBEDS, KV
from sensorium.model.contract import Message
from sensorium.model.transformers import Score
from sensorium.parts import Blob, Latent
from tests.box.latent_ends import Served, behind, pulled, serve, tuned, with_other_tokenizer

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]

WIDTH = 576
RUNGS = ("kv", "embeds", "recipe")
PROMPTS = [f"Box {number} is {colour}. " * (3 * number + 1) for number, colour in enumerate(("red", "blue") * 5)]


class Alike(NamedTuple):
    """A model, and those that are easily taken for it; all have one key and one store."""

    own: Served
    others: dict[str, Served]


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    own, folder = pulled(), tmp_path_factory.mktemp("checkpoints")
    return {
        "own": own,
        "tuned": tuned(own, folder / "tuned"),
        "other tokenizer": with_other_tokenizer(own, folder / "other"),
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alike(directories: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Alike]:
    home = tmp_path_factory.mktemp("home")
    async with (
        serve(directories["own"], "1" * 64, home) as own,
        serve(directories["tuned"], "2" * 64, home) as fine_tuned,
        serve(directories["other tokenizer"], "3" * 64, home) as other,
    ):
        yield Alike(own, {"tuned": fine_tuned, "other tokenizer": other})


def test_they_look_alike(directories: dict[str, Path]) -> None:
    own, fine_tuned, other = directories.values()
    names = sorted(path.name for path in own.iterdir())
    for directory, differs in ((fine_tuned, "model.safetensors"), (other, "tokenizer.json")):
        same, different, missing = filecmp.cmpfiles(own, directory, names, shallow=False)
        assert (different, missing) == ([differs], [])
        assert "config.json" in same
    assert (own / "model.safetensors").stat().st_size == pytest.approx(
        (fine_tuned / "model.safetensors").stat().st_size, rel=1e-3
    )


@pytest.mark.parametrize("name", ["tuned", "other tokenizer"])
async def test_only_the_weights_identity_tells_them_apart(alike: Alike, name: str) -> None:
    own, other = alike.own.end, alike.others[name].end
    differing = [field for field in own.__dataclass_fields__ if getattr(own, field) != getattr(other, field)]
    assert differing == ["weights"]


async def crossings(sender: Served, context: Latent) -> dict[str, Blob]:
    """The frames in which a context may cross, by rung."""
    kv, embeds = await sender.frames(context, KV, EMBEDS)
    return {"kv": kv, "embeds": embeds, "recipe": sender.sealer.recipe(context)}


@pytest.mark.parametrize("backwards", [False, True], ids=["to the other", "from the other"])
@pytest.mark.parametrize("name", ["tuned", "other tokenizer"])
async def test_all_that_one_holds_is_refused_by_the_other(alike: Alike, name: str, backwards: bool) -> None:
    sender, reader = (alike.others[name], alike.own) if backwards else (alike.own, alike.others[name])
    refused = dict.fromkeys(RUNGS, 0)
    for text in PROMPTS:
        context = await sender.held(text)
        frames = await crossings(sender, context)
        sent = Sent(context.space, context.weights, context.runtime, context.chunks, num_positions(context.load()))
        ladder = negotiate(sent, reader.end)
        assert ladder.steps == ()
        for rung, frame in frames.items():
            assert "its reader has other weights" in dict(ladder.refused)[rung]
            with pytest.raises(LatentError, match="means nothing to another") as refusal:
                await reader.scored(behind(context, rung, frame))
            assert sender.end.weights[:12] in refusal.value.message
            assert reader.end.weights[:12] in refusal.value.message
            refused[rung] += 1
    assert refused == dict.fromkeys(RUNGS, len(PROMPTS))
    assert (await reader.scored(Message("user", "What colour is it?"))).logs


async def test_what_each_holds_it_reads_itself(alike: Alike) -> None:
    logits = {await equal_bits(served, await served.held(PROMPTS[1])) for served in (alike.own, alike.others["tuned"])}
    assert len(logits) == 2


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
@pytest.mark.parametrize("thoughts", [(0, 0), (3, 0), (2, 4)])
async def test_a_context_behind_another_holds_what_both_tell(
    alike: Alike, rung: str, thoughts: tuple[int, int]
) -> None:
    own = alike.own
    first = await own.held(FIRST, thoughts[0])
    frame = (await crossings(own, first))[rung]
    second = (await own.model.hold((behind(first, rung, frame, SECOND),), thoughts=thoughts[1])).context
    begun = len(first.load())
    assert second.load()[:begun].tolist() == first.load().tolist()
    assert second.load()[begun] == CUT
    assert num_thoughts(second.load()) == sum(thoughts)
    assert (second.weights, second.runtime, second.chunks) == (first.weights, first.runtime, first.chunks)
    await equal_bits(own, second)


async def test_what_was_held_behind_each_rung_is_the_same(alike: Alike) -> None:
    own = alike.own
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


@pytest.mark.parametrize("nums", [(1,), (5,), (64,), (70,), (5, 3)], ids=str)
@pytest.mark.parametrize("thoughts", [0, 3])
async def test_rows_that_came_by_a_bridge_are_held_like_any_other(
    alike: Alike, nums: tuple[int, ...], thoughts: int
) -> None:
    chance = np.random.default_rng(len(nums) + thoughts)
    rows = [(0.1 * chance.standard_normal((num, WIDTH))).astype(np.float32) for num in nums]
    latents = tuple(bridged(alike.own, each) for each in rows)
    message = Message("user", "What do you see?", parts=latents)
    context = (await alike.own.model.hold((message,), thoughts=thoughts)).context
    assert int((context.load() == ROW).sum()) == sum(nums)
    assert context.rows is not None
    kept = latent_in(alike.own.sealer.open(context.rows)).array
    assert kept.tobytes() == np.concatenate(rows).tobytes()
    await equal_bits(alike.own, context)


async def test_other_rows_are_another_context(alike: Alike) -> None:
    seen = set[bytes]()
    for scale in (0.1, 0.2):
        latent = bridged(alike.own, np.full((4, WIDTH), scale, np.float32))
        context = (await alike.own.model.hold((Message("user", "What do you see?", parts=(latent,)),))).context
        seen.add(await equal_bits(alike.own, context))
    assert len(seen) == 2


async def test_bridged_rows_go_on_over_two_hops(alike: Alike) -> None:
    own = alike.own
    latent = bridged(own, np.random.default_rng(7).normal(0, 0.1, (6, WIDTH)).astype(np.float32))
    first = (await own.model.hold((Message("user", "What do you see?", parts=(latent,)),), thoughts=2)).context
    for rung, frame in (await crossings(own, first)).items():
        second = (await own.model.hold((behind(first, rung, frame, SECOND),))).context
        assert second.rows is not None
        await equal_bits(own, second)


async def test_a_context_of_another_is_given_in_no_space(alike: Alike) -> None:
    context = await alike.others["tuned"].held(PROMPTS[1])
    for space in (KV, EMBEDS):
        with pytest.raises(LatentError, match="means nothing to another"):
            await alike.own.model.give(context, space)
