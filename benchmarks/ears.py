"""What a language model understands of speech by a bridge from Whisper's encoder, without a transcript.

    python benchmarks/ears.py --bridge FOLDER --prose DIR… --heard FOLDER [--card]

Sentences that no training saw are spoken, heard by `transcribe` (the states are its output `states`), crossed by the
bridge, and read by the frozen language model. Each channel is measured by how likely the transcript becomes
(recovered, as a share of what the true text gives) and by questions about a word of some kind, answered by the
likeliest of all words of that kind. What was heard is kept in the folder `--heard`, and a second run does not listen
again.
"""

# pyright: basic

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import soundfile
import torch
from ears_reader import Ask, Reader, kinds_of, question_of, transcript_of
from ears_sentences import free_sentences, is_held_out, made_sentences, spoken_words
from ears_speech import RATE_HZ, Espeak, Hibari
from report import Figure, report

import sensorium
from sensorium.errors import LanguageError
from sensorium.graph import Graph
from sensorium.latent.bridge import Bridge, measured_of, read_bridge
from sensorium.latent.bridge_card import read_card

CHANNELS = ("text", "whisper's text", "rows", "nearest tokens", "shuffled", "noise", "none")
CLIPS = Path("/usr/share/pocketsphinx/test/data")
UNHEARD_VOICE = "en-us+f4"
"""Of espeak-ng; training had other voices."""
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Recording:
    """Something said, and what `transcribe` made of it."""

    group: str
    text: str
    transcript: str
    states: npt.NDArray[np.float32]


def sentences(prose: list[Path], number: int) -> Iterator[tuple[str, str]]:
    """Groups with their sentences."""
    made = (sentence.text for sentence in made_sentences(10_007) if is_held_out(sentence.text))
    yield from (("made", text) for text in islice(made, number))
    free = (text for text in free_sentences(prose, 0) if is_held_out(text) and len(spoken_words(text)) >= 5)
    yield from (("free", text) for text in islice(free, number))
    fixed = (Path(__file__).parent / "sentences.txt").read_text().splitlines()
    yield from (("sentences.txt", text) for text in fixed)


