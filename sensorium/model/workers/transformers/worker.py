"""A language model by transformers, as a worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sensorium.model.choosing import choose
from sensorium.model.cores import idle_cores
from sensorium.worker import Failed, Item

from .constraint import Constraint
from .reader import Reader
from .stops import Stops

_TOKENIZER: Any = AutoTokenizer  # what these classes load decides what they are
_MODEL: Any = AutoModelForCausalLM


class Transformers:
    """Replies to prompts, token by token, and gives the latents of what it reads."""

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

    @torch.inference_mode()
    def run(self, batch: list[dict[str, Any]]) -> Iterator[Any]:
        """Pieces of the reply as they come, then the reply with its report; or the latents."""
        (call,) = batch
        settings = call["settings"]
        ids: list[int] = self._tokenizer(call["prompt"], add_special_tokens=False)["input_ids"]
        if len(ids) > self._limit:
            yield Failed(0, _too_long(len(ids), self._limit), kind="caller")
            yield [None]
        elif settings.get("latents"):
            yield [self._latents(ids)]
        elif "choices" in settings:
            yield [self._choose(ids, settings)]
        else:
            yield from self._reply(ids, settings)

    def close(self) -> None:
        """Frees the model."""
        del self._reader, self._model

    def _latents(self, ids: list[int]) -> dict[str, Any]:
        tokens = torch.tensor([ids], device=self._model.device)
        embeds = self._model.get_input_embeddings()(tokens)
        hidden = self._model.base_model(inputs_embeds=embeds).last_hidden_state
        return {"embeds": embeds[0].float().cpu().numpy(), "hidden": hidden[0].float().cpu().numpy()}

    def _choose(self, ids: list[int], settings: dict[str, Any]) -> dict[str, Any]:
        began_s = perf_counter()
        num_cached: list[int] = []

        def next_token(begun: str, num_tokens: int) -> list[tuple[str, float]]:
            more: list[int] = self._tokenizer(begun, add_special_tokens=False)["input_ids"] if begun else []
            logits = self._reader.read([*ids, *more])
            num_cached.append(self._reader.num_cached)
            likeliest: Any = torch.log_softmax(logits, -1).topk(min(num_tokens, logits.shape[-1]))
            texts: list[str] = self._tokenizer.batch_decode(likeliest.indices[:, None])
            return list(zip(texts, likeliest.values.tolist(), strict=True))

        text, scores = choose(next_token, settings)
        seconds = perf_counter() - began_s
        usage = _usage(len(ids), len(num_cached), num_cached[0] if num_cached else 0, seconds, seconds)
        return {"text": text, "pieces": [text], "report": {"finish": "stop", "usage": usage, "scores": scores}}

    def _reply(self, ids: list[int], settings: dict[str, Any]) -> Iterator[Any]:
        began_s, first_token_s = perf_counter(), 0.0
        stops = Stops(self._tokenizer, settings["stop"])
        constraint = Constraint(self._tokenizer, self._model.config.vocab_size, settings.get("schema"))
        generator = torch.Generator().manual_seed(settings["seed"]) if "seed" in settings else None
        written: list[int] = []
        finish, logits = "length", self._reader.read(ids)
        num_cached = self._reader.num_cached
        while len(written) < settings["max_tokens"] and len(ids) + len(written) < self._limit:
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
        usage = _usage(len(ids), len(written), num_cached, first_token_s, perf_counter() - began_s)
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


def _too_long(num_tokens: int, limit: int) -> str:
    return (
        f"the prompt has {num_tokens} tokens, {num_tokens - limit} more than the {limit} of the model's context; "
        "shorten the request or raise context_tokens in the profile"
    )
