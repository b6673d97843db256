"""A language model by llama.cpp, as a worker."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import xllamacpp  # type: ignore[import-untyped,unused-ignore]  # a compiled module without types

from sensorium.model.choosing import choose
from sensorium.model.cores import idle_cores
from sensorium.worker import Failed, Item, Progress

from .stream import Stream, TooLong, checked

_LLAMA: Any = xllamacpp

PROMPT_CACHE_MIB = 1024
"""Memory for the state of earlier prompts: two kinds of prompt can alternate without being read anew."""
BATCH_TOKENS = 512
"""Prompt tokens between two moments at which a call can be cancelled."""


class LlamaCpp:
    """Replies to prompts, token by token. A prompt that begins as an earlier one is read from where they differ."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        """Loads the only `.gguf` file of the checkpoint."""
        (weights,) = Path(checkpoints["weights"]).glob("*.gguf")
        self._folder = tempfile.mkdtemp(prefix="sensorium-llm-")
        self._server = _LLAMA.Server(_parameters(weights, device, Path(self._folder)))

    def run(self, batch: list[dict[str, Any]]) -> Iterator[Any]:
        """Pieces of the reply as they come, then the reply with its report."""
        (call,) = batch
        began_s = perf_counter()
        settings = call["settings"]
        try:
            if "choices" in settings:
                yield [self._choose(call["prompt"], settings, began_s)]
            else:
                yield from self._reply(call["prompt"], settings, began_s)
        except TooLong as error:
            yield Failed(0, str(error), kind="caller")
            yield [None]

    def close(self) -> None:
        """Frees the model."""
        del self._server
        shutil.rmtree(self._folder, ignore_errors=True)

    def _choose(self, prompt: str, settings: dict[str, Any], began_s: float) -> dict[str, Any]:
        told: list[dict[str, Any]] = []

        def next_token(begun: str, num_tokens: int) -> list[tuple[str, float]]:
            request = {"prompt": prompt + begun, "n_predict": 1, "temperature": 0, "n_probs": num_tokens}
            reply = checked(self._server.handle_completions({**request, "cache_prompt": True, "stream": False}))
            told.append(_usage(reply))
            (position,) = reply["choices"][0]["logprobs"]["content"][:1]
            return [(token["token"], token["logprob"]) for token in position["top_logprobs"]]

        text, scores = choose(next_token, settings)
        seconds = perf_counter() - began_s
        usage = {**told[0], "answer_tokens": len(told), "first_token_s": seconds, "seconds": seconds} if told else {}
        report = {"finish": "stop", "usage": usage or _NOTHING, "scores": scores}
        return {"text": text, "pieces": [text], "report": report}

    def _reply(self, prompt: str, settings: dict[str, Any], began_s: float) -> Iterator[Any]:
        pieces: list[str] = []
        first_token_s, last = 0.0, {}
        stream = Stream(self._server, _request(prompt, settings))
        try:
            for chunk in stream:
                choice = chunk["choices"][0]
                if choice["text"]:
                    first_token_s = first_token_s or perf_counter() - began_s
                    pieces.append(choice["text"])
                    yield Item(0, "pieces", choice["text"])
                elif "prompt_progress" in chunk:
                    done = chunk["prompt_progress"]
                    yield Progress(0, 0.0, f"read {done['processed']} of {done['total']} tokens")
                last = chunk
        finally:
            stream.stop()
        usage = {**_usage(last), "first_token_s": first_token_s, "seconds": perf_counter() - began_s}
        report = {"finish": last["choices"][0]["finish_reason"], "usage": usage, "scores": {}}
        yield [{"text": "".join(pieces), "pieces": pieces, "report": report}]


_NOTHING = {"prompt_tokens": 0, "answer_tokens": 0}
"""Usage where there was but one choice."""


def _request(prompt: str, settings: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {
        "prompt": prompt,
        "n_predict": settings["max_tokens"],
        "temperature": settings["temperature"],
        "stop": settings["stop"],
        "cache_prompt": True,
        "stream": True,
        "return_progress": True,
    }
    if "seed" in settings:
        request["seed"] = settings["seed"] % 2**32
    if "schema" in settings:
        request["grammar"] = _grammar(json.loads(settings["schema"]))
    return request


def _grammar(schema: dict[str, Any]) -> str:
    """A grammar of JSON, keys in the schema's order, without free space: small models get lost in blank lines."""
    grammar: str = _LLAMA.json_schema_to_grammar({"x-guidance": {"whitespace_flexible": False}, **schema})
    return grammar


def _usage(chunk: dict[str, Any]) -> dict[str, Any]:
    timings = chunk["timings"]
    return {
        "prompt_tokens": timings["cache_n"] + timings["prompt_n"],
        "answer_tokens": timings["predicted_n"],
        "cached_tokens": timings["cache_n"],
    }


def _parameters(weights: Path, device: str, folder: Path) -> Any:
    parameters = _LLAMA.CommonParams()
    parameters.model.path = str(weights)
    parameters.n_ctx = int(os.environ.get("SENSORIUM_CONTEXT_TOKENS", "8192"))
    parameters.n_parallel = 1
    parameters.n_batch = BATCH_TOKENS
    parameters.cache_ram_mib = PROMPT_CACHE_MIB
    parameters.n_gpu_layers = 0 if device == "cpu" else 999
    parameters.verbosity = -1
    for cpu in (parameters.cpuparams, parameters.cpuparams_batch):
        cpu.n_threads = idle_cores()
    _shut(parameters, folder)
    return parameters


def _shut(parameters: Any, folder: Path) -> None:
    """The library always listens somewhere: on a socket in a folder of ours alone, behind a key that nobody has."""
    parameters.hostnames = [str(folder / "llm.sock")]
    parameters.api_keys = [secrets.token_hex(32)]
    parameters.ui = False
    parameters.endpoint_props = False
    parameters.endpoint_slots = False
    parameters.endpoint_metrics = False
