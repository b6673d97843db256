"""What three readers of one document cost: `python benchmarks/reading_group.py [--model NAME] [--tokens 2000]`.

One agent reads a document; three others, each in a role of its own, answer about it. Four ways, on one model, in the
same run:

    text            each of the three reads the document, and nothing is kept between them
    text, kept      the same, but what a prompt shares with the last one is not read again (a prefix cache)
    kv              the document is read once, and its keys and values go to each of the three in a sealed frame,
                    who loads them anew
    kv, kept        the same, but what the last one loaded is not loaded again: how one model serves all three
    recipe          the ids go, and the document is read again by each

Prefill is the time from a prompt to its first token, what it takes to hand over and to load included. The answers are
compared token for token, and scored by the fact that was asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import msgspec
from report import Figure, report

from sensorium.checkpoint import Checkpoints
from sensorium.host import WorkerHost
from sensorium.latent.recipe import num_positions
from sensorium.latent.sealing import Sealer
from sensorium.latent.spaces import KV
from sensorium.model import TransformersModel, open_model
from sensorium.model.contract import Ask, Message, Reply
from sensorium.parts import Latent
from sensorium.project import Project
from sensorium.project.folders import home_folder
from sensorium.spec.projectfile import ModelSetting
from sensorium.store import Store

ROLES = (
    "Answer the question from the text above in one short sentence.",
    "You are a clerk. Give the answer from the text above as a bare word or number.",
    "You explain to a child. Answer from the text above in plain words.",
)
WAYS = ("text", "text, kept", "kv", "kv, kept", "recipe")
LEAST_RATIO = 2.5
_SHIPS = (
    "Anna",
    "Grey Heron",
    "Patience",
    "North Star",
    "Two Sisters",
    "Kestrel",
    "Marigold",
    "Old Tom",
    "Swift",
    "Hope",
)
_PORTS = ("Riga", "Bergen", "Lisbon", "Hull", "Danzig", "Cork", "Ostend", "Malmo", "Leith", "Brest")
_GOODS = ("tar", "herring", "salt", "timber", "wool", "wine", "slate", "barley", "rope", "iron")
_MONTHS = ("March", "April", "May", "June", "July", "August", "September", "October", "November", "February")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a harbour's book."""

    day: int
    month: str
    ship: str
    port: str
    count: int
    goods: str

    @property
    def line(self) -> str:
        """As it stands in the book."""
        return (
            f"On {self.day} {self.month} the {self.ship} came in from {self.port} with {self.count} casks of "
            f"{self.goods}."
        )


@dataclass(slots=True)
class Way:
    """What one way came to."""

    prefill_s: list[float] = field(default_factory=list[float])
    """Of each question: all three readers, and the reading before them."""
    answers: list[str] = field(default_factory=list[str])
    num_right: int = 0
    num_bytes: int = 0
    """What crossed, for each question."""


def book(num_entries: int, seed: int = 7) -> list[Entry]:
    """Entries no two of which share ship and month."""
    draw = random.Random(seed)
    pairs = [(ship, month) for ship in _SHIPS for month in _MONTHS]
    draw.shuffle(pairs)
    entries: list[Entry] = []
    for ship, month in pairs[:num_entries]:
        day, count = draw.randint(1, 28), draw.randint(11, 99)
        entries.append(Entry(day, month, ship, draw.choice(_PORTS), count, draw.choice(_GOODS)))
    return entries


async def first(model: TransformersModel, latent: Latent, asked: str, *, fresh: bool) -> float:
    """Seconds from the call until the first token, with all that it takes to bring the latent there and open it."""
    began_s = perf_counter()
    usage = (await model.score((Message("user", asked, (latent,)),), "The", fresh=fresh)).usage
    return perf_counter() - began_s - (usage.seconds - usage.first_token_s)


async def answer(model: TransformersModel, latent: Latent, asked: str) -> str:
    """The greedy reply."""
    ask = Ask((Message("user", asked, (latent,)),), max_tokens=24)
    return [event async for event in model.ask(ask) if isinstance(event, Reply)][-1].text


