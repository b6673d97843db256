"""What a phrase asks for: its head, the words before "with", "on" and the like; or a refusal."""

from __future__ import annotations

import re
import unicodedata

from sensorium.worker import Refused

MOST_CHARACTERS = 300
"""Longest phrase. What is longer is a story, of which no word stands out."""

_ENDS_HEAD = re.compile(
    r"\b(?:with|without|in|on|at|of|by|near|beside|behind|under|above|below|over|between|among|from|inside|outside"
    r"|against|next|to|that|which|who|whose|where|is|are|holding|wearing|sitting|standing|lying|riding|looking)\b",
    re.IGNORECASE,
)
_DETERMINER = re.compile(r"(?:(?:the|a|an|this|that|these|those|my|your|his|her|our|their|its|some|any|one)\s+)+", re.I)


def head_of(phrase: str) -> str:
    """The words that name the thing: "cup" of "the cup on the table".

    Raises:
        Refused: The phrase is empty, has no letters or too many, or is not written in Latin letters.
    """
    text = " ".join(phrase.split())
    if len(text) > MOST_CHARACTERS:
        raise Refused(
            f"the phrase has {len(text)} characters; find takes at most {MOST_CHARACTERS}: name one thing, as in 'cup'"
        )
    letters = [char for char in text if char.isalpha()]
    if not letters:
        raise Refused(f"the phrase {text!r} has no words; name the thing to find, as in 'cat' or 'the red cup'")
    foreign = next((char for char in letters if not unicodedata.name(char, "").startswith("LATIN")), None)
    if foreign is not None:
        script = unicodedata.name(foreign, "unknown").split()[0].capitalize()
        raise Refused(f"the phrase {text!r} is written in {script} letters; find knows English alone", "language")
    return _head(text)


def _head(text: str) -> str:
    bare = _DETERMINER.sub("", text, count=1) if _DETERMINER.match(text) else text
    ends = _ENDS_HEAD.search(bare)
    head = (bare[: ends.start()] if ends else bare).strip(" ,.;:!?\"'-")
    return head or bare


def names_person(head: str, people: frozenset[str]) -> bool:
    """Whether the last word of a phrase's head is one for a person: "the old fisherman", but not "astronaut helmet"."""
    words = re.findall(r"[^\W\d_]+", head.lower())
    return bool(words) and (words[-1] in people or words[-1].removesuffix("s") in people)
