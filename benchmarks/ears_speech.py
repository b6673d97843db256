"""Sentences spoken by synthetic voices, with the time of every word, and what Whisper's encoder makes of them.

The hibari voice tells its own durations once its duration predictor is made an output (needs `onnx`); espeak-ng, called
through its library, tells when each word begins.
"""

# pyright: basic

from __future__ import annotations

import ctypes
import random
import re
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ears_sentences import WORD, spoken_words

__all__ = ["RATE_HZ", "Espeak", "Hibari", "Spoken", "varied"]

Samples = npt.NDArray[np.float32]

RATE_HZ = 16_000
ESPEAK_VOICES = [
    f"{accent}{variant}"
    for accent in ("en-us", "en-us", "en-gb", "en-gb-x-rp", "en-029")
    for variant in ("", "+m1", "+m3", "+m5", "+m7", "+f1", "+f2", "+f3", "+f5")
]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A sentence as sound."""

    text: str
    voice: str
    samples: Samples
    """float32 mono at `RATE_HZ`."""
    words: list[tuple[float, float]]
    """When each of `spoken_words(text)` begins and ends, in seconds."""


class Hibari:
    """hibari's voice."""

    def __init__(self) -> None:
        import hibari
        import onnx
        from hibari.voices import voice_path

        model = onnx.load(voice_path("heart"))
        durations = next(out for node in model.graph.node for out in node.output if node.op_type == "Round")
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(durations))
        path = Path(tempfile.mkdtemp()) / "hibari.onnx"
        onnx.save(model, path)
        self._hibari = hibari.Hibari(model=str(path))
        self._rate_hz: int = hibari.SAMPLE_RATE

    def say(self, text: str, speed: float, pitch: float, seed: int = 0) -> Spoken | None:
        """The sentence; None where the voice's words are not those of the text.

        Args:
            text: One sentence.
            speed: 1 is the voice's own.
            pitch: Factor by which the sound is played faster, so that the voice is another's.
            seed: Of the voice's noise.
        """
        from hibari import dsp

        words = spoken_words(text)
        phonemes = self._hibari.phonemize(text)
        if len(phonemes) != 1 or len(phonemes[0].split()) != len(words):
            return None
        letters = [letter for letter in phonemes[0] if letter in self._hibari.vocab]
        ids = np.asarray([self._hibari.ids(phonemes[0])], np.int64)
        made = self._hibari.sess.run(None, {"ids": ids, "speed": np.asarray([speed / pitch], np.float32)})
        sound = dsp.synth(*(part[0] for part in made[:6]), np.random.default_rng(seed))
        unit_s = len(sound) / self._rate_hz / made[6].sum() / pitch
        ends = np.cumsum(made[6]) * unit_s
        spans: list[tuple[float, float]] = []
        begin = None
        last = 0.0
        for at, letter in enumerate([*letters, " "]):
            sounds = letter.isalpha() or letter in "ˈˌᵊɾʔ'ː"
            if sounds and begin is None:
                begin = ends[at]  # of the letter before: the ids begin with a pad
            if letter == " " and begin is not None:
                spans.append((float(begin), float(last)))
                begin = None
            if sounds:
                last = ends[at + 1]
        samples = np.clip(resampled(sound, self._rate_hz * pitch), -1, 1)
        return Spoken(text, f"hibari {speed:.2f} {pitch:.2f}", samples, spans) if len(spans) == len(words) else None


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", ctypes.c_char * 8),
    ]  # fmt: skip


