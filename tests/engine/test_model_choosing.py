"""Choice by probability, over distributions that are written out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest

from sensorium.model.choosing import NextToken, choose, score


def model(table: Mapping[str, Mapping[str, float]], asked: list[str] | None = None) -> NextToken:
    """Next tokens by what was begun."""

    def next_token(begun: str, num_tokens: int) -> Sequence[tuple[str, float]]:
        if asked is not None:
            asked.append(begun)
        return [(token, math.log(chance)) for token, chance in table[begun].items()][:num_tokens]

    return next_token


def test_choices_that_part_at_once_are_read_at_once() -> None:
    asked: list[str] = []
    scores = score(model({"": {"see": 0.5, "fi": 0.25, "find": 0.125, "x": 0.125}}, asked), ["see", "find"])
    assert {name: math.exp(value) for name, value in scores.items()} == pytest.approx({"see": 0.5, "find": 0.375})
    assert asked == [""]


def test_a_shared_beginning_is_followed() -> None:
    table = {"": {"s": 0.9, "find": 0.1}, "s": {"peak": 0.75, "ee": 0.25}}
    scores = score(model(table), ["see", "speak", "find"])
    assert {name: math.exp(value) for name, value in scores.items()} == pytest.approx(
        {"see": 0.225, "speak": 0.675, "find": 0.1}
    )


def test_a_choice_that_begins_another_gets_what_does_not_go_on() -> None:
    table = {"": {"cut": 1.0}, "cut": {"-out": 0.2, "<end>": 0.8}}
    scores = score(model(table), ["cut", "cut-out"])
    assert {name: math.exp(value) for name, value in scores.items()} == pytest.approx({"cut": 0.8, "cut-out": 0.2})


def test_where_nothing_likely_fits_more_is_looked_at() -> None:
    def next_token(begun: str, num_tokens: int) -> Sequence[tuple[str, float]]:
        return [("no", -1.0)] if num_tokens < 10_000 else [("no", -1.0), ("b", -20.0)]

    assert choose(next_token, {"choices": ["a", "b"], "temperature": 0})[0] == "b"


def test_a_seed_decides_what_is_drawn() -> None:
    settings = {"choices": ["a", "b"], "temperature": 1.0}
    table = {"": {"a": 0.5, "b": 0.5}}
    drawn = [choose(model(table), {**settings, "seed": seed})[0] for seed in range(20)]
    assert drawn == [choose(model(table), {**settings, "seed": seed})[0] for seed in range(20)]
    assert set(drawn) == {"a", "b"}
