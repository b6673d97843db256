"""The name that an author may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["closest", "listed", "meant", "right_name"]

_MOST_COMPARED = 16
_MOST_LISTED = 12
_LONGEST = 100


def closest(name: str, names: Iterable[str]) -> str | None:
    """The nearest of `names`; None where none is near."""
    name, known = name[:_LONGEST], list(dict.fromkeys(names))
    if len(known) > _MOST_COMPARED:  # comparing letter by letter is for those that begin and end alike
        known = sorted(known, key=lambda other: _ends(name, other), reverse=True)[:_MOST_COMPARED]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return close[0] if close else None


def _ends(name: str, other: str) -> int:
    """How many letters two names have in common at both ends, less what they differ in length."""
    shared = _begin(name, other) + _begin(name[::-1], other[::-1])
    return min(shared, len(name), len(other)) - abs(len(name) - len(other))


def _begin(name: str, other: str) -> int:
    for index, (one, two) in enumerate(zip(name, other, strict=False)):
        if one != two:
            return index
    return min(len(name), len(other))


def meant(name: str, names: Iterable[str], what: str = "there are") -> str:
    """What would be right in place of `name`: the nearest of `names`, or what there is to choose from."""
    known = list(names)
    return right_name(closest(name, known), known, what)


def right_name(near: str | None, names: Iterable[str], what: str) -> str:
    """As `meant`, where the nearest name is known already."""
    if near is not None:
        return f"did you mean {near!r}?"
    known = list(names)
    return f"{what} {listed(known)}" if known else ""


def listed(names: Iterable[str]) -> str:
    """Names in a sentence; the first dozen of many."""
    known = list(names)
    if not known:
        return "none"
    shown = ", ".join(known[:_MOST_LISTED])
    return shown if len(known) <= _MOST_LISTED else f"{shown} and {len(known) - _MOST_LISTED} more"
