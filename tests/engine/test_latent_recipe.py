"""Recipes: what stands in them, and how they are taken apart and joined."""

from __future__ import annotations

import numpy as np
import pytest

from sensorium.latent.recipe import CHUNK_TOKENS, CUT, ROW, THOUGHT, Recipe, joined, num_positions, num_thoughts, runs


def recipe(*entries: int) -> Recipe:
    return np.asarray(entries, dtype=np.int32)


COUNTS: list[tuple[str, Recipe, int, int]] = [
    ("nothing", recipe(), 0, 0),
    ("tokens, the first of a vocabulary among them", recipe(0, 1, 2), 3, 0),
    ("cuts fill no position", recipe(1, CUT, 2, CUT, CUT), 2, 0),
    ("thoughts and rows fill one each", recipe(1, THOUGHT, THOUGHT, CUT, ROW, ROW, ROW, 5), 7, 2),
]


@pytest.mark.parametrize(
    ("entries", "positions", "thoughts"), [case[1:] for case in COUNTS], ids=[case[0] for case in COUNTS]
)
def test_positions_and_thoughts_are_counted(entries: Recipe, positions: int, thoughts: int) -> None:
    assert num_positions(entries) == positions
    assert num_thoughts(entries) == thoughts


JOINED: list[tuple[str, list[Recipe], Recipe]] = [
    ("nothing", [], recipe()),
    ("empty ones alone", [recipe(), recipe()], recipe()),
    ("one alone has no cut", [recipe(1, 2)], recipe(1, 2)),
    ("two are cut where they meet", [recipe(1, 2), recipe(3)], recipe(1, 2, CUT, 3)),
    ("an empty one leaves no cut", [recipe(), recipe(1), recipe(), recipe(2), recipe()], recipe(1, CUT, 2)),
    ("cuts within are kept", [recipe(1, CUT, 2), recipe(THOUGHT)], recipe(1, CUT, 2, CUT, THOUGHT)),
]


@pytest.mark.parametrize(("parts", "whole"), [case[1:] for case in JOINED], ids=[case[0] for case in JOINED])
def test_recipes_are_joined_by_cuts(parts: list[Recipe], whole: Recipe) -> None:
    made = joined(parts)
    assert made.dtype == np.int32
    assert made.tolist() == whole.tolist()


def test_joining_changes_no_part_and_keeps_all_positions() -> None:
    parts = [recipe(1, 2), recipe(THOUGHT, ROW), recipe(7)]
    assert num_positions(joined(parts)) == sum(map(num_positions, parts))
    assert [part.tolist() for part in parts] == [[1, 2], [THOUGHT, ROW], [7]]
    assert joined([joined(parts[:2]), parts[2]]).tolist() == joined(parts).tolist()


RUNS: list[tuple[str, list[int], list[tuple[int, list[int]]]]] = [
    ("nothing", [], []),
    ("cuts alone", [CUT, CUT], []),
    ("tokens of any id are one stretch", [0, 5, 49151], [(0, [0, 5, 49151])]),
    ("a cut parts tokens", [1, 2, CUT, 3], [(0, [1, 2]), (0, [3])]),
    ("cuts at the ends and twice", [CUT, 1, CUT, CUT, 2, CUT], [(0, [1]), (0, [2])]),
    (
        "kinds part each other",
        [1, THOUGHT, THOUGHT, 2, ROW, ROW, THOUGHT],
        [(0, [1]), (THOUGHT, [THOUGHT] * 2), (0, [2]), (ROW, [ROW] * 2), (THOUGHT, [THOUGHT])],
    ),
    ("a cut parts rows", [ROW, CUT, ROW], [(ROW, [ROW]), (ROW, [ROW])]),
]


@pytest.mark.parametrize(("entries", "stretches"), [case[1:] for case in RUNS], ids=[case[0] for case in RUNS])
def test_a_recipe_is_stretches_of_one_kind(entries: list[int], stretches: list[tuple[int, list[int]]]) -> None:
    assert runs(entries) == stretches


@pytest.mark.parametrize("wrong", [-4, -16, -17, -(2**31)])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_an_entry_that_is_no_id_and_no_code_is_refused(wrong: int, place: int) -> None:
    entries = [1, CUT, THOUGHT]
    entries.insert(place, wrong)
    with pytest.raises(ValueError, match=f"a recipe holds {wrong}, which is no token's id .* the codes -3 to -1"):
        runs(entries)


def test_codes_are_no_ids_and_differ() -> None:
    assert len({THOUGHT, ROW, CUT}) == 3
    assert max(THOUGHT, ROW, CUT) < 0 < CHUNK_TOKENS
