"""Choice among given texts, by the probability that a model gives to each."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Choice", "Chooser"]

NUM_TOKENS = 1000
"""How many of the likeliest next tokens are looked at."""
WORTH_A_LOOK = math.log(1e-3)
"""A beginning that several choices share is followed where it is at least this likely."""
LOWEST = -30.0
"""Stands for what is not among the likeliest tokens."""


@dataclass
class Choice:
    """What was chosen."""

    text: str
    scores: dict[str, float]
    """Logarithm of the probability of each choice, up to the point where no other choice goes on like it."""
    usage: dict[str, int]


@dataclass
class Chooser:
    """Chooses by reading the next token's probabilities where the choices part."""

    complete: Callable[[dict[str, Any]], dict[str, Any]]
    """Answers a completion request of llama.cpp."""
    usage: dict[str, int] = field(default_factory=dict[str, int])

    def choose(self, prompt: str, settings: dict[str, Any]) -> Choice:
        """The likeliest of `settings["choices"]`; one drawn by their probabilities where the temperature is above 0."""
        self.usage = {"prompt_tokens": 0, "answer_tokens": 0, "cached_tokens": 0}
        choices = list(dict.fromkeys(settings["choices"]))
        mass = dict.fromkeys(choices, 0.0)
        self._share(prompt, "", 0.0, choices, mass)
        scores = {choice: math.log(mass[choice]) if mass[choice] > 0 else LOWEST for choice in choices}
        return Choice(_draw(scores, settings), scores, self.usage)

    def _share(self, prompt: str, begun: str, log_share: float, choices: list[str], mass: dict[str, float]) -> None:
        """Adds to `mass` what the choices that begin with `begun` get of a probability."""
        if len(choices) == 1:
            mass[choices[0]] += math.exp(log_share)
            return
        shared: dict[str, float] = {}
        whole = 1.0
        for token, log_probability in self._next(prompt + begun):
            fitting = [choice for choice in choices if choice != begun and choice.startswith(begun + token)]
            if not fitting:
                continue
            whole -= math.exp(log_probability)
            if len(fitting) == 1:
                mass[fitting[0]] += math.exp(log_share + log_probability)
            elif log_probability > WORTH_A_LOOK:
                shared[token] = log_probability
        if begun in choices:
            mass[begun] += math.exp(log_share) * max(whole, 0.0)
        for token, log_probability in shared.items():
            fitting = [choice for choice in choices if choice.startswith(begun + token)]
            self._share(prompt, begun + token, log_share + log_probability, fitting, mass)

    def _next(self, prompt: str) -> list[tuple[str, float]]:
        reply = self.complete({"prompt": prompt, "n_predict": 1, "temperature": 0, "n_probs": NUM_TOKENS})
        timings = reply["timings"]
        self.usage["prompt_tokens"] = timings["cache_n"] + timings["prompt_n"]
        self.usage["cached_tokens"] = max(self.usage["cached_tokens"], timings["cache_n"])
        self.usage["answer_tokens"] += 1
        likeliest = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        return [(entry["token"], entry["logprob"]) for entry in likeliest if entry["token"]]


def _draw(scores: dict[str, float], settings: dict[str, Any]) -> str:
    temperature = settings["temperature"]
    if temperature <= 0:
        return max(scores, key=lambda choice: scores[choice])
    highest = max(scores.values())
    weights = [math.exp((score - highest) / temperature) for score in scores.values()]
    return random.Random(settings.get("seed")).choices(list(scores), weights)[0]
