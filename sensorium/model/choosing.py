"""Choice among given texts, by the probability that a model gives to each. Runs in a worker's process."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

__all__ = ["NextToken", "choose", "score"]

NUM_TOKENS = (4_000, 1_000_000)
"""How many of the likeliest next tokens are looked at; more, where no choice begins with any of them."""
WORTH_A_LOOK = 1e-3
"""A beginning that several choices share is followed where its probability is at least this."""
LOWEST = -30.0
"""Score of what is not among the likeliest tokens."""

Beginnings = Callable[[str], Sequence[tuple[str, float]]]
NextToken = Callable[[str, int], Sequence[tuple[str, float]]]
"""From a beginning of the reply to so many of the likeliest next tokens: text, and logarithm of the probability."""


def choose(next_token: NextToken, settings: dict[str, Any]) -> tuple[str, dict[str, float]]:
    """The likeliest of `settings["choices"]`, and the score of each; above temperature 0, one drawn by the scores."""
    scores = score(next_token, list(dict.fromkeys(settings["choices"])))
    return _draw(scores, settings), scores


def score(next_token: NextToken, choices: list[str]) -> dict[str, float]:
    """Logarithm of the probability of each choice, up to the point where no other choice goes on like it."""
    mass = dict.fromkeys(choices, 0.0)
    for num_tokens in NUM_TOKENS:
        if not any(mass.values()):
            _share(partial(_look, next_token, num_tokens), "", 1.0, choices, mass)
    return {choice: math.log(mass[choice]) if mass[choice] > 0 else LOWEST for choice in choices}


def _look(next_token: NextToken, num_tokens: int, begun: str) -> Sequence[tuple[str, float]]:
    return next_token(begun, num_tokens)


def _share(next_token: Beginnings, begun: str, share: float, choices: list[str], mass: dict[str, float]) -> None:
    """Adds to `mass` what the choices that begin with `begun` get of the probability `share`."""
    if len(choices) == 1:
        mass[choices[0]] += share
        return
    left = 1.0
    for token, log_probability in next_token(begun):
        fitting = [choice for choice in choices if token and choice != begun and choice.startswith(begun + token)]
        if fitting:
            probability = math.exp(log_probability)
            left -= probability
            if len(fitting) == 1 or probability >= WORTH_A_LOOK:
                _share(next_token, begun + token, share * probability, fitting, mass)
    if begun in choices:
        mass[begun] += share * max(left, 0.0)  # whatever else comes next, this choice has ended


def _draw(scores: dict[str, float], settings: dict[str, Any]) -> str:
    """The likeliest choice at temperature 0, else one drawn by `settings["seed"]`."""
    temperature = settings["temperature"]
    if temperature <= 0:
        return max(scores, key=lambda choice: scores[choice])
    highest = max(scores.values())
    weights = [math.exp((score - highest) / temperature) for score in scores.values()]
    return random.Random(settings.get("seed")).choices(list(scores), weights)[0]
