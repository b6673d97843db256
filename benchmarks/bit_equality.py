"""Whether latents cross between processes bit for bit: `benchmarks/bit_equality.py [--prompts N] [--state FILE]`.

Two processes serve SmolLM2-135M. One reads a prompt, in some cases thinks behind it, and hands on what it holds; the
other answers a question about it. What the first computes when it goes on from what it holds itself is the measure: the
second has to come to the same logits, all bits of all tokens of a reply, by each rung. `ids` is the prompt as text, of
which the reader makes its own tokens. Thoughts have no words, so there it has no place.

Bits hold while both read in chunks of one size. So `kv` must be refused in every case where the sizes differ: by the
negotiation before anything is sent, and by the worker that gets such a frame nevertheless. What that guards against is
counted beside it: the same prompt, read in other chunks.

Needs the checkpoint smollm2-135m-transformers and some 4 GB of disk for a while. With a file for its state, it goes on
behind the last prompt that it finished there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from report import RESULTS, Figure, report

from sensorium.checkpoint import Checkpoints
from sensorium.errors import LatentError
from sensorium.host import WorkerHost
from sensorium.latent.negotiation import Sent, negotiate
from sensorium.latent.recipe import CUT, Recipe, num_positions, num_thoughts
from sensorium.latent.sealing import Sealer, latent_in
from sensorium.latent.spaces import EMBEDS, KV, End
from sensorium.model import TransformersModel, open_model
from sensorium.model.contract import Message
from sensorium.model.transformers import Score
from sensorium.parts import Blob, Latent
from sensorium.project import Project
from sensorium.project.folders import home_folder
from sensorium.spec.projectfile import ModelSetting
from sensorium.store import Store

PROMPTS = 200
CHECKPOINT = "smollm2-135m-transformers"
DTYPES = ("float32", "bfloat16")
RUNGS = ("ids", "recipe", "embeds", "kv")
SENTENCES = Path(__file__).with_name("sentences.txt")
MOST_WORDS = 270
LEAST_WORDS = 17
THOUGHTFUL_EVERY = 10
"""One prompt of so many is also handed on with thoughts behind it."""
MOST_THOUGHTS = 4
OTHER_CHUNKS = (16, 32, 63, 65, 128, 256)
"""Sizes of chunks that a reader may have instead."""
READ_IN = 32
"""Tokens of the chunks in which prompts are read again, to see what becomes of their bits."""
QUESTION = "\n\nWhat is told here?"
REPLY = "It tells of several things"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two processes that serve one model."""

    sender: TransformersModel
    reader: TransformersModel
    end: End
    """Who both are."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a sender holds of one prompt."""

    text: str
    context: Latent
    frames: dict[str, Blob | None]
    """How it crosses, by rung."""


def prompts(num: int, seed: int = 5) -> Iterator[str]:
    """Texts, each longer than the one before by the same share; most end within a sentence."""
    chance = random.Random(seed)
    sentences = SENTENCES.read_text(encoding="utf-8").split("\n")
    for number in range(num):
        num_words = round(LEAST_WORDS * (MOST_WORDS / LEAST_WORDS) ** (number / max(num - 1, 1)))
        words: list[str] = []
        while len(words) < num_words:
            words += chance.choice(sentences).split()
        yield f"{number + 1}. {' '.join(words[:num_words])}"


@asynccontextmanager
async def pair(dtype: str, home: Path) -> AsyncIterator[Pair]:
    """Both processes, which share a key and a store; they end with this."""
    checkpoints = Checkpoints(home_folder(), Project(None).manifests)
    directory, digest = checkpoints.directory(CHECKPOINT), checkpoints.digest(CHECKPOINT)
    store = Store(home / "store")
    host, sealer = WorkerHost(home, store), Sealer(store, home)
    models: list[TransformersModel] = []
    try:
        for context_tokens in (1024, 1025):  # bindings that differ have processes of their own
            setting = ModelSetting(
                checkpoint=CHECKPOINT, backend="transformers", dtype=dtype, context_tokens=context_tokens
            )
            model = open_model(
                "central", setting, checkpoint=directory, digest=digest, host=host, keep_warm_s=0, sealer=sealer
            )
            assert isinstance(model, TransformersModel)
            models.append(model)
        sender, reader = models
        end = await sender.end()
        assert end == await reader.end(), "the two ends differ"
        pids = {state.pid for state in await host.stats()}
        assert len(pids) == 2, f"two processes, and there are {len(pids)}"
        yield Pair(sender, reader, end)
    finally:
        for model in models:
            await host.unload(model.binding)
        await host.close()