async def crossing(model: TransformersModel, held: Latent, way: str) -> Latent:
    """What was held, ready to go by a way."""
    if way.startswith("kv"):
        return msgspec.structs.replace(held, rung="kv", frame=(await model.give(held, KV)).blob)
    if way == "recipe":
        return msgspec.structs.replace(held, rung="recipe", frame=model.sealer.recipe(held))
    return msgspec.structs.replace(held, rung="text")


async def measure(model: TransformersModel, document: str, entry: Entry, ways: dict[str, Way]) -> None:
    """One question, by all ways."""
    question = f"From where did the {entry.ship} come in {entry.month}?"
    await model.score((Message("user", "Another text."),), "The", fresh=True)  # nothing of the document is kept
    began_s = perf_counter()
    held = msgspec.structs.replace((await model.hold((Message("user", document),))).context, twin=document)
    handed = await crossing(model, held, "kv")
    handing_s = perf_counter() - began_s
    for name, way in ways.items():
        latent = handed if name.startswith("kv") else await crossing(model, held, name)
        spent_s = handing_s if name.startswith("kv") else 0.0  # by the other ways, nobody need read it beforehand
        await model.score((Message("user", "Another text."),), "The", fresh=True)
        for role in ROLES:
            asked = f"\n\n{role}\n\n{question}"
            spent_s += await first(model, latent, asked, fresh=not name.endswith("kept"))
            said = await answer(model, latent, asked)
            way.answers.append(said)
            way.num_right += entry.port.lower() in said.lower()
        way.prefill_s.append(spent_s)
        way.num_bytes = len(document.encode()) if latent.frame is None else latent.frame.size_bytes
        print(f"{question} {name}: {spent_s:.2f} s, {way.answers[-3:]}", flush=True)


async def main() -> None:
    """Measures, prints the table, and keeps it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-transformers")
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--dtype", default="float32", help="bfloat16 is slow on a CPU without instructions for it")
    parser.add_argument("--questions", type=int, default=2)
    options = parser.parse_args()
    checkpoints = Checkpoints(home_folder(), Project(None).manifests)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        store = Store(home / "store")
        host = WorkerHost(home, store)
        model = open_model(
            "central",
            ModelSetting(checkpoint=options.model, backend="transformers", dtype=options.dtype),
            checkpoint=checkpoints.directory(options.model),
            digest=checkpoints.digest(options.model),
            host=host,
            keep_warm_s=0,
            sealer=Sealer(store, home),
        )
        assert isinstance(model, TransformersModel)
        num_entries = options.tokens // 21
        entries = book(num_entries)
        document = "The book of the harbour of Tarrow. " + " ".join(entry.line for entry in entries)
        ways = {name: Way() for name in WAYS}
        for index in range(options.questions):
            await measure(model, document, entries[(index + 1) * len(entries) // (options.questions + 1)], ways)
        num_tokens = num_positions((await model.hold((Message("user", document),))).context.load())
        await host.unload(model.binding)
        await host.close()
    told = {name: statistics.median(way.prefill_s) for name, way in ways.items()}
    same = sum(len({way.answers[place] for way in ways.values()}) == 1 for place in range(len(ways["kv"].answers)))
    num_asked = len(ROLES) * options.questions
    for name, way in ways.items():
        print(f"{name:11} {told[name]:8.2f} s  {way.num_bytes:12,} bytes  {way.num_right} of {num_asked} right")
    report(
        f"reading_group-{options.model.removesuffix('-transformers')}",
        [
            Figure("prefill as text over prefill by kv", told["text"] / told["kv"], LEAST_RATIO, at_most=False),
            Figure("the same, what was loaded being kept", told["text"] / told["kv, kept"], LEAST_RATIO, at_most=False),
            Figure("answers that are the same, token for token", same / num_asked, 1.0, at_most=False),
        ],
        model=options.model,
        dtype=options.dtype,
        document_tokens=num_tokens,
        questions=options.questions,
        prefill_s=told,
        text_over_kept=told["text"] / told["text, kept"],
        bytes={name: way.num_bytes for name, way in ways.items()},
        right={name: f"{way.num_right} of {num_asked}" for name, way in ways.items()},
    )


if __name__ == "__main__":
    asyncio.run(main())
