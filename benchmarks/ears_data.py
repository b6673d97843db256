"""Speech for training, as states of Whisper's encoder with the time of every token: made in shards, read as a whole.

    python benchmarks/ears_data.py FOLDER --prose DIR… [--hours 8]

A shard is an `.npy` of float16 states [frames, 384], 50 a second, and a `.json` of the utterances in it. Made again, it
goes on after the last whole shard. Utterances stand two or three in a window of 10 s, with pauses between them and a
little noise; the window is encoded by itself, with the int8 arithmetic of `transcribe` on a CPU.
"""

# pyright: basic

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ears_sentences import free_sentences, is_held_out, made_sentences
from ears_speech import RATE_HZ, Espeak, Hibari, Spoken, varied

__all__ = ["FRAMES_A_SECOND", "Utterance", "read_shards"]

FRAMES_A_SECOND = 50
WINDOW_S = 10.0
MARGIN_S = 0.4
"""Silence that stays before and after an utterance, as with `transcribe`."""
WINDOWS_A_SHARD = 60

States = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Utterance:
    """A sentence in the states of a shard."""

    text: str
    voice: str
    states: States
    """[frames, 384]."""
    words: npt.NDArray[np.float32]
    """[words, 2]: where each begins and ends, in frames."""


def read_shards(folder: Path) -> Iterator[Utterance]:
    """All utterances that were made."""
    for path in sorted(folder.glob("*.json")):
        states = np.load(path.with_suffix(".npy"), mmap_mode="r")
        for said in json.loads(path.read_text()):
            words = np.asarray(said["words"], np.float32)
            yield Utterance(said["text"], said["voice"], states[said["begin"] : said["end"]], words)


def _sentences(free: list[str], held_out: bool, seed: int) -> Iterator[str]:
    """Made and free ones by turns of chance, all of them held out or none; free ones come again once all were there."""
    rng = random.Random(seed)
    made = made_sentences(seed)
    free = rng.sample(free, len(free))
    at = 0
    while True:
        if rng.random() < 0.4:
            text = next(made).text
            if is_held_out(text) == held_out:
                yield text
        else:
            yield free[at % len(free)]
            at += 1


def _windows(
    free: list[str], held_out: bool, voices: tuple[Hibari, Espeak], seed: int
) -> Iterator[list[tuple[float, Spoken]]]:
    """Utterances with the time at which each begins."""
    rng = random.Random(seed)
    window: list[tuple[float, Spoken]] = []
    at_s = rng.uniform(0.3, 0.8)
    for text in _sentences(free, held_out, seed):
        spoken = varied(text, *voices, rng)
        length_s = len(spoken.samples) / RATE_HZ if spoken else 0.0
        if spoken is None or not 0.5 < length_s < WINDOW_S - 1:
            continue
        if at_s + length_s > WINDOW_S - 0.1:
            yield window
            window, at_s = [], rng.uniform(0.3, 0.8)
        window.append((at_s, spoken))
        at_s += length_s + rng.uniform(0.1, 0.8)


def _mixed(window: list[tuple[float, Spoken]], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """The sound of a window, each utterance as loud as chance has it, over noise of 15 to 50 dB less."""
    sound = np.zeros(int(WINDOW_S * RATE_HZ), np.float32)
    for begin_s, spoken in window:
        begin = round(begin_s * RATE_HZ)
        loudness = np.sqrt(np.square(spoken.samples).mean()) + 1e-6
        sound[begin : begin + len(spoken.samples)] += spoken.samples * (0.08 * 10 ** rng.uniform(-0.5, 0.2) / loudness)
    noise = np.convolve(rng.normal(size=len(sound)), [1, rng.uniform(0, 0.95)], "same")
    sound += noise * np.sqrt(np.square(sound).mean()) * 10 ** (-rng.uniform(15, 50) / 20)
    return np.clip(sound, -1, 1).astype(np.float32)


def _shard(model: Any, windows: list[list[tuple[float, Spoken]]], seed: int) -> tuple[States, list[dict[str, Any]]]:
    rng = np.random.default_rng(seed)
    states: list[States] = []
    said: list[dict[str, Any]] = []
    total = 0
    for window in windows:
        features = model.feature_extractor(_mixed(window, rng))[:, : int(WINDOW_S * 100)]
        encoded = np.array(model.encode(np.ascontiguousarray(features)))[0].astype(np.float16)
        for begin_s, spoken in window:
            words = (np.asarray(spoken.words) + begin_s) * FRAMES_A_SECOND
            first = max(0, int(words[0, 0] - MARGIN_S * FRAMES_A_SECOND))
            end = min(len(encoded), int(words[-1, 1] + MARGIN_S * FRAMES_A_SECOND) + 1)
            said.append(
                {"text": spoken.text, "voice": spoken.voice, "begin": total, "end": total + end - first}
                | {"words": np.round(words - first, 2).tolist()}
            )
            states.append(encoded[first:end])
            total += end - first
    return np.concatenate(states), said


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prose", type=Path, nargs="+", required=True, help="folders of texts to take sentences from")
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--first", type=int, default=0, help="shard to begin with, where several processes make them")
    parser.add_argument("--held-out", action="store_true", help="of the sentences that are kept for testing")
    options = parser.parse_args()
    from faster_whisper import WhisperModel

    import sensorium

    checkpoint = sensorium.Project.find().checkpoints.directory("whisper-tiny-en")
    model = WhisperModel(str(checkpoint), device="cpu", compute_type="int8", cpu_threads=1)
    free = [text for text in free_sentences(options.prose, 0) if is_held_out(text) == options.held_out]
    voices = Hibari(), Espeak()
    options.folder.mkdir(parents=True, exist_ok=True)
    for number in range(options.first, round(options.hours * 3600 / WINDOW_S / WINDOWS_A_SHARD)):
        path = options.folder / f"{number:04}.json"
        if path.is_file():
            continue
        windows = _windows(free, options.held_out, voices, number + 1)
        states, said = _shard(model, [next(windows) for _ in range(WINDOWS_A_SHARD)], number)
        np.save(path.with_suffix(".npy"), states)
        waiting = path.with_suffix(".part")
        waiting.write_text(json.dumps(said))
        waiting.rename(path)
        print(f"{path.name}: {len(said)} utterances, {len(states) / FRAMES_A_SECOND / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
