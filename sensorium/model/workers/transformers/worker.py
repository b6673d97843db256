"""A language model by transformers, as a worker."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sensorium.errors import CallerError, LatentError
from sensorium.model.choosing import choose
from sensorium.model.cores import idle_cores
from sensorium.worker import Failed, Item

from .constraint import Constraint
from .contexts import Contexts
from .pieces import Piece, Thought, of_tokens
from .reader import Reader
from .stops import Stops

_TOKENIZER: Any = AutoTokenizer  # what these classes load decides what they are
_MODEL: Any = AutoModelForCausalLM


class Transformers:
    """Replies to prompts, token by token, and gives and takes what it holds while it does."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        """Loads a directory of the transformers layout; nothing in it is run as code."""
        directory = checkpoints["weights"]
        torch.set_num_threads(idle_cores())
        self._tokenizer: Any = _TOKENIZER.from_pretrained(directory, local_files_only=True)
        options = {"local_files_only": True, "use_safetensors": True, "dtype": _dtype()}
        self._model: Any = _MODEL.from_pretrained(directory, **options).to(device).eval()
        limit = int(os.environ.get("SENSORIUM_CONTEXT_TOKENS", "8192"))
        self._limit = min(limit, int(getattr(self._model.config, "max_position_embeddings", limit)))
        self._reader = Reader(self._model, device)
        self._contexts = Contexts(self._model, self._tokenizer, device, self._limit)

    @torch.inference_mode()
    def run(self, batch: list[dict[str, Any]]) -> Iterator[Any]:
        """Pieces of the reply as they come, then the reply with its report; or what the settings ask for instead."""
        (call,) = batch
        settings = call["settings"]
        segments: list[str | int] = settings.get("segments") or [call["prompt"]]
        try:
            pieces = self._contexts.pieces(segments, call["frames"] or [])
            if settings.get("fresh"):
                self._reader.forget()
            if not pieces and settings.get("do") != "tell":
                raise CallerError("the prompt is empty; give some text to read")
            self._require_room(sum(map(len, pieces)) + settings.get("thoughts", 0))
            yield from self._done(segments, pieces, settings)
        except CallerError as refusal:
            yield Failed(0, str(refusal), kind="latent" if isinstance(refusal, LatentError) else "caller")
            yield [None]

    def close(self) -> None:
        """Frees the model."""
        del self._reader, self._contexts, self._model

    def _require_room(self, num_positions: int, what: str = "the prompt has") -> None:
        if num_positions > self._limit:
            raise CallerError(_too_long(what, num_positions, self._limit))

    def _done(self, segments: Sequence[str | int], pieces: list[Piece], settings: dict[str, Any]) -> Iterator[Any]:
        match settings.get("do", "reply"):
            case "tell":
                yield [{"report": self._contexts.told()}]
            case "hold":
                yield [self._hold(segments, pieces, settings["thoughts"])]
            case "give":
                yield [{"frame": self._contexts.given(self._reader, pieces, settings["space"])}]
            case "score":
                yield [self._score(pieces, settings)]
            case _ if "choices" in settings:
                yield [self._choose(pieces, settings)]
            case _:
                yield from self._reply(pieces, settings)

    def _hold(self, segments: Sequence[str | int], pieces: list[Piece], num_thoughts: int) -> dict[str, Any]:
        """Reads a prompt, thinks, and tells how that is done again."""
        began_s = perf_counter()
        whole = [*pieces, *[Thought()] * num_thoughts]
        self._reader.hold(whole)
        seconds, num_cached = perf_counter() - began_s, self._reader.num_cached
        usage = _usage(sum(map(len, pieces)), num_thoughts, num_cached, seconds, seconds)
        return {"recipe": self._contexts.recipe(segments, num_thoughts), "report": {"usage": usage}}

    def _score(self, pieces: list[Piece], settings: dict[str, Any]) -> dict[str, Any]:
        """How likely a text is behind a prompt, token by token; with all logits where they are asked for."""
        began_s = perf_counter()
        ids: list[int] = self._tokenizer(settings["text"], add_special_tokens=False)["input_ids"]
        if not ids:
            raise CallerError("the text that is scored is empty; give some text to score")
        self._require_room(sum(map(len, pieces)) + len(ids), "the prompt and the text that is scored have")
        first = self._reader.read(pieces)[None]
        read_s, num_cached = perf_counter() - began_s, self._reader.num_cached
        logits = torch.cat([first, self._reader.follow(ids)[:-1]])
        logs = torch.log_softmax(logits, -1).gather(-1, torch.tensor(ids, device=logits.device)[:, None])
        usage = _usage(sum(map(len, pieces)), len(ids), num_cached, read_s, perf_counter() - began_s)
        likeliest = [int(token) for token in logits.argmax(-1)]
        report = {"usage": usage, "logs": [float(log) for log in logs[:, 0]], "likeliest": likeliest}
        return {"report": report, "logits": logits.cpu().numpy() if settings.get("logits") else None}

    def _choose(self, pieces: list[Piece], settings: dict[str, Any]) -> dict[str, Any]:
        began_s = perf_counter()
        num_cached: list[int] = []

        def next_token(begun: str, num_tokens: int) -> list[tuple[str, float]]:
            more: list[int] = self._tokenizer(begun, add_special_tokens=False)["input_ids"] if begun else []
            logits = self._reader.read([*pieces, *of_tokens(more)])
            num_cached.append(self._reader.num_cached)
            likeliest: Any = torch.log_softmax(logits, -1).topk(min(num_tokens, logits.shape[-1]))
            texts: list[str] = self._tokenizer.batch_decode(likeliest.indices[:, None])
            return list(zip(texts, likeliest.values.tolist(), strict=True))

        text, scores = choose(next_token, settings)
        seconds = perf_counter() - began_s
        usage = _usage(sum(map(len, pieces)), len(num_cached), num_cached[0] if num_cached else 0, seconds, seconds)
        return {"text": text, "pieces": [text], "report": {"finish": "stop", "usage": usage, "scores": scores}}

    def _reply(self, pieces: list[Piece], settings: dict[str, Any]) -> Iterator[Any]:
        began_s, first_token_s = perf_counter(), 0.0
        stops = Stops(self._tokenizer, settings["stop"])
        constraint = Constraint(self._tokenizer, self._model.config.vocab_size, settings.get("schema"))
        generator = torch.Generator().manual_seed(settings["seed"]) if "seed" in settings else None
        written: list[int] = []
        num_prompt = sum(map(len, pieces))
        finish, logits = "length", self._reader.read(pieces)
        num_cached = self._reader.num_cached
        while len(written) < settings["max_tokens"] and num_prompt + len(written) < self._limit:
            token = _pick(constraint.masked(logits), settings["temperature"], generator)
            first_token_s = first_token_s or perf_counter() - began_s
            if token in self._ends:
                finish = "stop"
                break
            written.append(token)
            constraint.take(token)
            if piece := stops.take(token):
                yield Item(0, "pieces", piece)
            if stops.has_stopped or constraint.has_ended:
                finish = "stop"
                break
            logits = self._reader.go_on(token)
        if piece := stops.rest():
            yield Item(0, "pieces", piece)
        usage = _usage(num_prompt, len(written), num_cached, first_token_s, perf_counter() - began_s)
        report = {"finish": finish, "usage": usage, "scores": {}}
        yield [{"text": stops.text, "pieces": stops.pieces, "report": report}]

    @property
    def _ends(self) -> set[int]:
        told: Any = self._model.generation_config.eos_token_id
        own: Any = self._tokenizer.eos_token_id
        ends: list[Any] = [own, *(told if isinstance(told, list) else [told])]
        return {int(end) for end in ends if end is not None}


def _dtype() -> torch.dtype:
    named = os.environ.get("SENSORIUM_DTYPE", "auto")
    kinds = {"auto": torch.bfloat16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float16": torch.float16}
    if named not in kinds:
        raise ValueError(f"dtype {named!r} is unknown; a profile names one of {', '.join(kinds)}")
    return kinds[named]


def _pick(logits: torch.Tensor, temperature: float, generator: torch.Generator | None) -> int:
    if temperature <= 0:
        return int(logits.argmax())
    chances = torch.softmax(logits.float().cpu() / temperature, -1)
    return int(torch.multinomial(chances, 1, generator=generator))


def _usage(num_prompt: int, num_answer: int, num_cached: int, first_token_s: float, seconds: float) -> dict[str, Any]:
    return {
        "prompt_tokens": num_prompt,
        "answer_tokens": num_answer,
        "cached_tokens": num_cached,
        "first_token_s": first_token_s,
        "seconds": seconds,
    }


def _too_long(what: str, num_tokens: int, limit: int) -> str:
    return (
        f"{what} {num_tokens} tokens, {num_tokens - limit} more than the {limit} of the model's context; "
        "shorten the request or raise context_tokens in the profile"
    )