class Espeak:
    """espeak-ng's voices: robotic, many, and fast."""

    _WORD, _END = 1, 5

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL("libespeak-ng.so.1")
        self._rate_hz = self._library.espeak_Initialize(2, 0, None, 0)
        self._sound: list[Samples] = []
        self._events: list[tuple[int, int, int]] = []
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
        self._callback = kind(self._hear)
        self._library.espeak_SetSynthCallback(self._callback)

    def _hear(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self._sound.append(np.ctypeslib.as_array(samples, (count,)).astype(np.float32) / 32768)
        at = 0
        while events[at].type:
            self._events.append((events[at].type, events[at].text_position, events[at].audio_position))
            at += 1
        return 0

    def say(self, text: str, voice: str, words_a_minute: int, pitch: int) -> Spoken | None:
        """The sentence; None where the voice's words are not those of the text."""
        self._sound, self._events = [], []
        self._library.espeak_SetVoiceByName(voice.encode())
        self._library.espeak_SetParameter(1, words_a_minute, 0)
        self._library.espeak_SetParameter(3, pitch, 0)
        data = text.encode() + b"\0"
        self._library.espeak_Synth(data, len(data), 0, 1, 0, 1, None, None)
        begins = {position - 1: time / 1000 for kind, position, time in self._events if kind == self._WORD}
        at = [match.start() for match in WORD.finditer(text)]
        if not self._sound or not set(begins) <= set(at) or at[0] not in begins:
            return None
        sound = np.concatenate(self._sound)
        stops = sorted([*begins.values(), *(time / 1000 for kind, _, time in self._events if kind == self._END)])
        spans: list[tuple[float, float]] = []
        for group in self._groups(text, begins):
            begin = begins[group[0].start()]
            end = next((stop for stop in stops if stop > begin), len(sound) / self._rate_hz)
            spans += _shared(*_trimmed(sound, self._rate_hz, begin, end), [len(word[0]) for word in group])
        return Spoken(text, f"{voice} {words_a_minute} {pitch}", resampled(sound, self._rate_hz), spans)

    @staticmethod
    def _groups(text: str, begins: dict[int, float]) -> list[list[re.Match[str]]]:
        """The words, those together that the voice says in one breath, such as "in the"."""
        groups: list[list[re.Match[str]]] = []
        for word in WORD.finditer(text):
            if word.start() in begins:
                groups.append([])
            groups[-1].append(word)
        return groups


def _shared(begin_s: float, end_s: float, lengths: list[int]) -> list[tuple[float, float]]:
    """The span cut in parts that are as long as words of these `lengths`."""
    cuts = begin_s + (end_s - begin_s) * np.cumsum([0, *lengths]) / sum(lengths)
    return [(float(begin), float(end)) for begin, end in pairwise(cuts)]


def _trimmed(sound: Samples, rate_hz: int, begin_s: float, end_s: float) -> tuple[float, float]:
    """The span without what is nearly silent at its end."""
    stretch = np.abs(sound[int(begin_s * rate_hz) : int(end_s * rate_hz)])
    loud = np.flatnonzero(stretch > 0.01)
    return (begin_s, begin_s + (loud[-1] + 1) / rate_hz) if len(loud) else (begin_s, end_s)


def resampled(sound: Samples, rate_hz: float) -> Samples:
    """The sound at `RATE_HZ`, after a short low pass where it had more."""
    if rate_hz > RATE_HZ:
        taps = 33
        cut = RATE_HZ / rate_hz * 0.95
        at = np.arange(taps) - taps // 2
        kernel = np.sinc(at * cut) * cut * np.hamming(taps)
        sound = np.convolve(sound, kernel / kernel.sum(), "same")
    positions = np.arange(0, len(sound) - 1, rate_hz / RATE_HZ)
    return np.interp(positions, np.arange(len(sound)), sound).astype(np.float32)


def varied(text: str, hibari: Hibari, espeak: Espeak, rng: random.Random) -> Spoken | None:
    """The sentence by a voice of chance: three in five by hibari at some speed and pitch, else by espeak-ng."""
    if rng.random() < 0.6:
        pitch = rng.choice([1.0, rng.uniform(0.84, 1.2)])
        return hibari.say(text, rng.uniform(0.85, 1.25), pitch, rng.randrange(1 << 30))
    return espeak.say(text, rng.choice(ESPEAK_VOICES), rng.randint(130, 190), rng.randint(30, 70))
