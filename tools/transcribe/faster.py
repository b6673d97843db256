"""Whisper through faster-whisper, for checkpoints of CTranslate2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ctranslate2
import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel

from .recogniser import BEAM, SEED, Heard, Passage, Samples, States, most_tokens, num_states, num_threads

__all__ = ["FasterWhisper"]


class _Remembering(WhisperModel):
    """A model that keeps what its encoder gave first for a window, so that nothing is encoded twice.

    The library may look at a window again from where its first passages ended; the first look covers the whole of it.
    """

    encoded: ctranslate2.StorageView | None = None

    def encode(self, features: npt.NDArray[np.float32]) -> ctranslate2.StorageView:
        encoded = super().encode(features)
        self.encoded = self.encoded or encoded
        return encoded


class FasterWhisper:
    """CTranslate2 through faster-whisper: int8 on a CPU, float16 on a GPU."""

    def __init__(self, checkpoint: Path, device: str) -> None:
        kind, _, index = device.partition(":")
        self._model = _Remembering(
            str(checkpoint),
            device=kind,
            device_index=int(index or 0),
            compute_type="float16" if kind == "cuda" else "int8",
            cpu_threads=num_threads(),
        )
        self.is_multilingual: bool = self._model.model.is_multilingual

    def hear(self, samples: Samples, language: str, temperatures: Sequence[float]) -> Heard:
        ctranslate2.set_random_seed(SEED)
        self._model.encoded = None
        segments, _ = self._model.transcribe(
            samples,
            language=language,
            beam_size=BEAM,
            temperature=list(temperatures),
            condition_on_previous_text=False,
            max_new_tokens=most_tokens(samples),
        )
        passages = [
            Passage(segment.start, segment.end, segment.text.strip(), segment.avg_logprob, segment.compression_ratio)
            for segment in segments
        ]
        return Heard(passages, self._states(len(samples)))

    def _states(self, num_samples: int) -> States:
        encoded = self._model.encoded
        assert encoded is not None, "a window that holds samples is encoded"
        if self._model.model.device == "cuda":
            encoded = encoded.to_device(ctranslate2.Device.cpu)
        return np.array(encoded)[0, : num_states(num_samples)].astype(np.float16)

    def languages(self, samples: Samples) -> dict[str, float]:
        _, _, probabilities = self._model.detect_language(samples)
        return dict(probabilities)
