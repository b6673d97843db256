"""How few positions a page of text can be read in: `python benchmarks/positions.py [--model NAME] [--tokens 800]`.

A page is as many passages as have so many tokens; the questions are those that were written about them. A language
model answers each from the page alone, which it gets as one of:

    nothing         the question alone: what can be guessed
    text            its tokens
    embeds          their input embeddings, handed over as rows
    soft prompt     rows by a trained bridge of the box, half as many or fewer
    pooled ×2, ×4   means of neighbouring input embeddings
    screenshot      a picture of the page, where `--sight PROFILE` names a profile whose central model reads pictures;
                    it is asked about the text too, since it is another model

Accuracy is the share of replies that hold the word asked for, with the interval over questions; positions are what the
page fills of the model's context. Prints the table, and writes `results/positions-MODEL-TOKENS.json`.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import wrap
from typing import Any

import msgspec
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from report import Figure, report
from tokenizers import Tokenizer

from sensorium import media
from sensorium.evaluation.wire_ends import opened, setting_of
from sensorium.evaluation.wire_pair import Pair
from sensorium.evaluation.wire_tasks import QUESTIONS, Continuation, passages
from sensorium.latent.spaces import EMBEDS, KV
from sensorium.latent.ways import bridge_tap
from sensorium.model.contract import Ask, Message, MessagePart, Model, Reply
from sensorium.parts import Image
from sensorium.project import Project
from sensorium.store import Store

ANSWER_TOKENS = 16
LINE_CHARACTERS, FONT_POINTS, MARGIN = 78, 14, 12
RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Page:
    """A text, and what is asked about it."""

    text: str
    asked: tuple[Continuation, ...]


@dataclass(slots=True)
class Way:
    """What a model came to when it got its pages in one way."""

    positions: list[int] = field(default_factory=list[int])
    """Of each page."""
    is_right: list[bool] = field(default_factory=list[bool])
    """Of each reply."""

    def told(self) -> dict[str, Any]:
        """Its line of the table."""
        right = np.array(self.is_right, float)
        draws = np.random.default_rng(0).integers(0, len(right), (RESAMPLES, len(right)))
        low, high = np.percentile(right[draws].mean(1), [2.5, 97.5])
        return {
            "positions": float(np.mean(self.positions)),
            "accuracy": float(right.mean()),
            "interval": [float(low), float(high)],
            "questions": len(right),
        }


def pages(num_tokens: int, length: Callable[[str], int]) -> list[Page]:
    """All passages, in order, as pages that have at least so many tokens each; what is left over makes no page."""
    found: list[Page] = []
    texts: list[str] = []
    asked: list[Continuation] = []
    for passage in passages().passages:
        texts.append(passage.text)
        asked += [one for one in passage.continuations if one.task == QUESTIONS]
        if length(text := "\n\n".join(texts)) >= num_tokens:
            found.append(Page(text, tuple(asked)))
            texts, asked = [], []
    if not found:
        raise SystemExit(f"all passages together have fewer than {num_tokens} tokens; give fewer with --tokens")
    return found


def screenshot(text: str) -> PillowImage.Image:
    """The page as black letters on white."""
    font = ImageFont.load_default(FONT_POINTS)
    lines = [line for paragraph in text.split("\n\n") for line in (*wrap(paragraph, LINE_CHARACTERS), "")]
    height = round(1.3 * FONT_POINTS)
    width = max(round(font.getlength(line)) for line in lines)
    drawn = PillowImage.new("RGB", (width + 2 * MARGIN, height * len(lines) + 2 * MARGIN), "white")
    pen = ImageDraw.Draw(drawn)
    for number, line in enumerate(lines):
        pen.text((MARGIN, MARGIN + height * number), line, "black", font)
    return drawn


async def parts_of(pair: Pair, page: Page) -> AsyncIterator[tuple[str, tuple[MessagePart, ...], int]]:
    """The ways in which a language model can get a page: name, what stands before the question, positions."""
    read = await pair.read(page.text)
    embeds = await pair.give(read, EMBEDS)
    rows = embeds.numbers[read.start :]
    yield "nothing", (), 0
    yield "text", (pair.text(read, page.text),), len(read.ids)
    yield "embeds", (pair.framed(read, "embeds", embeds.frame),), len(rows)
    for bridge in pair.bridges:
        if bridge.spec.stride > 1:
            states = (await pair.give(read, bridge_tap(bridge))).numbers[read.start :]
            crossed = bridge.cross(states)
            yield f"soft prompt ×{bridge.spec.stride}", (pair.rows(read, crossed),), len(crossed)
    for stride in (2, 4):
        pooled = np.stack([rows[at : at + stride].mean(0) for at in range(0, len(rows), stride)])
        yield f"pooled ×{stride}", (pair.rows(read, pooled),), len(pooled)


async def once(pair: Pair, parts: tuple[MessagePart, ...]) -> tuple[MessagePart, ...]:
    """The same, read once for all questions: as keys and values, from which no reply differs."""
    if not parts:
        return ()
    model = pair.receiver.model
    context = (await model.hold((Message("user", "", parts),))).context
    return (msgspec.structs.replace(context, rung="kv", frame=(await model.give(context, KV)).blob),)


async def reply(model: Model, parts: tuple[MessagePart, ...], request: str) -> Reply:
    """What a model says greedily to a request behind what stands before it."""
    ask = Ask((Message("user", request.strip() if not parts else request, parts),), max_tokens=ANSWER_TOKENS)
    async with aclosing(model.ask(ask)) as events:
        *_, last = [event async for event in events]
    assert isinstance(last, Reply)
    return last


async def read_by(project: Project, name: str, dtype: str, found: Sequence[Page]) -> dict[str, Way]:
    """All ways but the picture, by a language model on transformers."""
    ways: dict[str, Way] = {}
    setting = setting_of(project, name, dtype)
    async with opened(project, (setting, setting)) as pair:
        for number, page in enumerate(found, 1):
            async for way, parts, positions in parts_of(pair, page):
                kept = ways.setdefault(way, Way())
                kept.positions.append(positions)
                read = await once(pair, parts)
                for one in page.asked:
                    kept.is_right.append(one.is_right((await reply(pair.receiver.model, read, one.request)).text))
            pair.let_go()
            print(f"page {number} of {len(found)}", flush=True)
    return ways


def counter(project: Project, name: str) -> Callable[[str], int]:
    """Counts the tokens of a text, as a checkpoint's tokenizer has them."""
    tokenizer = Tokenizer.from_file(str(project.checkpoints.directory(name) / "tokenizer.json"))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


