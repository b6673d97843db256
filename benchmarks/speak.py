"""Word error rate of twenty sentences that `speak` says and `transcribe` hears again.

    python benchmarks/speak.py

Both texts are compared in small letters, without punctuation, hyphens as spaces, numbers as words.
"""

from __future__ import annotations

import time
from pathlib import Path

from report import Figure, report
from transcribe import error_rate, words

import sensorium

SENTENCES = Path(__file__).parent / "sentences.txt"
LIMIT = 0.05


def main() -> None:
    speak, transcribe = sensorium.load("speak"), sensorium.load("transcribe")
    sentences = SENTENCES.read_text().splitlines()
    began = time.perf_counter()
    spoken = [speak.run(text=sentence).audio for sentence in sentences]
    seconds = time.perf_counter() - began
    heard = [str(transcribe.run(audio=audio).text) for audio in spoken]
    for sentence, text in zip(sentences, heard, strict=True):
        if words()(sentence) != words()(text):
            print(f"said:  {sentence}\nheard: {text}")
    length_s = sum(audio.seconds for audio in spoken)
    figure = Figure("word error rate, spoken and heard again", error_rate(sentences, heard), LIMIT)
    report("speak", [figure], sound_s=round(length_s, 1), seconds=round(seconds, 1))


if __name__ == "__main__":
    main()
