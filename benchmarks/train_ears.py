"""Trains a bridge from Whisper's encoder to the input embeddings of a language model.

    python benchmarks/train_ears.py DATA --held-out DATA --state FOLDER [--minutes 40]

Three stages: the gate learns where tokens end; the map learns the input embedding of the token that is spoken; both
stay, and the map learns on through the frozen language model. What is done stands in the state's folder, and a command
that is given again goes on from there.
"""

# pyright: basic

from __future__ import annotations

import argparse
import itertools
import json
import random
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from ears_data import FRAMES_A_SECOND, Utterance, read_shards
from ears_model import GATE, Ears, marks
from ears_reader import ASK_IN_TRAINING, QUESTIONS_IN_TRAINING, Ask, Reader, kinds_of, question_of, transcript_of
from ears_sentences import spoken_words
from ears_speech import RATE_HZ, Hibari
from ruamel.yaml import YAML
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

import sensorium
from sensorium.latent.bridge import read_bridge
from sensorium.latent.bridge_gate import laid_out, token_ends
from sensorium.latent.bridge_weights import write_weights
from sensorium.latent.training.models import loaded_identities

__all__ = ["Heard", "State", "heard", "token_spans"]

HIDDEN = 960
SHARPNESS = 3.0
"""Of the likelihood of a token by its distance from a row: exp(-SHARPNESS * distance²)."""
STAGES = ("gate", "map", "model", "done")
SAVE_S, FIGURES_S = 10, 60
"""CPU seconds from one save to the next, and from one look at held-out speech to the next."""
ABOUT = (
    "Lets a language model hear English speech without a transcript: states of Whisper's encoder, a gate that finds "
    "the words in them, and one row for each piece of a word."
)
WARM_STEPS = 15
CLOSE = 2
"""Frames by which a token's end may be missed and still counts as found."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An utterance as the map learns from it."""

    text: str
    laid: npt.NDArray[np.float16]
    """[tokens found, laid]."""
    tokens: npt.NDArray[np.int64]
    """[tokens found]: what is spoken there; -1 where the gate cut elsewhere than between tokens."""


class State:
    """What was learnt, and for how long. Saved whole or not at all."""

    def __init__(self, folder: Path, ears: Ears) -> None:
        self.folder, self.ears = folder, ears
        self.curve: list[dict[str, Any]] = []
        self.done: dict[str, Any] = {"stage": STAGES[0], "stage_s": 0.0, "cpu_s": 0.0, "steps": 0, "positions": 0}
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "ears.pt").is_file():
            saved = torch.load(folder / "ears.pt", weights_only=True)
            ears.load_state_dict(saved["ears"])
            self.curve, self.done = saved["curve"], saved["done"]
        self._noted_s = self._saved_s = self._figures_s = time.process_time()

    def share(self, minutes: float) -> float:
        """How much of a stage of so many CPU minutes is over, 0 to 1."""
        now_s = time.process_time()
        self.done["stage_s"] += now_s - self._noted_s
        self.done["cpu_s"] += now_s - self._noted_s
        self._noted_s = now_s
        return min(1.0, self.done["stage_s"] / 60 / minutes) if minutes else 1.0

    def is_due(self) -> bool:
        """Whether it is time for figures again. Saves now and then."""
        now_s = time.process_time()
        if now_s - self._saved_s > SAVE_S:
            self.save()
        return now_s - self._figures_s > FIGURES_S

    def go_on(self) -> None:
        """Begins the next stage."""
        self.done |= {"stage": STAGES[STAGES.index(self.done["stage"]) + 1], "stage_s": 0.0}
        self.save()

    def save(self, **figures: Any) -> None:
        """Notes figures in the curve, and saves. The time that they took does not count."""
        self._noted_s = self._saved_s = time.process_time()
        if figures:
            self._figures_s = self._saved_s
            minutes = round(self.done["cpu_s"] / 60, 2)
            noted = {"stage": self.done["stage"], "steps": self.done["steps"], "cpu_minutes": minutes}
            self.curve.append({**noted, **figures})
            print(json.dumps(self.curve[-1]), flush=True)
        waiting = self.folder / ".ears.pt"
        torch.save({"ears": self.ears.state_dict(), "curve": self.curve, "done": self.done}, waiting)
        waiting.replace(self.folder / "ears.pt")
        (self.folder / "curve.json").write_text(json.dumps(self.curve, indent=1))