async def held(ends: Pair, text: str, num_thoughts: int) -> Case:
    """What the sender holds of a text, in the frames of all rungs."""
    context = (await ends.sender.hold((Message("user", text),), thoughts=num_thoughts)).context
    frames: dict[str, Blob | None] = {} if num_thoughts else {"ids": None}
    frames["recipe"] = ends.sender.sealer.recipe(context)
    for rung, space in (("embeds", EMBEDS), ("kv", KV)):
        frames[rung] = (await ends.sender.give(context, space)).blob
    return Case(text, context, frames)


async def score(model: TransformersModel, case: Case, rung: str, frame: Blob | None, *, fresh: bool = True) -> Score:
    """The reply's logits behind what crosses by a rung."""
    named = "text" if rung == "ids" else rung
    crossing = msgspec.structs.replace(case.context, rung=named, frame=frame, twin=case.text)
    messages = (Message("user", QUESTION, parts=(crossing,)),)
    return await model.score(messages, REPLY, logits=True, fresh=fresh)


def bits(scored: Score) -> bytes:
    """All bits of the logits."""
    assert scored.logits is not None
    return scored.logits.tobytes()


def read_otherwise(recipe: Recipe) -> Recipe:
    """The same tokens, in other chunks."""
    places = range(READ_IN, len(recipe), READ_IN)
    return np.insert(recipe, places, CUT).astype(np.int32)


async def in_other_chunks(ends: Pair, case: Case, own: Score, counts: Counter[str]) -> float:
    """Counts what becomes of the bits when a prompt is read in other chunks; the greatest difference of a logit."""
    context, sealer = case.context, ends.sender.sealer
    assert own.logits is not None
    entries = read_otherwise(context.load())
    assert len(entries) > len(context.load()), "the prompt fits into one chunk of either size"
    fields = {"weights": context.weights, "runtime": context.runtime, "chunks": READ_IN}
    scored = await score(ends.reader, case, "recipe", sealer.recipe(sealer.context(entries, None, **fields)))
    assert scored.logits is not None
    counts["read in other chunks"] += 1
    counts["read in other chunks: other bits"] += bits(scored) != bits(own)
    counts["read in other chunks: another likeliest token"] += scored.likeliest != own.likeliest
    return float(np.abs(scored.logits - own.logits).max())


def negotiated(ends: Pair, case: Case, counts: Counter[str]) -> None:
    """Counts how the negotiation judges `kv` to a reader whose chunks are the same, and to readers whose are not."""
    context, entries = case.context, case.context.load()
    thoughts = num_thoughts(entries)
    sent = Sent(
        context.space,
        context.weights,
        context.runtime,
        context.chunks,
        num_positions(entries),
        thoughts,
        twin=None if thoughts else case.text,
    )
    counts["equal chunks negotiated"] += 1
    counts["equal chunks negotiated: kv"] += negotiate(sent, ends.end).steps[0].rung == "kv"
    for chunks in OTHER_CHUNKS:
        for one, reader in (
            (sent, replace(ends.end, chunks=chunks)),
            (replace(sent, chunks=chunks), ends.end),
        ):
            ladder = negotiate(one, reader)
            told = f"read in chunks of {one.chunks} tokens, and its reader's are {reader.chunks}"
            counts["other chunks negotiated"] += 1
            counts["other chunks negotiated: kv refused"] += ("kv", told) in ladder.refused and all(
                step.rung != "kv" for step in ladder.steps
            )


async def at_the_door(ends: Pair, case: Case, counts: Counter[str]) -> None:
    """Counts whether the worker refuses keys and values of other chunks that nobody negotiated."""
    sealer, blob = ends.sender.sealer, case.frames["kv"]
    assert blob is not None
    frame = sealer.open(blob)
    forged = sealer.seal(msgspec.structs.replace(frame.head, chunks=READ_IN), {"latent": latent_in(frame)})
    counts["frames of other chunks"] += 1
    try:
        await score(ends.reader, case, "kv", forged)
    except LatentError as error:
        counts["frames of other chunks: refused"] += "chunks of" in error.message


async def cross(ends: Pair, case: Case, counts: Counter[str]) -> Score:
    """Counts by which rungs the reader comes to the sender's bits; what the sender itself computed."""
    kind = "thoughts" if num_thoughts(case.context.load()) else "prompts"
    own = await score(ends.sender, case, "recipe", case.frames["recipe"], fresh=False)
    assert own.usage.cached_tokens >= num_positions(case.context.load()), "the sender goes on from what it holds"
    counts[kind] += 1
    for rung, frame in case.frames.items():
        counts[f"{kind}: {rung}"] += bits(await score(ends.reader, case, rung, frame)) == bits(own)
    return own


