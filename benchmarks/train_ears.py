"""Trains a bridge from Whisper's encoder to the input embeddings of a language model.

    python benchmarks/train_ears.py DATA --held-out DATA --state FOLDER [--minutes 40]

Three stages: the gate learns where tokens end; the map learns the input embedding of the token that is spoken; both
stay, and the map learns on through the frozen language model. What is done stands in the state's folder, and a command
that is given again goes on from there.
"""

# pyright: basic

from __future__ import annotations

import argparse
import json
import random
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from ears_data import Utterance, read_shards
from ears_model import GATE, Ears, marks
from ears_reader import ASK_IN_TRAINING, QUESTIONS_IN_TRAINING, Ask, Reader, question_of, transcript_of
from ears_sentences import spoken_words
from torch import Tensor
from torch.nn import functional

from sensorium.latent.bridge_gate import laid_out, token_ends

__all__ = ["Heard", "State", "heard", "token_spans"]

HIDDEN = 960
SHARPNESS = 3.0
"""Of the likelihood of a token by its distance from a row: exp(-SHARPNESS * distance²)."""
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
        self.done: dict[str, Any] = {"stage": "gate", "steps": 0, "cpu_s": 0.0, "positions": 0}
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "ears.pt").is_file():
            saved = torch.load(folder / "ears.pt", weights_only=True)
            ears.load_state_dict(saved["ears"])
            self.curve, self.done = saved["curve"], saved["done"]
        self._began_s = time.process_time()

    def save(self, **figures: Any) -> None:
        """Notes figures in the curve, and saves."""
        now_s = time.process_time()
        self.done["cpu_s"] += now_s - self._began_s
        self._began_s = now_s
        if figures:
            minutes = round(self.done["cpu_s"] / 60, 2)
            self.curve.append(
                {"stage": self.done["stage"], "steps": self.done["steps"], "cpu_minutes": minutes, **figures}
            )
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


def train_gate(state: State, said: list[Utterance], held: list[Utterance], tokenizer: Any, epochs: int = 2) -> None:
    """The gate, an utterance at a time in batches that are one long row of frames."""
    ears = state.ears
    optimiser = torch.optim.AdamW([*ears.gate_in.parameters(), *ears.gate_out.parameters()], lr=2e-3)
    batches = -(-len(said) // 16) * epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=batches)
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(len(said))
        for at in range(0, len(order), 16):
            loss = torch.zeros(())
            for index in order[at : at + 16]:
                utterance = said[index]
                told = marks(token_spans(utterance, tokenizer)[1], len(utterance.states))
                logits = ears.gate(normalised(ears, utterance))
                target = torch.from_numpy(np.stack([told.last, told.voiced], 1))
                weight = torch.tensor([2.0, 1.0])
                loss = loss + functional.binary_cross_entropy_with_logits(logits, target, weight=weight) / 16
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            state.done["steps"] += 1
        state.save(epoch=epoch, loss=round(float(loss.detach()), 4), **gate_score(ears, held, tokenizer))


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
    for utterance in held[:100]:
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
    rate = 1.5e-3
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.02, betas=(0.9, 0.98))
    began_s, epoch = time.process_time(), 0
    while (spent := (time.process_time() - began_s) / 60 / minutes) < 1:
        order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(epoch))
        ears.train()
        losses: list[float] = []
        for batch in order.split(256):
            spent = min(1.0, (time.process_time() - began_s) / 60 / minutes)
            for group in optimiser.param_groups:
                group["lr"] = rate * min(1.0, 0.05 + state.done["steps"] / 100) * max(0.02, 1 - spent)
            rows = ears.rows(inputs[batch].float())
            other = torch.randint(len(known), (1500,))
            some, where = torch.unique(torch.cat([targets[batch], other]), return_inverse=True)
            scores = -SHARPNESS * torch.cdist(rows, near[some]).square()
            loss = functional.cross_entropy(scores, where[: len(batch)])
            loss = loss + 0.3 * (rows - near[targets[batch]]).square().sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            losses.append(float(loss.detach()))
            state.done["steps"] += 1
            state.done["positions"] += len(batch)
            if spent >= 1:
                break
        epoch += 1
        ears.eval()
        state.save(epoch=epoch, loss=round(float(np.mean(losses)), 3), **map_score(ears, held, table))


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
    began_s = last_s = time.process_time()
    progress = Progress(reader, held)
    state.save(text=round(progress.text, 4), none=round(progress.none, 4), **progress.figures(ears))
    while (spent := (time.process_time() - began_s) / 60 / minutes) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate * max(0.05, 1 - spent)
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
        if time.process_time() - last_s > 75:
            last_s = time.process_time()
            state.save(loss=round(float(losses.detach().mean()), 3), **progress.figures(ears))
    state.save(**progress.figures(ears))


def ask_in_training(text: str, rng: random.Random) -> Ask:
    """A question where the sentence has a word of some kind, one time in three; else the wish to hear it again."""
    asked = question_of(text, rng, QUESTIONS_IN_TRAINING) if rng.random() < 0.33 else None
    return asked[0] if asked else transcript_of(text, rng.choice(ASK_IN_TRAINING))


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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--minutes", type=float, nargs=2, default=(15.0, 20.0), help="CPU minutes of map and model")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import sensorium

    receiver = sensorium.Project.find().checkpoints.directory("smollm2-135m-transformers")
    tokenizer = AutoTokenizer.from_pretrained(receiver)
    model = AutoModelForCausalLM.from_pretrained(receiver, dtype=torch.float32).requires_grad_(False).eval()
    table = model.get_input_embeddings().weight.float()
    said, held = list(read_shards(options.data)), list(read_shards(options.held_out))
    print(f"{len(said)} utterances, {sum(len(each.states) for each in said) / 180_000:.2f} hours", flush=True)
    state = State(options.state, Ears(*moments(said), hidden=HIDDEN, width=table.shape[1]))
    state.ears.eval()
    if state.done["stage"] == "gate":
        train_gate(state, said, held, tokenizer)
        state.done |= {"stage": "map", "steps": 0}
        state.save()
    held_lessons = [heard(state.ears, each, tokenizer, told=False) for each in held]
    lessons = [heard(state.ears, each, tokenizer, told=told) for told in (True, False) for each in said]
    if state.done["stage"] == "map":
        train_map(state, lessons, held_lessons, table, options.minutes[0])
        state.done |= {"stage": "model", "steps": 0}
        state.save()
    train_through(state, Reader(model, tokenizer), lessons[len(said) :], held_lessons, options.minutes[1])


if __name__ == "__main__":
    main()
