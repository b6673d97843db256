"""Whisper through openai-whisper, for its own `.pt` checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper

from .recogniser import BEAM, SEED, Heard, Passage, Samples, most_tokens, num_states, num_threads

__all__ = ["OpenaiWhisper"]


class OpenaiWhisper:
    """openai-whisper: float32 on a CPU, float16 on a GPU. The pickle is read with `weights_only`."""

    def __init__(self, checkpoint: Path, device: str) -> None:
        torch.set_num_threads(num_threads())
        self._is_on_gpu = device.startswith("cuda")
        self._model: Any = whisper.load_model(str(checkpoint), device=device)
        self.is_multilingual: bool = self._model.is_multilingual
        self._encoded: list[Any] = []
        self._model.encoder.register_forward_hook(lambda _encoder, _mel, encoded: self._encoded.append(encoded))

    def hear(self, samples: Samples, language: str, temperatures: Sequence[float]) -> Heard:
        torch.manual_seed(SEED)
        self._encoded.clear()
        result: dict[str, Any] = self._model.transcribe(
            np.ascontiguousarray(samples),
            language=language,
            beam_size=BEAM,
            best_of=BEAM,
            temperature=tuple(temperatures),
            condition_on_previous_text=False,
            sample_len=most_tokens(samples),
            fp16=self._is_on_gpu,
            verbose=None,
        )
        passages = [
            Passage(part["start"], part["end"], part["text"].strip(), part["avg_logprob"], part["compression_ratio"])
            for part in result["segments"]
            if part["text"].strip()
        ]
        # The library may look again from where the first passages ended; the first look covers the whole window.
        states = self._encoded[0][0, : num_states(len(samples))].to("cpu", torch.float16).numpy()
        return Heard(passages, states)

    def languages(self, samples: Samples) -> dict[str, float]:
        padded = whisper.pad_or_trim(np.ascontiguousarray(samples))
        mel = whisper.log_mel_spectrogram(padded, n_mels=self._model.dims.n_mels).to(self._model.device)
        _, probabilities = self._model.detect_language(mel)
        return dict(probabilities)