@dataclass(slots=True)
class Tally:
    """What was counted over prompts of one element type, each kept as soon as it is finished."""

    key: list[object]
    """What the counts are of: those of another key are not gone on from."""
    state: Path | None
    counts: Counter[str] = field(default_factory=Counter[str])
    positions: list[int] = field(default_factory=list[int])
    greatest: float = 0.0
    """Difference of a logit in other chunks."""

    def __post_init__(self) -> None:
        lines = self.state.read_text(encoding="utf-8").splitlines() if self.state and self.state.exists() else []
        for line in map(json.loads, lines):
            if line["key"] == self.key:
                self._add(line)

    def finish(self, counts: Counter[str], positions: int, difference: float) -> None:
        """Takes in one prompt."""
        line = {"key": self.key, "counts": dict(counts), "positions": positions, "difference": difference}
        self._add(line)
        if self.state is not None:
            with self.state.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def _add(self, line: dict[str, Any]) -> None:
        self.counts.update(line["counts"])
        self.positions.append(line["positions"])
        self.greatest = max(self.greatest, line["difference"])


async def judged(ends: Pair, number: int, text: str, tally: Tally) -> None:
    """Everything that is counted of one prompt."""
    counts: Counter[str] = Counter()
    case = await held(ends, text, 0)
    own = await cross(ends, case, counts)
    negotiated(ends, case, counts)
    await at_the_door(ends, case, counts)
    difference = await in_other_chunks(ends, case, own, counts)
    if number % THOUGHTFUL_EVERY == 0:
        thoughtful = await held(ends, text, 1 + number // THOUGHTFUL_EVERY % MOST_THOUGHTS)
        await cross(ends, thoughtful, counts)
        negotiated(ends, thoughtful, counts)
    tally.finish(counts, num_positions(case.context.load()), difference)


async def measured(dtype: str, texts: Sequence[str], state: Path | None) -> tuple[Counter[str], dict[str, object]]:
    """Counts over all prompts, and what stands beside them."""
    with tempfile.TemporaryDirectory() as folder:
        async with pair(dtype, Path(folder)) as ends:
            tally = Tally([ends.end.weights, ends.end.runtime, len(texts), READ_IN, THOUGHTFUL_EVERY], state)
            began_s = time.monotonic()
            for number, text in list(enumerate(texts))[len(tally.positions) :]:
                await judged(ends, number, text, tally)
                print(f"{dtype}: {number + 1} of {len(texts)}, {time.monotonic() - began_s:.0f} s", flush=True)
    middle = sorted(tally.positions)[len(tally.positions) // 2]
    beside: dict[str, object] = {
        "runtime": ends.end.runtime,
        "weights": ends.end.weights,
        "chunks": ends.end.chunks,
        "positions, least, middle and most": [min(tally.positions), middle, max(tally.positions)],
        "greatest difference of a logit in other chunks": tally.greatest,
    }
    return tally.counts, beside


def figures(dtype: str, counts: Counter[str]) -> Iterator[Figure]:
    """What has to hold in all cases."""
    for kind, rungs in (("prompts", RUNGS), ("thoughts", RUNGS[1:])):
        for rung in rungs:
            name = f"{dtype}, {rung}: {'prompts' if kind == 'prompts' else 'prompts with thoughts'} with the same bits"
            yield Figure(name, counts[f"{kind}: {rung}"], counts[kind], at_most=False, unit=f"of {counts[kind]}")
    for cases, outcome in (
        ("equal chunks negotiated", "kv"),
        ("other chunks negotiated", "kv refused"),
        ("frames of other chunks", "refused"),
    ):
        num = counts[cases]
        yield Figure(
            f"{dtype}, {cases}: {outcome}", counts[f"{cases}: {outcome}"], num, at_most=False, unit=f"of {num}"
        )


async def main(num: int, results: Path, state: Path | None) -> None:
    """Measures both element types, and keeps the figures."""
    texts = list(islice(prompts(num), num))
    reached: list[Figure] = []
    details: dict[str, object] = {}
    for dtype in DTYPES:
        counts, beside = await measured(dtype, texts, state)
        reached += figures(dtype, counts)
        details[dtype] = {"counts": dict(counts), **beside}
        for name, value in {**counts, **beside}.items():
            print(f"{dtype}: {name} = {value}", flush=True)
    report("bit_equality", reached, folder=results, checkpoint=CHECKPOINT, read_in_chunks_of=READ_IN, by_dtype=details)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.prompts, arguments.results, arguments.state))
