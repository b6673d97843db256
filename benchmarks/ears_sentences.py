"""Sentences for a model that learns to hear: made of a small grammar, and read from folders of prose."""

from __future__ import annotations

import gzip
import html
import random
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["KINDS", "WORD", "Made", "free_sentences", "is_held_out", "made_sentences", "spoken_words"]

KINDS = {
    "colour": "red blue green yellow black white brown purple orange grey pink silver golden",
    "animal": "dog cat horse cow sheep rabbit fox wolf lion tiger bear elephant monkey mouse snake frog eagle owl duck "
    "goose chicken whale dolphin shark spider bee butterfly donkey goat camel",
    "number": "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen twenty thirty "
    "forty fifty sixty hundred",
    "place": "London Paris Rome Berlin Madrid Boston Chicago Dublin Tokyo Moscow Vienna Sydney Texas Canada Mexico "
    "India China Egypt Norway Greece",
    "food": "bread cheese butter soup rice fish chicken apples oranges bananas grapes cake chocolate coffee tea milk "
    "salad pizza pasta honey potatoes carrots eggs sugar",
    "thing": "book letter lamp chair table basket bottle hammer knife candle mirror blanket umbrella coat hat shoe key "
    "clock radio camera guitar piano bicycle boat ticket map bag box cup plate pencil newspaper",
    "name": "John Mary Peter Anna David Sarah Thomas Emma Robert Laura James Alice Michael Julia Daniel Susan George "
    "Helen Martin Nancy",
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "weather": "rain snow wind fog thunder sunshine ice hail",
    "job": "doctor teacher farmer baker nurse painter driver sailor soldier lawyer judge writer singer butcher "
    "carpenter engineer gardener waiter pilot student",
    "room": "kitchen garden bedroom garage cellar attic hall office library bathroom",
}
"""Words of each kind that the grammar chooses from."""

_FRAMES = """\
The {colour} {animal} is sleeping in the {room}
{name} bought {number} {colour} candles in {place} last week
On {day} the {job} will travel to {place} by train
There was heavy {weather} in {place} on {day} morning
Please put the {thing} next to the {colour} door in the {room}
My brother {name} wants some {food} and a glass of water
The old {job} found a {thing} under the bridge
We saw {number} birds and a {animal} near the river
{name} gave the {thing} to the {job} before dinner
I would like to order {food} for {number} people
Nobody told {name} about the {animal} in the {room}
The {job} from {place} has a very large {animal}
Can you bring the {colour} {thing} to my office on {day}
After the {weather} stopped we ate {food} in the {room}
She painted the {thing} {colour} and sent it to {place}
The shop in {place} sells {food} for {number} dollars
{name} heard the {animal} behind the house on {day} night
It took the {job} {number} hours to repair the {thing}
They keep a {colour} {animal} on the farm near {place}
Because of the {weather} the {job} stayed at home on {day}
The children gave {food} to the {animal} in the {room}
My sister works as a {job} in {place} and likes {food}
Yesterday {name} lost a {colour} {thing} at the station
You will find the {thing} in the {room} behind the {number} boxes
The {animal} ran away when the {weather} began
Did {name} remember to buy {food} on {day}
In {place} the {weather} lasted for {number} days
He wrote about a {animal} and a {job} who lived together
Take the {colour} {thing} and the {food} with you
We are going to meet {name} in the {room} at {number} o'clock
The {job} said that {name} likes the {colour} one
A small {animal} was sitting on the {thing} in the {room}
"""


@dataclass(frozen=True, slots=True)
class Made:
    """A sentence of the grammar."""

    text: str
    choices: dict[str, str]
    """Which word stands in it, for each kind; no kind stands twice."""


WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")


def made_sentences(seed: int) -> Iterator[Made]:
    """Sentences of the grammar without end, in which no word is of two of its kinds."""
    rng = random.Random(seed)
    frames = _FRAMES.splitlines()
    while True:
        frame = rng.choice(frames)
        kinds = re.findall(r"\{(\w+)\}", frame)
        choices = {kind: rng.choice(KINDS[kind].split()) for kind in kinds}
        if len(set(choices.values())) == len(choices):
            end = "?" if frame.startswith(("Can ", "Did ")) else "."
            yield Made(_article(frame.format(**choices)) + end, choices)


def _article(text: str) -> str:
    return re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", text)


def is_held_out(text: str) -> bool:
    """Whether a sentence is kept for testing: one in twenty, by its words alone."""
    return zlib.crc32(" ".join(spoken_words(text)).lower().encode()) % 20 == 0


def spoken_words(text: str) -> list[str]:
    """The words of a sentence as they are written, without punctuation."""
    return WORD.findall(text)


_PLAIN = re.compile(r"[A-Z][A-Za-z]*(?:'[a-z]+)?(?:,? [A-Za-z]+(?:'[a-z]+)?){3,13}[.?!]")
_SENTENCE = re.compile(r"(?<=[.?!])[\"')]*\s+")


def free_sentences(folders: list[Path], seed: int) -> list[str]:
    """Sentences of four to fourteen words, each once, in an order of chance, from the prose below `folders`."""
    found: dict[str, None] = {}
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        if path.suffix in {".txt", ".html", ".gz", ""} and path.stat().st_size < 8 << 20:
            for sentence in _sentences(path):
                found.setdefault(sentence)
    sentences = list(found)
    random.Random(seed).shuffle(sentences)
    return sentences


def _sentences(path: Path) -> Iterator[str]:
    data = path.read_bytes()
    try:
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, UnicodeDecodeError, zlib.error, EOFError):
        return
    if path.suffix == ".html":
        text = html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r"</(?:p|h\d|li|td|div)>", "\n\n", text)))
    for paragraph in re.split(r"\n\s*\n|\n%\n|\n\s*--", text):
        for sentence in _SENTENCE.split(" ".join(paragraph.split())):
            if _PLAIN.fullmatch(sentence):
                yield sentence