def token_spans(utterance: Utterance, tokenizer: Any) -> tuple[list[int], npt.NDArray[np.float32]]:
    """The tokens of an utterance's words, and where each begins and ends: a word's tokens share it by their letters."""
    tokens: list[int] = []
    spans: list[tuple[float, float]] = []
    for word, (begin, end) in zip(spoken_words(utterance.text), utterance.words, strict=True):
        ids = tokenizer.encode(f" {word}", add_special_tokens=False)
        lengths = [len(tokenizer.decode([token]).strip()) or 1 for token in ids]
        cuts = begin + (end - begin) * np.cumsum([0, *lengths]) / sum(lengths)
        tokens += ids
        spans += list(pairwise(cuts))
    return tokens, np.asarray(spans, np.float32)


def train_gate(state: State, said: list[Utterance], held: list[Utterance], tokenizer: Any, minutes: float) -> None:
    """The gate, on utterances of chance."""
    ears = state.ears
    optimiser = torch.optim.AdamW([*ears.gate_in.parameters(), *ears.gate_out.parameters()], lr=2e-3)
    rng = random.Random(state.done["steps"])
    while (spent := state.share(minutes)) < 1:
        optimiser.param_groups[0]["lr"] = 2e-3 * max(0.02, 1 - spent)
        loss = torch.zeros(())
        for utterance in rng.sample(said, 8):
            told = marks(token_spans(utterance, tokenizer)[1], len(utterance.states))
            target = torch.from_numpy(np.stack([told.last, told.voiced], 1))
            logits = ears.gate(normalised(ears, utterance))
            weight = torch.tensor([2.0, 1.0])
            loss = loss + functional.binary_cross_entropy_with_logits(logits, target, weight=weight) / 8
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        state.done["steps"] += 1
        if state.is_due():
            state.save(loss=round(float(loss.detach()), 4), **gate_score(ears, held, tokenizer))
    state.save(**gate_score(ears, held, tokenizer))


def normalised(ears: Ears, utterance: Utterance) -> Tensor:
    """States with mean 0 and deviation 1, [frames, width]."""
    return (torch.from_numpy(utterance.states.astype(np.float32)) - ears.mean) / ears.deviation


@torch.no_grad()
def heard(ears: Ears, utterance: Utterance, tokenizer: Any, *, told: bool) -> Heard:
    """What the map is given for an utterance, cut where its tokens end (`told`) or where the gate hears them end."""
    states = normalised(ears, utterance)
    likely = ears.gate(states).sigmoid().numpy()
    tokens, spans = token_spans(utterance, tokenizer)
    truth = marks(spans, len(states)).ends
    found = truth if told else token_ends(likely[:, 0], likely[:, 1], GATE)
    which = np.asarray(tokens) if told else matched(found, truth, np.asarray(tokens))
    return Heard(utterance.text, laid_out(states.numpy(), likely[:, 1], found, GATE).astype(np.float16), which)


def matched(found: npt.NDArray[np.int64], truth: npt.NDArray[np.int64], tokens: npt.NDArray[np.int64]) -> Any:
    """The token of each found end whose own end and whose beginning are right; -1 for others."""
    if not len(found):
        return np.zeros(0, np.int64)
    nearest = np.abs(found[:, None] - truth[None]).argmin(1)
    right = np.abs(found - truth[nearest]) <= CLOSE
    after = np.concatenate([[True], (nearest[1:] == nearest[:-1] + 1) & right[:-1]])
    after[0] = nearest[0] == 0
    return np.where(right & after, tokens[nearest], -1)


def gate_score(ears: Ears, held: list[Utterance], tokenizer: Any) -> dict[str, float]:
    """How many ends are found, and how many of the found are ends."""
    found = right = total = 0
    for utterance in held[:60]:
        with torch.no_grad():
            likely = ears.gate(normalised(ears, utterance)).sigmoid().numpy()
        heard_ends = token_ends(likely[:, 0], likely[:, 1], GATE)
        truth = marks(token_spans(utterance, tokenizer)[1], len(likely)).ends
        distance = np.abs(heard_ends[:, None] - truth[None])
        found, total = found + len(heard_ends), total + len(truth)
        right += int((distance.min(0) <= CLOSE).sum()) if len(heard_ends) else 0
    return {"recall": round(right / total, 4), "found_for_each": round(found / total, 4)}


