"""Text to speech: sentence after sentence, each passed on as soon as it is spoken."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import numpy as np

from sensorium.worker import Failed, Item, Progress, Refused

from .language import foreign_language, mark_foreign
from .plain import has_words, named_symbols, plain, without_markup
from .voice import RATE_HZ, Samples, Voice

SLOWEST, FASTEST = 0.5, 2.0
"""What the voice was made for."""
LONGEST_S = 5400.0
"""Sound of this length still travels as one value."""

Event = Progress | Item | Failed


class Speak:
    """The hibari voice. Its weights come with the library."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        del checkpoints, device  # the voice is small, and runs on a CPU only
        self._voice = Voice()

    def run(self, batch: list[dict[str, Any]]) -> Generator[Event | list[dict[str, Any] | None]]:
        results: list[dict[str, Any] | None] = []
        for index, call in enumerate(batch):
            try:
                results.append((yield from self._speak(index, call["text"], call.get("speed"))))
            except Refused as refusal:
                yield Failed(index, refusal.why, refusal.kind)
                results.append(None)
        yield results

    def close(self) -> None:
        del self._voice

    def _speak(self, index: int, text: str, speed: float | None) -> Generator[Event, None, dict[str, Any]]:
        speed = _checked_speed(speed)
        sentences = self._voice.sentences(self._english(text))
        spoken: list[Samples] = []
        num_samples = 0
        for number, sentence in enumerate(sentences, 1):
            samples = self._voice.say(sentence, speed)
            num_samples += len(samples)
            if num_samples > LONGEST_S * RATE_HZ:
                raise Refused(
                    f"The first {number - 1} of {len(sentences)} sentences take {LONGEST_S / 60:.0f} minutes to say, "
                    "which is all that one sound holds; give the text in parts."
                )
            if len(samples):
                spoken.append(samples)
                yield Item(index, "sentences", (samples, RATE_HZ))
            yield Progress(index, number / len(sentences), f"sentence {number} of {len(sentences)}")
        if not spoken:
            raise Refused("The text holds nothing that can be pronounced; give it some words.")
        return {"audio": (np.concatenate(spoken), RATE_HZ), "sentences": [(samples, RATE_HZ) for samples in spoken]}

    def _english(self, text: str) -> str:
        """What is to be said.

        Raises:
            Refused: there is nothing to say, or it is in another language.
        """
        unmarked = without_markup(text)
        language = foreign_language(unmarked, self._voice.knows)
        if language:
            raise Refused(f"The text looks like {language}; speak knows English only.", kind="language")
        said = plain(mark_foreign(unmarked)) or plain(named_symbols(unmarked))
        if not has_words(said):
            raise Refused("The text holds nothing to say; give it some words.")
        return said


def _checked_speed(speed: float | None) -> float:
    if speed is None:
        return 1.0
    if not math.isfinite(speed) or not SLOWEST <= speed <= FASTEST:
        raise Refused(f"speed is {speed:g}; it must be from {SLOWEST} (half as fast) to {FASTEST:g} (twice as fast).")
    return speed
