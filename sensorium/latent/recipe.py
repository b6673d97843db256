"""Recipes: what has to be done again so that a language model holds what it held.

A recipe is int32 [entries]. An entry is a token's id, or one of the codes below. It is about four bytes a token, and
replaying it on the same weights, runtime and chunks gives the same bits: what a model held is durable by it, and a
tensor that was computed from it is a cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

__all__ = [
    "CUT",
    "CHUNK_TOKENS",
    "ROW",
    "THOUGHT",
    "Recipe",
    "head_positions",
    "joined",
    "num_positions",
    "num_thoughts",
    "runs",
]

Recipe = npt.NDArray[np.int32]

THOUGHT = -1
"""One step that the model thought: a row of input that it computed, and that stands for no token."""
ROW = -2
"""The next of the rows that came from elsewhere, by a bridge; they lie beside the recipe."""
CUT = -3
"""No position: the tokens behind it are read apart from those before it."""

CHUNK_TOKENS = 64
"""Tokens that are read at once, counted from the beginning and from each cut. In 16 bits other chunks give other
roundings."""


def joined(parts: Iterable[Recipe]) -> Recipe:
    """One recipe behind the other, cut where they meet."""
    kept = [part for part in parts if len(part)]
    cut = np.asarray([CUT], dtype=np.int32)
    pieces = [piece for part in kept for piece in (cut, part)][1:]
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int32)


def head_positions(recipe: Recipe) -> int:
    """Positions before the first cut: how a conversation begins, before what was read."""
    cuts = np.flatnonzero(recipe == CUT)
    return int(cuts[0]) if len(cuts) else 0


def num_positions(recipe: Recipe) -> int:
    """Positions that a recipe fills."""
    return int((recipe != CUT).sum())


def num_thoughts(recipe: Recipe) -> int:
    """Positions that were thought, not read."""
    return int((recipe == THOUGHT).sum())


def runs(recipe: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Stretches of one kind in order: `(0, ids)`, `(THOUGHT, [...])`, `(ROW, [...])`; cuts part them and are left out.

    Raises:
        ValueError: An entry is no id and no code.
    """
    wrong = next((entry for entry in recipe if entry < CUT), None)
    if wrong is not None:
        raise ValueError(f"a recipe holds {wrong}, which is no token's id and none of the codes {CUT} to {THOUGHT}")
    stretches = groupby(recipe, lambda entry: min(entry, 0))
    return [(kind, list(entries)) for kind, entries in stretches if kind != CUT]
