"""The name that an author may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["closest", "listed", "meant"]

_MOST_COMPARED = 200
_MOST_LISTED = 12


def closest(name: str, names: Iterable[str]) -> str | None:
    """The nearest of `names`; None where none is near."""
    known = list(dict.fromkeys(names))
    if len(known) > _MOST_COMPARED:
        near = [other for other in known if other[:1] == name[:1] and abs(len(other) - len(name)) <= 2]
        known = near[:_MOST_COMPARED]
    close = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.6)
    return close[0] if close else None


def meant(name: str, names: Iterable[str], what: str = "there are") -> str:
    """What would be right in place of `name`: the nearest of `names`, or what there is to choose from."""
    known = list(names)
    near = closest(name, known)
    if near is not None:
        return f"did you mean {near!r}?"
    return f"{what} {listed(known)}" if known else ""


def listed(names: Iterable[str]) -> str:
    """Names in a sentence; the first dozen of many."""
    known = list(names)
    if not known:
        return "none"
    shown = ", ".join(known[:_MOST_LISTED])
    return shown if len(known) <= _MOST_LISTED else f"{shown} and {len(known) - _MOST_LISTED} more"
