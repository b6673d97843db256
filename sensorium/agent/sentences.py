"""A text as sentences, while it is written."""

from __future__ import annotations

import re

__all__ = ["Sentences", "split"]

_END = re.compile(
    r"""
    (?P<line>\n)                                # a line break ends a sentence, as in lists and headings
    | (?P<wide>[。！？…]*[。！？][。！？…”’」』）》"']*)(?=[^。！？…”’」』）》"'])     # Chinese marks need no space
    | (?P<mark>[.!?…]+)[”’"')\]*_]*(?=[ \t]+\S)
    """,
    re.VERBOSE,
)
_WORD = re.compile(r"""[^\s("'\[“‘*_]*$""")
"""The word that a text ends with."""
_NUMBERED = re.compile(r"\s*[#*-]*\s*\(?(\d{1,3}|[A-Za-z])")
"""What stands before the full stop of a numbered item, as in `1.` and `a.`"""
_INITIALS = re.compile(r"[A-Z](\.[A-Z])*")
_ABBREVIATION = re.compile(
    "adm|al|approx|apt|ave|capt|cf|co|col|dept|dr|e[.]g|eg|est|gen|gov|hon|i[.]e|ie|lt|ltd|messrs|mr|mrs|ms|mt|mx|prof|"
    "rep|rev|sen|sgt|sr|st|viz|vs|z[.]b",
    re.IGNORECASE,
)
_BEFORE_NUMBER = re.compile(
    "apr|art|aug|ca|ch|chap|dec|eq|feb|figs?|jan|jul|jun|mar|nos?|nov|oct|op|pp?|para|sec|sept|vol", re.IGNORECASE
)
"""Short only where a number follows: `No. 5`, and not `No. It is not.`"""


class Sentences:
    """Gives sentences as soon as they are whole. Put one after another they are the text, but for white space.

    A sentence ends with an end mark that white space and no small letter follow, with a Chinese one, or with its line.
    The full stop of an abbreviation, of initials, of a number or of a numbered item ends none. Where it cannot be
    known, two sentences stay one.
    """

    def __init__(self) -> None:
        self._open = ""

    def feed(self, piece: str) -> list[str]:
        """The sentences that are whole now that the text goes on with `piece`."""
        self._open += piece
        found: list[str] = []
        at = 0
        while (end := _END.search(self._open, at)) is not None:
            at = end.end()
            if not _ends_sentence(self._open, end):
                continue
            found.append(self._open[:at].strip())
            self._open, at = self._open[at:], 0
        return [sentence for sentence in found if sentence]

    def rest(self) -> list[str]:
        """The last sentence, the text having ended."""
        last, self._open = self._open.strip(), ""
        return [last] if last else []


def split(text: str) -> list[str]:
    """The sentences of a whole text."""
    sentences = Sentences()
    return [*sentences.feed(text), *sentences.rest()]


def _ends_sentence(text: str, end: re.Match[str]) -> bool:
    if end["mark"] is None:
        return True
    following = text[end.end() :].lstrip()[0]
    if following.islower():
        return False
    return end["mark"] != "." or not _is_short(text[: end.start()], following)


def _is_short(before: str, following: str) -> bool:
    """Whether a full stop behind `before` only shortens or numbers something."""
    found = _WORD.search(before)
    word = found[0] if found is not None else ""
    if _ABBREVIATION.fullmatch(word) or _INITIALS.fullmatch(word) or _NUMBERED.fullmatch(before):
        return True
    return following.isdigit() and _BEFORE_NUMBER.fullmatch(word) is not None