def train_map(state: State, lessons: list[Heard], held: list[Heard], table: Tensor, minutes: float) -> None:
    """The map, by the distance of each row from the input embeddings of all tokens that occur."""
    ears = state.ears
    inputs = torch.from_numpy(np.concatenate([lesson.laid for lesson in lessons]))
    targets = torch.from_numpy(np.concatenate([lesson.tokens for lesson in lessons]))
    inputs, targets = inputs[targets >= 0], targets[targets >= 0]
    known, targets = torch.unique(targets, return_inverse=True)
    near = table[known]
    names = ("norm.weight", "norm.bias", "map_in.weight", "map_in.bias", "map_out.weight", "map_out.bias", "scale")
    parameters = [dict(ears.named_parameters())[name] for name in names]
    optimiser = torch.optim.AdamW(parameters, lr=0.0, weight_decay=0.02, betas=(0.9, 0.98))
    generator = torch.Generator().manual_seed(state.done["steps"])
    recent: list[float] = []
    for step in itertools.count():
        spent = state.share(minutes)
        for group in optimiser.param_groups:
            group["lr"] = 1.5e-3 * min(1.0, (step + 1) / 20) * max(0.02, 1 - spent)
        ears.train()
        batch = torch.randint(len(targets), (256,), generator=generator)
        rows = ears.rows(inputs[batch].float())
        other = torch.randint(len(known), (1500,), generator=generator)
        some, where = torch.unique(torch.cat([targets[batch], other]), return_inverse=True)
        scores = -SHARPNESS * torch.cdist(rows, near[some]).square()
        loss = functional.cross_entropy(scores, where[: len(batch)])
        loss = loss + 0.3 * (rows - near[targets[batch]]).square().sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        recent = [*recent[-30:], float(loss.detach())]
        state.done["steps"] += 1
        state.done["positions"] += len(batch)
        if spent >= 1 or state.is_due():
            ears.eval()
            state.save(loss=round(float(np.mean(recent)), 3), **map_score(ears, held, table))
        if spent >= 1:
            break


@torch.no_grad()
def map_score(ears: Ears, held: list[Heard], table: Tensor) -> dict[str, float]:
    """Of the rows cut between tokens: how many are nearest to their token among the whole vocabulary."""
    inputs = torch.from_numpy(np.concatenate([each.laid for each in held]))
    tokens = torch.from_numpy(np.concatenate([each.tokens for each in held]))
    rows = ears.rows(inputs[tokens >= 0].float())
    right = torch.cat([torch.cdist(part, table).argmin(1) for part in rows.split(512)]) == tokens[tokens >= 0]
    distance = (rows - table[tokens[tokens >= 0]]).norm(dim=1)
    return {"nearest_is_right": round(float(right.float().mean()), 4), "distance": round(float(distance.mean()), 3)}


def train_through(state: State, reader: Reader, lessons: list[Heard], held: list[Heard], minutes: float) -> None:
    """The map, by what the frozen model says of the rows: the transcript, and answers to questions.

    The distance to the tokens' embeddings stays in the loss, with little weight.
    """
    ears = state.ears
    parameters = [tensor for name, tensor in ears.named_parameters() if not name.startswith("gate")]
    rate = 3e-4
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01, betas=(0.9, 0.98))
    rng = random.Random(state.done["steps"])
    progress = Progress(reader, held)
    state.save(text=round(progress.text, 4), none=round(progress.none, 4), **progress.figures(ears))
    for step in itertools.count(1):
        if (spent := state.share(minutes)) >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, step / WARM_STEPS) * max(0.05, 1 - spent)
        some = rng.sample(lessons, 16)
        ears.train()
        rows = [ears.rows(torch.from_numpy(lesson.laid).float()) for lesson in some]
        losses = reader.losses([ask_in_training(lesson.text, rng) for lesson in some], rows)
        near = torch.cat(
            [
                (row - reader.table[lesson.tokens])[lesson.tokens >= 0].square().sum(1)
                for row, lesson in zip(rows, some, strict=True)
            ]
        )
        loss = losses.mean() + 0.05 * near.mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        state.done["steps"] += 1
        state.done["positions"] += sum(len(row) for row in rows)
        if state.is_due():
            state.save(loss=round(float(losses.detach().mean()), 3), **progress.figures(ears))
    state.save(**progress.figures(ears))


def ask_in_training(text: str, rng: random.Random) -> Ask:
    """A question where the sentence has a word of some kind, one time in three; else the wish to hear it again."""
    if (kinds := kinds_of(text)) and rng.random() < 0.33:
        return question_of(text, rng.choice(kinds), rng.choice(QUESTIONS_IN_TRAINING))
    return transcript_of(text, rng.choice(ASK_IN_TRAINING))


