"""Speech to text by Whisper: window after window of speech, each in English or refused."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sensorium.worker import Failed, Progress, Refused

from .account import HEARD_ENOUGH_S, Account, Segment
from .ear import Window, prepare, windows
from .language import Tongues, can_be_trusted, log_probability, repeats
from .load import open_recogniser
from .recogniser import Recogniser, Samples

BEST_GUESS = (0.0,)
SECOND_THOUGHTS = (0.2, 0.4, 0.6)
"""Temperatures for speech of which the best guess was poor or a loop."""
POOR = -1.0
"""Mean log probability below which a guess is poor."""


class Transcribe:
    """Whisper, by faster-whisper or openai-whisper."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        self._recogniser: Recogniser = open_recogniser(Path(checkpoints["speech"]), device)
        language = checkpoints.get("language")
        self._tongues = Tongues(Path(language) if language else None, device)

    def run(self, batch: list[dict[str, Any]]) -> Generator[Progress | Failed | list[dict[str, Any] | None]]:
        results: list[dict[str, Any] | None] = []
        for index, call in enumerate(batch):
            try:
                results.append((yield from self._transcribe(index, *call["audio"])))
            except Refused as refusal:
                yield Failed(index, refusal.why, refusal.kind)
                results.append(None)
        yield results

    def close(self) -> None:
        del self._recogniser, self._tongues

    def _transcribe(self, index: int, samples: Samples, rate_hz: int) -> Generator[Progress, None, dict[str, Any]]:
        total_s = len(samples) / rate_hz if rate_hz > 0 else 0.0
        stretches = windows(prepare(samples, rate_hz))
        language = self._language(stretches)
        account = Account()
        for window in stretches:
            for segment in self._hear(window, language, account):
                yield Progress(index, min(segment[1] / total_s, 1.0), f"{segment[1]:.0f} of {total_s:.0f} s")
            account.refuse_foreign(HEARD_ENOUGH_S)
        account.refuse_foreign(0.0)
        text = " ".join(segment[2] for segment in account.segments)
        states = np.concatenate(account.states) if account.states else None
        return {"text": text, "segments": account.segments, "language": language, "states": states}

    def _language(self, stretches: Sequence[Window]) -> str:
        """English, or what a multilingual checkpoint takes the longest of the first stretches for."""
        if not self._recogniser.is_multilingual or not stretches:
            return "en"
        probabilities = self._recogniser.languages(max(stretches[:3], key=lambda window: window.length_s).samples)
        return max(probabilities, key=probabilities.__getitem__)

    def _hear(self, window: Window, language: str, account: Account) -> list[Segment]:
        heard = self._recogniser.hear(window.samples, language, BEST_GUESS)
        account.states.append(window.without_lead(heard.states))
        passages = heard.passages
        if not self._recogniser.is_multilingual and not can_be_trusted(passages):
            spoken = self._tongues.spoken(window.samples, passages)
            if spoken.is_foreign:
                return account.add_foreign(window, spoken.name)
        if log_probability(passages) < POOR or repeats(passages):
            passages = self._recogniser.hear(window.samples, language, SECOND_THOUGHTS).passages
        return account.add(window, passages)
