"""The name that an author may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["listed", "meant"]

_MOST_COMPARED = 200
_MOST_LISTED = 12


def meant(name: str, names: Iterable[str], what: str = "there are") -> str:
    """What would be right in place of `name`: the nearest of `names`, or what there is to choose from."""
    known = list(dict.fromkeys(names))
    if len(known) > _MOST_COMPARED:
        near = [other for other in known if other[:1] == name[:1] and abs(len(other) - len(name)) <= 2]
        compared = near[:_MOST_COMPARED]
    else:
        compared = known
    close = difflib.get_close_matches(name[:100], compared, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"{what} {listed(known)}" if known else ""


def listed(names: Iterable[str]) -> str:
    """Names in a sentence; the first dozen of many."""
    known = list(names)
    if not known:
        return "none"
    shown = ", ".join(known[:_MOST_LISTED])
    return shown if len(known) <= _MOST_LISTED else f"{shown} and {len(known) - _MOST_LISTED} more"