def sounds(prose: list[Path], number: int) -> Iterator[tuple[str, str, npt.NDArray[np.float32]]]:
    """Group, text and sound at 16 kHz: by turns hibari and an espeak-ng voice that is new, then recorded people."""
    hibari, espeak = Hibari(), Espeak()
    for at, (group, text) in enumerate(sentences(prose, number)):
        spoken = espeak.say(text, UNHEARD_VOICE, 155, 50) if at % 2 and group != "sentences.txt" else None
        spoken = spoken or hibari.say(text, 1.0, 1.0)
        if spoken:
            yield group, text, np.concatenate([spoken.samples, np.zeros(RATE_HZ // 2, np.float32)])
    for folder, transcription in (("librivox", "transcription"), ("cards", "cards.transcription")):
        for line in (CLIPS / folder / transcription).read_text().splitlines():
            if match := re.fullmatch(r"<s> (.*?) *</s> \((.+)\)", line):
                yield (
                    f"people, {folder}",
                    match[1],
                    soundfile.read(CLIPS / folder / f"{match[2]}.wav", dtype="float32")[0],
                )


def listen(folder: Path, prose: list[Path], number: int) -> list[Recording]:
    """All recordings as `transcribe` hears them, those of an earlier run from `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = sensorium.load("transcribe")
    found: list[Recording] = []
    with tempfile.TemporaryDirectory() as scratch:
        for group, text, samples in sounds(prose, number):
            path = folder / f"{hashlib.sha256(samples.tobytes()).hexdigest()[:16]}.npz"
            if not path.is_file():
                sound = Path(scratch) / "sound.wav"
                soundfile.write(sound, samples, RATE_HZ)
                states, transcript = transcribed(graph, sound)
                np.savez(path, states=states, said=json.dumps([group, text, transcript]))
            kept = np.load(path)
            group, text, transcript = json.loads(str(kept["said"]))
            if len(kept["states"]):
                found.append(Recording(group, text, transcript, kept["states"].astype(np.float32)))
    return found


def transcribed(graph: Graph, sound: Path) -> tuple[npt.NDArray[np.float16], str]:
    """States and transcript; no states where the speech is taken for another language, as a robot's may be."""
    nothing = np.zeros((0, 384), np.float16)
    try:
        result = graph.run(audio=sound)
    except LanguageError as refused:
        return nothing, str(refused)
    return (nothing if result["states"] is None else result["states"].load()), str(result.text)


def channels(reader: Reader, bridge: Bridge, recordings: list[Recording]) -> dict[str, list[torch.Tensor]]:
    """What the reader is given of each recording, by every channel."""
    rows = [torch.from_numpy(bridge.cross(recording.states)) for recording in recordings]
    nearest = [reader.table[torch.cdist(row, reader.table).argmin(1)] if len(row) else row for row in rows]
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(row.shape, generator=generator) for row in rows]
    return {
        "text": [reader.embedded(f" {recording.text}") for recording in recordings],
        "whisper's text": [reader.embedded(f" {recording.transcript}") for recording in recordings],
        "rows": rows,
        "nearest tokens": nearest,
        "shuffled": rows[1:] + rows[:1],
        "noise": [
            made / made.norm(dim=1, keepdim=True) * row.norm(dim=1, keepdim=True)
            for made, row in zip(noise, rows, strict=True)
        ],
        "none": [row[:0] for row in rows],
    }


def interval(share: Any, num_recordings: int) -> list[float]:
    """Value and 95 % interval of a figure, by drawing recordings again and again."""
    rng = np.random.default_rng(0)
    drawn = [share(rng.integers(0, num_recordings, num_recordings)) for _ in range(RESAMPLES)]
    value = share(np.arange(num_recordings))
    return [round(float(each), 4) for each in (value, *np.quantile(drawn, (0.025, 0.975)))]


@torch.no_grad()
def measured(reader: Reader, recordings: list[Recording], said: dict[str, list[torch.Tensor]]) -> dict[str, Any]:
    """Nats a token, recovered share and right answers of each channel, for one group of recordings."""
    asks = [transcript_of(recording.text) for recording in recordings]
    nats = {name: nats_of(reader, asks, rows) for name, rows in said.items()}
    kinds = [kinds_of(recording.text) if recording.group == "made" else [] for recording in recordings]
    num_questions = np.array([len(each) for each in kinds])
    told: dict[str, Any] = {"recordings": len(recordings), "questions": int(num_questions.sum()), "channels": {}}
    for name, rows in said.items():
        gain, whole = nats["none"] - nats[name], nats["none"] - nats["text"]
        figures: dict[str, Any] = {
            "nats": round(float(nats[name].mean()), 4),
            "recovered": interval(lambda at, gain=gain, whole=whole: gain[at].sum() / whole[at].sum(), len(asks)),
        }
        if num_questions.any():
            right = np.array([answers(reader, *each) for each in zip(recordings, kinds, rows, strict=True)])
            figures["right"] = interval(lambda at, right=right: right[at].sum() / num_questions[at].sum(), len(asks))
        told["channels"][name] = figures
        print(f"  {name}: {figures}", flush=True)
    return told


def on_card(told: dict[str, Any]) -> dict[str, Any]:
    """The figures of a group as a bridge's card has them."""
    names = {"text": "text", "whisper's text": "transcript", "rows": "bridge", "nearest tokens": "nearest"}
    card: dict[str, Any] = {"recordings": told["recordings"], "questions": told["questions"]}
    for name, figures in told["channels"].items():
        value, low, high = figures["recovered"]
        card[names.get(name, name)] = {"nll": figures["nats"], "recovered": value, "interval": [low, high]}
    return card


def nats_of(reader: Reader, asks: list[Ask], said: list[torch.Tensor]) -> npt.NDArray[np.float32]:
    """Nats a token of each answer, eight at a time."""
    parts = [reader.losses(asks[at : at + 8], said[at : at + 8]) for at in range(0, len(asks), 8)]
    return torch.cat(parts).numpy()


def answers(reader: Reader, recording: Recording, kinds: list[str], said: torch.Tensor) -> int:
    """How many questions about a recording are answered right."""
    asked = [(question_of(recording.text, kind), kind) for kind in kinds]
    return sum(reader.choose(ask, kind, said) == ask.answer.strip() for ask, kind in asked)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bridge", type=Path, required=True)
    parser.add_argument("--prose", type=Path, nargs="+", required=True, help="folders that free sentences come from")
    parser.add_argument("--heard", type=Path, required=True)
    parser.add_argument("--number", type=int, default=48, help="made sentences, and free ones")
    parser.add_argument("--card", action="store_true", help="write card.json beside the bridge")
    options = parser.parse_args()
    torch.set_num_threads(1)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    receiver = sensorium.Project.find().checkpoints.directory("smollm2-135m-transformers")
    model = AutoModelForCausalLM.from_pretrained(receiver, dtype=torch.float32).requires_grad_(False).eval()
    reader = Reader(model, AutoTokenizer.from_pretrained(receiver))
    recordings = listen(options.heard, options.prose, options.number)
    bridge = read_bridge(options.bridge)
    told: dict[str, Any] = {}
    for group in dict.fromkeys(recording.group for recording in recordings):
        some = [recording for recording in recordings if recording.group == group]
        print(f"{group}: {len(some)} recordings", flush=True)
        told[group] = measured(reader, some, channels(reader, bridge, some))
    if options.card:
        card = {
            "of": msgspec.to_builtins(measured_of(bridge.spec)),
            "tasks": {group: on_card(said) for group, said in told.items()},
        }
        (options.bridge / "card.json").write_text(json.dumps(card, indent=2) + "\n")
        read_card(options.bridge / "card.json")
    by_name = {name: told["made"]["channels"][name]["recovered"] for name in CHANNELS}
    figures = [Figure("recovered by rows, made sentences", by_name["rows"][0], 0.5, at_most=False)]
    figures += [Figure(f"recovered by {name}", by_name[name][0], 0.0) for name in ("shuffled", "noise")]
    report("ears", figures, bridge=bridge.spec.name, sha256=bridge.spec.sha256, groups=told)


if __name__ == "__main__":
    main()