class Progress:
    """What the model makes of held-out sentences, in nats a token: as text, as nothing, and as rows whenever asked."""

    @torch.no_grad()
    def __init__(self, reader: Reader, held: list[Heard], number: int = 40) -> None:
        self._reader, self._held = reader, held[:number]
        self._asks = [transcript_of(each.text) for each in self._held]
        said = [reader.embedded(f" {each.text}") for each in self._held]
        self.text = float(reader.losses(self._asks, said).mean())
        self.none = float(reader.losses(self._asks, [each[:0] for each in said]).mean())

    @torch.no_grad()
    def figures(self, ears: Ears) -> dict[str, float]:
        """Nats a token with rows, and the share recovered of what text gives."""
        ears.eval()
        rows = [ears.rows(torch.from_numpy(each.laid).float()) for each in self._held]
        nats = float(self._reader.losses(self._asks, rows).mean())
        recovered = (self.none - nats) / (self.none - self.text)
        return {"rows": round(nats, 4), "recovered": round(recovered, 4)}


def moments(said: list[Utterance]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each of the states' dimensions."""
    states = np.concatenate([utterance.states[::7] for utterance in said[:2000]]).astype(np.float32)
    return torch.from_numpy(states.mean(0)), torch.from_numpy(states.std(0) + 1e-3)


def encoder_identity() -> str:
    """What `transcribe` names as the weights of its states."""
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "sound.wav"
        soundfile.write(sound, Hibari().say("The light was kept by her.", 1.0, 1.0).samples, RATE_HZ)
        return sensorium.load("transcribe").run(audio=sound)["states"].weights


def write_bridge(state: State, folder: Path, receiver: Path, hours: float) -> None:
    """The bridge's folder, as `sensorium.latent.bridge` reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = state.ears.arrays()
    declared = {
        "sensorium": 1,
        "name": folder.name,
        "about": ABOUT,
        "from": {
            "model": "whisper-tiny-en", "weights": encoder_identity(), "tap": "encoder",
            "width": len(state.ears.mean),
        },
        "to": {"model": "smollm2-135m", "weights": loaded_identities(receiver), "width": len(state.ears.scale)},
        "gate": GATE.model_dump(),
        "hidden": HIDDEN,
        "skip": False,
        "parameters": sum(array.size for array in arrays.values()),
        "sha256": write_weights(folder / "weights.safetensors", arrays),
        "licences": ["MIT", "Apache-2.0", "Apache-2.0"],
        "training": {
            "texts": [f"{hours:.1f} hours of synthetic speech (hibari, espeak-ng): a small grammar, and English prose"],
            "positions": state.done["positions"],
            "steps": state.done["steps"],
            "cpu_minutes": round(state.done["cpu_s"] / 60, 1),
            "seed": 0,
            "stages": list(dict.fromkeys(figures["stage"] for figures in state.curve)),
        },
    }  # fmt: skip
    writer = YAML()
    writer.width = 120
    with (folder / "bridge.yaml").open("w") as file:
        writer.dump(declared, file)
    read_bridge(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bridges/whisper-tiny-en-to-smollm2-135m"))
    parser.add_argument("--minutes", type=float, nargs=3, default=(3.0, 15.0, 20.0), help="CPU minutes of each stage")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    receiver = sensorium.Project.find().checkpoints.directory("smollm2-135m-transformers")
    tokenizer = AutoTokenizer.from_pretrained(receiver)
    model = AutoModelForCausalLM.from_pretrained(receiver, dtype=torch.float32).requires_grad_(False).eval()
    table = model.get_input_embeddings().weight
    said, held = list(read_shards(options.data)), list(read_shards(options.held_out))
    hours = sum(len(each.states) for each in said) / FRAMES_A_SECOND / 3600
    print(f"{len(said)} utterances, {hours:.2f} hours", flush=True)
    state = State(options.state, Ears(*moments(said), hidden=HIDDEN, width=table.shape[1]))
    state.ears.eval()
    if state.done["stage"] == "gate":
        train_gate(state, said, held, tokenizer, options.minutes[0])
        state.go_on()
    if state.done["stage"] != "done":
        held_lessons = [heard(state.ears, each, tokenizer, told=False) for each in held]
        lessons = [heard(state.ears, each, tokenizer, told=False) for each in said]
    if state.done["stage"] == "map":
        train_map(state, lessons, held_lessons, table, options.minutes[1])
        state.go_on()
    if state.done["stage"] == "model":
        train_through(state, Reader(model, tokenizer), lessons, held_lessons, options.minutes[2])
        state.go_on()
    write_bridge(state, options.out, receiver, hours)


if __name__ == "__main__":
    main()
