"""Whisper through faster-whisper, for checkpoints of CTranslate2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ctranslate2
from faster_whisper import WhisperModel

from .recogniser import BEAM, SEED, Passage, Samples, most_tokens, num_threads

__all__ = ["FasterWhisper"]


class FasterWhisper:
    """CTranslate2 through faster-whisper: int8 on a CPU, float16 on a GPU."""

    def __init__(self, checkpoint: Path, device: str) -> None:
        kind, _, index = device.partition(":")
        self._model = WhisperModel(
            str(checkpoint),
            device=kind,
            device_index=int(index or 0),
            compute_type="float16" if kind == "cuda" else "int8",
            cpu_threads=num_threads(),
        )
        self.is_multilingual: bool = self._model.model.is_multilingual

    def hear(self, samples: Samples, language: str, temperatures: Sequence[float]) -> list[Passage]:
        ctranslate2.set_random_seed(SEED)
        segments, _ = self._model.transcribe(
            samples,
            language=language,
            beam_size=BEAM,
            temperature=list(temperatures),
            condition_on_previous_text=False,
            max_new_tokens=most_tokens(samples),
        )
        return [
            Passage(segment.start, segment.end, segment.text.strip(), segment.avg_logprob, segment.compression_ratio)
            for segment in segments
        ]

    def languages(self, samples: Samples) -> dict[str, float]:
        _, _, probabilities = self._model.detect_language(samples)
        return dict(probabilities)
