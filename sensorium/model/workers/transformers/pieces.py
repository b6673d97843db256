"""The pieces in which a prompt is read, one forward step each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch

from sensorium.latent.recipe import CHUNK_TOKENS, ROW, THOUGHT, runs

__all__ = ["Loaded", "Piece", "Rows", "Thought", "Tokens", "of_recipe", "of_rows", "of_tokens"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens that are read at once."""

    ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Rows:
    """Input embeddings that are read at once."""

    digest: str
    """Of the frame that they came in."""
    start: int
    """Where in it they begin."""
    rows: torch.Tensor = field(compare=False)
    """[positions, width]."""

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Thought:
    """One step that the model thinks."""

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class Loaded:
    """Keys and values that were computed elsewhere; they can only come first."""

    digest: str
    """Of the frame that they came in."""
    cache: torch.Tensor = field(compare=False)
    """[layers, 2, heads, positions, width of a head]; keys come first, turned by their positions."""

    def __len__(self) -> int:
        return self.cache.shape[3]


Piece: TypeAlias = Tokens | Rows | Thought | Loaded


def of_tokens(ids: Sequence[int]) -> Iterator[Tokens]:
    """Tokens in chunks, counted from the first of them."""
    for start in range(0, len(ids), CHUNK_TOKENS):
        yield Tokens(tuple(ids[start : start + CHUNK_TOKENS]))


def of_rows(rows: torch.Tensor, digest: str, sizes: Sequence[int] = ()) -> Iterator[Rows]:
    """Input embeddings in the pieces in which they were read where they were made, else in chunks."""
    told = list(sizes) or [min(CHUNK_TOKENS, len(rows) - at) for at in range(0, len(rows), CHUNK_TOKENS)]
    start = 0
    for size in told:
        yield Rows(digest, start, rows[start : start + size])
        start += size


def of_recipe(recipe: Sequence[int], rows: torch.Tensor | None, digest: str) -> Iterator[Piece]:
    """The pieces that a recipe tells of.

    Args:
        recipe: Ids and codes; see `sensorium.latent.recipe`.
        rows: Those that came from elsewhere, [count, width].
        digest: Of the frame that the rows came in.

    Raises:
        ValueError: The recipe holds what is no entry, or wants other than all the rows that there are.
    """
    used = 0
    for kind, entries in runs(recipe):
        if kind == THOUGHT:
            yield from (Thought() for _ in entries)
        elif kind == ROW:
            if rows is None or used + len(entries) > len(rows):
                raise ValueError(f"a recipe wants {used + len(entries)} rows from elsewhere, and has fewer")
            for piece in of_rows(rows[used : used + len(entries)], digest):
                yield Rows(digest, used + piece.start, piece.rows)
            used += len(entries)
        else:
            yield from of_tokens(entries)
    if rows is not None and used < len(rows):
        raise ValueError(f"a recipe wants {used} rows from elsewhere, and comes with {len(rows)}")
