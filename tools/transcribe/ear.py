"""Sound made ready to be recognised: 16 kHz, and only the stretches that hold speech."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from faster_whisper.vad import VadOptions, get_speech_timestamps

from sensorium.worker import Refused

from .recogniser import STATES_A_SECOND, Samples, States

__all__ = ["RATE_HZ", "Window", "prepare", "windows"]

RATE_HZ = 16_000
LEAD_S = 0.3
"""Silence put before each window: Whisper misses a word that begins with the sound."""
LONGEST_S = 30.0 - LEAD_S
"""Speech in one window; Whisper hears 30 s at once."""
LONGEST_PAUSE_S = 3.0
"""A longer pause ends a window: Whisper tends to invent words in silence."""
SHORTEST_S = 0.1
"""Nothing shorter can hold a word."""

_VAD = VadOptions(min_silence_duration_ms=500, speech_pad_ms=400, max_speech_duration_s=LONGEST_S)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of speech."""

    start_s: float
    samples: Samples
    """float32 mono at 16 kHz, at most 30 s; the first `LEAD_S` of them are silence put before."""

    @property
    def length_s(self) -> float:
        """Without the silence before."""
        return len(self.samples) / RATE_HZ - LEAD_S

    def without_lead(self, states: States) -> States:
        """Those of the encoder's frames in which the sound itself is."""
        return states[round(LEAD_S * STATES_A_SECOND) :]

    def time_s(self, heard_s: float) -> float:
        """When in the whole sound something was that was heard `heard_s` after the beginning of `samples`."""
        return round(self.start_s + min(max(heard_s - LEAD_S, 0.0), self.length_s), 2)


def prepare(samples: Samples, rate_hz: int) -> Samples:
    """The sound as float32 mono at 16 kHz.

    Raises:
        Refused: the sound has no samples, no sensible rate, or values that are not numbers.
    """
    if len(samples) == 0:
        raise Refused("The sound has a length of 0 s; give one with at least one sample.")
    if rate_hz <= 0:
        raise Refused(f"The sound has a rate of {rate_hz} Hz; a positive one is needed.")
    if not np.isfinite(samples).all():
        raise Refused("The sound holds values that are not finite; samples between -1 and 1 are needed.")
    return np.ascontiguousarray(samples, np.float32) if rate_hz == RATE_HZ else _resample(samples, rate_hz)


def windows(samples: Samples) -> list[Window]:
    """The stretches of `samples` (16 kHz) that hold speech, in order; none where nobody speaks."""
    if len(samples) < SHORTEST_S * RATE_HZ:
        return []
    spans: list[tuple[int, int]] = []
    for chunk in get_speech_timestamps(samples, _VAD, sampling_rate=RATE_HZ):
        start, end = int(chunk["start"]), int(chunk["end"])
        if spans and start - spans[-1][1] <= LONGEST_PAUSE_S * RATE_HZ and end - spans[-1][0] <= LONGEST_S * RATE_HZ:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    longest = int(LONGEST_S * RATE_HZ)
    cuts = [(at, min(at + longest, end)) for start, end in spans for at in range(start, end, longest)]
    lead = np.zeros(round(LEAD_S * RATE_HZ), np.float32)
    return [Window(start / RATE_HZ, np.concatenate([lead, samples[start:end]])) for start, end in cuts]


def _resample(samples: Samples, rate_hz: int) -> Samples:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
    pieces: list[Samples] = []
    for at in range(0, len(samples), rate_hz * 10):
        block = np.ascontiguousarray(samples[at : at + rate_hz * 10], np.float32)
        frame = av.AudioFrame.from_ndarray(block[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, at, Fraction(1, rate_hz)
        pieces += [out.to_ndarray()[0] for out in resampler.resample(frame)]
    pieces += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