async def seen_by(profile: str, found: Sequence[Page]) -> dict[str, Way]:
    """The page as a picture, and as text, by a profile's central model."""
    project = Project.find(profile=profile)
    ways = {"text, the model that sees": Way(), "screenshot": Way()}
    try:
        model = await project.model("central")
        if "image" not in model.reads:
            raise SystemExit(f"the central model of profile {profile} reads no pictures; name one that does")
        with TemporaryDirectory() as folder:
            store = Store(Path(folder))
            for page in found:
                drawn = screenshot(page.text)
                picture = Image(store.put(media.encode_png(drawn), "image/png"), drawn.width, drawn.height)
                blind = (await reply(model, (), page.asked[0].request)).usage.prompt_tokens
                for way, parts, before in (
                    ("text, the model that sees", (), page.text),
                    ("screenshot", (picture,), ""),
                ):
                    replies = [await reply(model, parts, before + one.request) for one in page.asked]
                    ways[way].positions.append(replies[0].usage.prompt_tokens - blind)
                    ways[way].is_right += [
                        one.is_right(said.text) for one, said in zip(page.asked, replies, strict=True)
                    ]
    finally:
        await project.close()
    return ways


async def main() -> None:
    """Measures, prints the table, and keeps it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b-transformers")
    parser.add_argument("--dtype", default="float32", help="bfloat16 is slow on a CPU without instructions for it")
    parser.add_argument("--tokens", type=int, default=800, help="least tokens of a page; 1 for a page of each passage")
    parser.add_argument("--sight", metavar="PROFILE", help="a profile whose central model reads pictures")
    parser.add_argument("--page", type=Path, metavar="FILE.png", help="keeps the picture of the first page")
    options = parser.parse_args()
    project = Project(None)
    found = pages(options.tokens, counter(project, options.model))
    if options.page:
        screenshot(found[0].text).save(options.page)
    ways = await read_by(project, options.model, options.dtype, found)
    if options.sight:
        ways |= await seen_by(options.sight, found)
    lines = {name: way.told() for name, way in ways.items()}
    for name, line in lines.items():
        low, high = line["interval"]
        print(f"{name:28}{line['positions']:8.0f} positions{line['accuracy']:8.1%} [{low:.1%}, {high:.1%}]")
    text = lines["text"]
    half = [line["accuracy"] for line in lines.values() if 0 < line["positions"] <= text["positions"] / 1.9]
    report(
        f"positions-{options.model.removesuffix('-transformers')}-{options.tokens}",
        [
            Figure("accuracy by embeds over text", lines["embeds"]["accuracy"] / text["accuracy"], 1.0, at_most=False),
            Figure("best in half the positions over text", max(half) / text["accuracy"], 1.0, at_most=False),
        ],
        model=options.model,
        dtype=options.dtype,
        pages=len(found),
        ways=lines,
    )
    await project.close()


if __name__ == "__main__":
    asyncio.run(main())
