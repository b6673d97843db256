"""Word error rate of `transcribe` on the recordings of Debian's pocketsphinx-testdata.

    python benchmarks/transcribe.py [--profile NAME]

Both texts are compared in small letters, without punctuation, hyphens as spaces, `mr` as `mister`, numbers as words.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import jiwer
from report import Figure, report

import sensorium

DATA = Path("/usr/share/pocketsphinx/test/data")
FOLDERS = {"librivox": "transcription", "cards": "cards.transcription"}
LIMIT = 0.08
NUMBERS = """
zero one two three four five six seven eight nine ten
eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty
"""


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording and what is said in it."""

    path: Path
    said: str


def clips(folder: str) -> list[Clip]:
    """The recordings of one folder of the package."""
    lines = (DATA / folder / FOLDERS[folder]).read_text().splitlines()
    found = (re.fullmatch(r"<s> (.*?) *</s> \((.+)\)", line) for line in lines)
    return [Clip(DATA / folder / f"{match[2]}.wav", match[1]) for match in found if match]


def words() -> jiwer.Compose:
    """What both texts go through before they are compared."""
    numbers = {rf"\b{number}\b": word for number, word in enumerate(NUMBERS.split())}
    return jiwer.Compose([
        jiwer.ToLowerCase(),
        jiwer.SubstituteRegexes({r"\bmr\b\.?": "mister", "-": " ", **numbers}),
        jiwer.RemovePunctuation(),
        jiwer.RemoveMultipleSpaces(),
        jiwer.Strip(),
        jiwer.ReduceToListOfListOfWords(),
    ])  # fmt: skip


def error_rate(said: list[str], heard: list[str]) -> float:
    """Words that are wrong, missing or too many, by the number of words said."""
    return float(jiwer.wer(said, heard, reference_transform=words(), hypothesis_transform=words()))


def main(profile: str | None) -> None:
    if not DATA.is_dir():
        sys.exit(f"{DATA} is missing: apt-get install pocketsphinx-testdata")
    graph = sensorium.load("transcribe", profile=profile)
    heard: dict[str, list[tuple[Clip, str]]] = {}
    for folder in FOLDERS:
        heard[folder] = [(clip, str(graph.run(audio=clip.path).text)) for clip in clips(folder)]
        for clip, text in heard[folder]:
            print(f"{clip.path.stem[-12:]}: {text}")
    everything = [pair for pairs in heard.values() for pair in pairs]
    figures = [
        Figure(name, error_rate([clip.said for clip, _ in pairs], [text for _, text in pairs]), LIMIT)
        for name, pairs in (("word error rate, LibriVox", heard["librivox"]), ("word error rate, all", everything))
    ]
    report(
        "transcribe", figures, profile=profile or "default", heard={clip.path.stem: text for clip, text in everything}
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", help="profile to run with")
    main(parser.parse_args().profile)
