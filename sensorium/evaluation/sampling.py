"""A part of the data that stands for all of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

__all__ = ["sampled"]

Thing = TypeVar("Thing")


def sampled(things: Sequence[Thing], limit: int | None, seed: int, group: Callable[[Thing], Hashable]) -> list[Thing]:
    """At most `limit` of the things, in their order, each group by its share; the same for the same seed.

    Args:
        things: What there is.
        limit: Most that is taken; None takes all.
        seed: Which ones are drawn.
        group: What a thing belongs to.
    """
    if limit is None or limit >= len(things):
        return list(things)
    groups: dict[Hashable, list[int]] = {}
    for index, thing in enumerate(things):
        groups.setdefault(group(thing), []).append(index)
    draw = random.Random(seed)
    shares = _shares([len(members) for members in groups.values()], limit)
    taken = [
        index for members, share in zip(groups.values(), shares, strict=True) for index in draw.sample(members, share)
    ]
    return [things[index] for index in sorted(taken)]


def _shares(sizes: Sequence[int], limit: int) -> list[int]:
    """Whole numbers that add up to `limit`, in proportion to sizes; the largest remainders are rounded up."""
    exact = [size * limit / sum(sizes) for size in sizes]
    shares = [int(share) for share in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda index: shares[index] - exact[index])
    for index in by_remainder[: limit - sum(shares)]:
        shares[index] += 1
    return shares
